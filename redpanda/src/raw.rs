//! The one file with `unsafe`: librdkafka's commit and flush, called without the detour of the crate.
//!
//! rdkafka's `commit_transaction` flushes first, in fixed steps of 100 ms, so a transaction of ten records takes 101 ms
//! instead of 4. librdkafka flushes by itself inside its commit; all that is needed is to call it.
#![allow(unsafe_code)]

use std::{ffi::CStr, time::Duration};

use rdkafka::{
    error::RDKafkaErrorCode,
    producer::{Producer, ProducerContext},
};
use rdkafka_sys as sys;

/// How a commit failed, as librdkafka classifies it.
#[derive(Debug)]
pub struct CommitError {
    /// Its code.
    pub code: RDKafkaErrorCode,
    /// What it says.
    pub text: String,
    /// The producer can't be used any more.
    pub fatal: bool,
    /// The same call may work.
    pub retriable: bool,
    /// The transaction must be aborted; then the next may begin.
    pub requires_abort: bool,
}

/// Commits the open transaction of `producer`, which must be polled by another thread meanwhile. Blocks for up to `timeout`.
///
/// # Errors
/// As librdkafka says; what is to be done then stands in the error's flags.
pub fn commit_transaction<C: ProducerContext>(
    producer: &impl Producer<C>,
    timeout: Duration,
) -> Result<(), CommitError> {
    let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: the pointer is of a client that `producer` keeps alive during the call, and librdkafka's client is
    // safe to use from several threads. The error, where there is one, is ours: it is read while it lives and
    // destroyed once; its string is copied before.
    unsafe {
        let error = sys::rd_kafka_commit_transaction(producer.client().native_ptr(), timeout_ms);
        if error.is_null() {
            return Ok(());
        }
        let result = CommitError {
            code: sys::rd_kafka_error_code(error).into(),
            text: CStr::from_ptr(sys::rd_kafka_error_string(error)).to_string_lossy().into_owned(),
            fatal: sys::rd_kafka_error_is_fatal(error) == 1,
            retriable: sys::rd_kafka_error_is_retriable(error) == 1,
            requires_abort: sys::rd_kafka_error_txn_requires_abort(error) == 1,
        };
        sys::rd_kafka_error_destroy(error);
        Err(result)
    }
}

/// Waits until the broker has answered to all that `producer` was given, for up to `timeout`; whether it has. Another thread
/// must poll meanwhile.
pub(crate) fn flush<C: ProducerContext>(producer: &impl Producer<C>, timeout: Duration) -> bool {
    let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: as above; the answer is a plain number.
    let code = unsafe { sys::rd_kafka_flush(producer.client().native_ptr(), timeout_ms) };
    code == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR
}
