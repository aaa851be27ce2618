//! What the requests of the admin API share: their error, and the wait for an answer.

use std::{ffi::CString, time::Duration};

use rdkafka::error::RDKafkaErrorCode;
use rdkafka_sys as sys;

use super::strings::owned;

/// Why a request of the admin API failed: the broker's answer, or what kept the client from getting
/// one.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub(crate) struct AdminError {
    pub(crate) code: RDKafkaErrorCode,
    text: String,
}

impl AdminError {
    pub(super) fn new(code: RDKafkaErrorCode, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }
}

/// A deadline in milliseconds, as librdkafka takes it.
pub(super) fn millis(timeout: Duration) -> i32 {
    i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX)
}

/// A copy of `text` that ends with a zero byte.
pub(super) fn c_string(text: &str) -> Result<CString, AdminError> {
    CString::new(text)
        .map_err(|error| AdminError::new(RDKafkaErrorCode::InvalidArgument, error.to_string()))
}

/// Waits for the answer to a request that was sent with `queue` and `timeout_ms`, and returns what
/// `read` finds in it.
///
/// # Safety
/// `queue` is a live queue of librdkafka, and `read` accepts any live event.
pub(super) unsafe fn answer(
    queue: *mut sys::rd_kafka_queue_t,
    timeout_ms: i32,
    read: unsafe fn(*mut sys::rd_kafka_event_t) -> Result<(), AdminError>,
) -> Result<(), AdminError> {
    // SAFETY: the caller guarantees that the queue lives. The event is destroyed once, after its
    // last use; an event that carries an error is not passed to `read`.
    unsafe {
        // The client's own timeout expires first and is an event too.
        let event = sys::rd_kafka_queue_poll(queue, timeout_ms.saturating_add(1000));
        if event.is_null() {
            return Err(AdminError::new(RDKafkaErrorCode::OperationTimedOut, "no answer"));
        }
        let code = sys::rd_kafka_event_error(event);
        let result = match code == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            true => read(event),
            false => {
                Err(AdminError::new(code.into(), owned(sys::rd_kafka_event_error_string(event))))
            }
        };
        sys::rd_kafka_event_destroy(event);
        result
    }
}
