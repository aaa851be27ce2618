//! The log: the only crate that names a Kafka client.
//!
//! - [`log`]: records, membership and transactions, as the engine and the projectors see them
//! - [`partition_of`]: which partition a key belongs to
//! - [`memory`]: the log in memory, with the same transactional rules, for tests
#![deny(unsafe_code)]

pub mod log;
pub mod memory;
mod partition;

pub use partition::partition_of;
