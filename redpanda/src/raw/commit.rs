//! Commits the open transaction of a producer, or flushes it. It never aborts.

use std::time::Duration;

use rdkafka::{
    error::RDKafkaErrorCode,
    producer::{Producer, ProducerContext},
};
use rdkafka_sys as sys;

use super::strings::owned;

/// How a commit failed, as librdkafka classifies it.
#[derive(Debug)]
pub struct CommitError {
    /// The error's code.
    pub code: RDKafkaErrorCode,
    /// The error's text.
    pub text: String,
    /// The producer is unusable.
    pub fatal: bool,
    /// The same call may succeed.
    pub retriable: bool,
    /// The transaction must be aborted; then the next may begin.
    pub requires_abort: bool,
}

/// Commits the open transaction of `producer`, which another thread must poll meanwhile. Blocks for
/// up to `timeout`.
///
/// # Errors
/// As librdkafka reports; the flags say what the caller must do.
pub fn commit_transaction<C: ProducerContext>(
    producer: &impl Producer<C>,
    timeout: Duration,
) -> Result<(), CommitError> {
    let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: the pointer belongs to a client that `producer` keeps alive during the call, and
    // several threads may use librdkafka's client. The error, if there is one, is ours: it is read
    // while it lives and destroyed once, after its string was copied.
    unsafe {
        let error = sys::rd_kafka_commit_transaction(producer.client().native_ptr(), timeout_ms);
        if error.is_null() {
            return Ok(());
        }
        let result = CommitError {
            code: sys::rd_kafka_error_code(error).into(),
            text: owned(sys::rd_kafka_error_string(error)),
            fatal: sys::rd_kafka_error_is_fatal(error) == 1,
            retriable: sys::rd_kafka_error_is_retriable(error) == 1,
            requires_abort: sys::rd_kafka_error_txn_requires_abort(error) == 1,
        };
        sys::rd_kafka_error_destroy(error);
        Err(result)
    }
}

/// Waits up to `timeout` until the broker has answered all records of `producer`; returns whether
/// it has. Another thread must poll meanwhile.
#[cfg(any(test, feature = "benchmarks"))]
pub(crate) fn flush<C: ProducerContext>(producer: &impl Producer<C>, timeout: Duration) -> bool {
    let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: as above; the answer is a plain number.
    let code = unsafe { sys::rd_kafka_flush(producer.client().native_ptr(), timeout_ms) };
    code == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR
}
