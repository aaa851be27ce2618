//! The log as the rest of Millrace sees it: records, partitions, group membership and whole
//! transactions.
//!
//! Nothing here names a Kafka client. [`crate::session`] implements these traits on librdkafka, and
//! [`crate::memory`] implements them in memory with the same transactional rules. The engine and
//! the projectors know only what this folder declares.
//!
//! - `record`: topics, partitions, committed offsets, and records as they are read and written
//! - `headers`: the headers of a record
//! - `producer_records`: many records to be written, in one run of bytes
//! - `input`: a group member that reads
//! - `session`: an input that also writes, in transactions
//! - `restore`: what a task starts from
//! - `error`: how calls and transactions fail

mod error;
mod headers;
mod input;
mod producer_records;
mod record;
mod restore;
mod session;

pub use error::{Cause, LogError, TransactionError};
pub use headers::Headers;
pub use input::{Input, Membership};
pub use producer_records::{ProducerRecordRef, ProducerRecords, wire_bytes};
pub use record::{CommittedOffset, ProducerRecord, Record, Topic, TopicPartition};
pub use restore::{Restore, Start};
pub use session::{Connect, Session, Transaction};
