//! IncrementalAlterConfigs for one topic. It changes the named settings and no others.

use std::{ptr, time::Duration};

use rdkafka::{
    client::{Client, ClientContext},
    error::RDKafkaErrorCode,
};
use rdkafka_sys as sys;

use super::{
    admin::{AdminError, answer, c_string, millis},
    strings::owned,
};

/// Sets these settings of a topic. Blocks for up to `timeout`.
///
/// # Errors
/// The broker's answer, or what kept the client from getting one.
pub(crate) fn set_topic_configs<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    settings: &[(&str, &str)],
    timeout: Duration,
) -> Result<(), AdminError> {
    let timeout_ms = millis(timeout);
    let name = c_string(topic)?;
    let settings: Vec<_> = settings
        .iter()
        .map(|(name, value)| Ok((c_string(name)?, c_string(value)?)))
        .collect::<Result<_, _>>()?;
    // SAFETY: `client` lives as long as the call, and with it the handle that queue and options are
    // created from. Every object is destroyed exactly once, after its last use: librdkafka copies
    // the resource (and the strings in it) before `rd_kafka_IncrementalAlterConfigs` returns, so it
    // may be destroyed at once; the queue is destroyed last, and an answer that arrives after the
    // timeout is dropped with it. Pointers that may be null are checked.
    unsafe {
        let handle = client.native_ptr();
        let resource = sys::rd_kafka_ConfigResource_new(
            sys::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_TOPIC,
            name.as_ptr(),
        );
        for (name, value) in &settings {
            let error = sys::rd_kafka_ConfigResource_add_incremental_config(
                resource,
                name.as_ptr(),
                sys::rd_kafka_AlterConfigOpType_t::RD_KAFKA_ALTER_CONFIG_OP_TYPE_SET,
                value.as_ptr(),
            );
            if !error.is_null() {
                let code = sys::rd_kafka_error_code(error).into();
                let result = AdminError::new(code, owned(sys::rd_kafka_error_string(error)));
                sys::rd_kafka_error_destroy(error);
                sys::rd_kafka_ConfigResource_destroy(resource);
                return Err(result);
            }
        }
        let queue = sys::rd_kafka_queue_new(handle);
        let options = sys::rd_kafka_AdminOptions_new(
            handle,
            sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_INCREMENTALALTERCONFIGS,
        );
        // librdkafka ignores a timeout that is out of its bounds, and uses its own.
        sys::rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, ptr::null_mut(), 0);
        let mut resources = [resource];
        sys::rd_kafka_IncrementalAlterConfigs(handle, resources.as_mut_ptr(), 1, options, queue);
        sys::rd_kafka_AdminOptions_destroy(options);
        sys::rd_kafka_ConfigResource_destroy(resource);

        let result = answer(queue, timeout_ms, first_result);
        sys::rd_kafka_queue_destroy(queue);
        result
    }
}

/// The result of the first resource in an answer to IncrementalAlterConfigs.
///
/// # Safety
/// `event` is a live event of librdkafka.
unsafe fn first_result(event: *mut sys::rd_kafka_event_t) -> Result<(), AdminError> {
    // SAFETY: the event lives as long as the call, and what it returns belongs to it and lives as
    // long as it does.
    unsafe {
        let answer = sys::rd_kafka_event_IncrementalAlterConfigs_result(event);
        let mut count = 0;
        let resources = match answer.is_null() {
            true => ptr::null_mut(),
            false => sys::rd_kafka_IncrementalAlterConfigs_result_resources(answer, &mut count),
        };
        if resources.is_null() || count == 0 {
            let text = "an answer to another request";
            return Err(AdminError::new(RDKafkaErrorCode::Fail, text));
        }
        let code = sys::rd_kafka_ConfigResource_error(*resources);
        match code == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            true => Ok(()),
            false => {
                let text = owned(sys::rd_kafka_ConfigResource_error_string(*resources));
                Err(AdminError::new(code.into(), text))
            }
        }
    }
}
