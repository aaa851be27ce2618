//! The log: the only crate that names a Kafka client.
//!
//! - [`log`]: records, membership and transactions, as the engine and the projectors see them
//! - [`session`]: transactions on librdkafka; [`reader`]: group members that only read
//! - [`writer`]: commands on their way into the log, on rskafka
//! - [`registry`]: the schema registry; [`topics`]: what `topics.yaml` declares; [`provision`]: brings both about
//! - [`memory`]: the log in memory, with the same transactional rules, for tests
//! - [`partition_of`]: which partition a key belongs to
//!
//! `raw` is the one file with `unsafe`; `fault` has the places where a process can be made to die.
#![deny(unsafe_code)]

mod fault;
mod group;
pub mod log;
pub mod memory;
mod partition;
pub mod provision;
mod raw;
pub mod reader;
pub mod registry;
pub mod session;
pub mod topics;
pub mod writer;

pub use partition::partition_of;
