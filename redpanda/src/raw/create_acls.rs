//! CreateAcls. It removes no rule and changes none.

use std::{ffi::CString, ptr, time::Duration};

use rdkafka::{
    client::{Client, ClientContext},
    error::RDKafkaErrorCode,
};
use rdkafka_sys::{
    self as sys, rd_kafka_AclOperation_t as AclOperation,
    rd_kafka_ResourcePatternType_t as PatternType, rd_kafka_ResourceType_t as ResourceType,
};

use super::{
    admin::{AdminError, answer, c_string, millis},
    strings::owned,
};
use crate::acls::rule::{Operation, Resource, Rule};

/// One permission in the types of librdkafka. A [`Rule`] has one for each of its operations.
struct Permission {
    resource: ResourceType,
    name: CString,
    pattern: PatternType,
    principal: CString,
    operation: AclOperation,
}

impl Permission {
    fn of(rule: &Rule<'_>, operation: Operation) -> Result<Self, AdminError> {
        Ok(Self {
            resource: match rule.resource {
                Resource::Topic => ResourceType::RD_KAFKA_RESOURCE_TOPIC,
                Resource::Group => ResourceType::RD_KAFKA_RESOURCE_GROUP,
                Resource::TransactionalId => ResourceType::RD_KAFKA_RESOURCE_TRANSACTIONAL_ID,
            },
            name: c_string(&rule.name)?,
            pattern: match rule.prefixed {
                true => PatternType::RD_KAFKA_RESOURCE_PATTERN_PREFIXED,
                false => PatternType::RD_KAFKA_RESOURCE_PATTERN_LITERAL,
            },
            principal: c_string(&format!("User:{}", rule.program))?,
            operation: match operation {
                Operation::Read => AclOperation::RD_KAFKA_ACL_OPERATION_READ,
                Operation::Write => AclOperation::RD_KAFKA_ACL_OPERATION_WRITE,
                Operation::Create => AclOperation::RD_KAFKA_ACL_OPERATION_CREATE,
                Operation::Alter => AclOperation::RD_KAFKA_ACL_OPERATION_ALTER,
                Operation::Describe => AclOperation::RD_KAFKA_ACL_OPERATION_DESCRIBE,
                Operation::DescribeConfigs => AclOperation::RD_KAFKA_ACL_OPERATION_DESCRIBE_CONFIGS,
                Operation::AlterConfigs => AclOperation::RD_KAFKA_ACL_OPERATION_ALTER_CONFIGS,
            },
        })
    }
}

/// Creates `rules`. Rules that exist already stay as they are. Blocks for up to `timeout`.
///
/// # Errors
/// The first refusal of the broker, or what kept the client from getting an answer.
pub(crate) fn create_acls<C: ClientContext>(
    client: &Client<C>,
    rules: &[Rule<'_>],
    timeout: Duration,
) -> Result<(), AdminError> {
    let timeout_ms = millis(timeout);
    let permissions = rules
        .iter()
        .flat_map(|rule| rule.operations.iter().map(|operation| Permission::of(rule, *operation)))
        .collect::<Result<Vec<_>, _>>()?;
    // SAFETY: as in `set_topic_configs`. Strings live until the bindings have copied them, and the
    // array of bindings until `rd_kafka_CreateAcls` has; both are destroyed once, after their last
    // use.
    unsafe {
        let mut bindings = Vec::with_capacity(permissions.len());
        let (mut cause, any_host) = ([0_u8; 256], c"*");
        for permission in &permissions {
            let binding = sys::rd_kafka_AclBinding_new(
                permission.resource,
                permission.name.as_ptr(),
                permission.pattern,
                permission.principal.as_ptr(),
                any_host.as_ptr(),
                permission.operation,
                sys::rd_kafka_AclPermissionType_t::RD_KAFKA_ACL_PERMISSION_TYPE_ALLOW,
                cause.as_mut_ptr().cast(),
                cause.len(),
            );
            if binding.is_null() {
                sys::rd_kafka_AclBinding_destroy_array(bindings.as_mut_ptr(), bindings.len());
                let text = owned(cause.as_ptr().cast());
                return Err(AdminError::new(RDKafkaErrorCode::InvalidArgument, text));
            }
            bindings.push(binding);
        }
        let handle = client.native_ptr();
        let queue = sys::rd_kafka_queue_new(handle);
        let options = sys::rd_kafka_AdminOptions_new(
            handle,
            sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_CREATEACLS,
        );
        sys::rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, ptr::null_mut(), 0);
        sys::rd_kafka_CreateAcls(handle, bindings.as_mut_ptr(), bindings.len(), options, queue);
        sys::rd_kafka_AdminOptions_destroy(options);
        sys::rd_kafka_AclBinding_destroy_array(bindings.as_mut_ptr(), bindings.len());

        let result = answer(queue, timeout_ms, first_error);
        sys::rd_kafka_queue_destroy(queue);
        result
    }
}

/// The first error in an answer to CreateAcls.
///
/// # Safety
/// `event` is a live event of librdkafka.
unsafe fn first_error(event: *mut sys::rd_kafka_event_t) -> Result<(), AdminError> {
    let none = sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;
    // SAFETY: the event lives as long as the call, and what it returns belongs to it and lives as
    // long as it does; the array has as many results as the count says.
    unsafe {
        let answer = sys::rd_kafka_event_CreateAcls_result(event);
        if answer.is_null() {
            let text = "an answer to another request";
            return Err(AdminError::new(RDKafkaErrorCode::Fail, text));
        }
        let mut count = 0;
        let results = sys::rd_kafka_CreateAcls_result_acls(answer, &mut count);
        for index in 0..count {
            let error = sys::rd_kafka_acl_result_error(*results.add(index));
            if !error.is_null() && sys::rd_kafka_error_code(error) != none {
                let code = sys::rd_kafka_error_code(error).into();
                return Err(AdminError::new(code, owned(sys::rd_kafka_error_string(error))));
            }
        }
        Ok(())
    }
}
