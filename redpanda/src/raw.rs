//! The one file with `unsafe`: librdkafka's commit, called without the detour of the crate.
//!
//! rdkafka's `commit_transaction` flushes first, in fixed steps of 100 ms, so a transaction of ten records takes 101 ms
//! instead of 4. librdkafka flushes by itself inside its commit; all that is needed is to call it.
#![allow(unsafe_code)]

use std::{ffi::CStr, time::Duration};

use rdkafka::{
    error::RDKafkaErrorCode,
    producer::{Producer, ProducerContext, ThreadedProducer},
};
use rdkafka_sys as sys;

/// How a commit failed, as librdkafka classifies it.
#[derive(Debug)]
pub(crate) struct CommitError {
    pub(crate) code: RDKafkaErrorCode,
    pub(crate) text: String,
    pub(crate) fatal: bool,
    pub(crate) retriable: bool,
    pub(crate) requires_abort: bool,
}

/// Commits the open transaction of `producer`, which must be polled by another thread meanwhile (a
/// `ThreadedProducer` is). Blocks for up to `timeout`.
pub(crate) fn commit_transaction<C: ProducerContext + 'static>(
    producer: &ThreadedProducer<C>,
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
