//! Direct calls of librdkafka's C functions: the only folder with `unsafe`. It never panics on what
//! a record or a commit holds.
//!
//! - `commit`: commit and flush. rdkafka's `commit_transaction` flushes first, in fixed steps of
//!   100 ms, so that a transaction of ten records takes 101 ms instead of 4. librdkafka's commit
//!   flushes by itself, so it is enough to call it.
//! - `produce`: sends a record. rdkafka's `send` looks its topic up by name, which it copies, and
//!   allocates each header twice.
//! - `headers`: reads the headers of a message. rdkafka's own reader panics if a name is not UTF-8.
//! - `offset_metadata`: reads the metadata of a committed offset. rdkafka's own reader panics if it
//!   is not UTF-8.
//! - `log_queue`: a queue of the client's log lines, which rdkafka does not have.
//! - `topic_configs`, `create_acls`: IncrementalAlterConfigs and CreateAcls, which rdkafka does not
//!   have; `admin`: what both share.
#![allow(unsafe_code)]

mod admin;
mod commit;
mod create_acls;
mod headers;
mod log_queue;
mod offset_metadata;
mod produce;
mod strings;
mod topic_configs;

pub(crate) use admin::AdminError;
#[cfg(any(test, feature = "benchmarks"))]
pub(crate) use commit::flush;
pub use commit::{CommitError, commit_transaction};
pub(crate) use create_acls::create_acls;
pub(crate) use headers::copy_headers;
pub(crate) use log_queue::LogQueue;
pub(crate) use offset_metadata::offset_metadata;
pub(crate) use produce::ProducerTopic;
pub(crate) use topic_configs::set_topic_configs;
