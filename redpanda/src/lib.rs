//! The log, and everything that speaks to it: the only crate that names a Kafka client. It has no
//! rule of the domain and no store.
//!
//! - [`log`]: records, membership and transactions, as the engine and the projectors see them
//! - [`session`]: transactions on librdkafka; [`reader`]: group members that only read
//! - [`memory`]: the log in memory, with the same transactional rules, for tests
//! - [`writer`]: writes commands, on rskafka
//! - [`scan`]: reads topics once, for checks and tools
//! - [`removal`]: removes old records, for fault tests; [`aborted`]: aborts a transaction, for the
//!   same
//! - [`topics`]: the declared topics; [`acls`]: the declared access rules; [`registry`]: the schema
//!   registry; [`provision`]: changes broker and registry to what is declared
//! - [`brokers`], [`tls`], [`settings`]: how brokers and registry are reached, and the settings of
//!   every program
//! - [`spans`]: OpenTelemetry spans, for every program
//! - [`allocator`]: the allocator of every program
//! - [`partition_of`]: the partition of a key
//!
//! `group` is a member of a consumer group and `restore` reads what a task starts from, both for
//! [`session`] and [`reader`]; `client` is what all consumers share. [`raw`] is the one folder with
//! `unsafe`. [`fault`] has the fault points, where a test can make a process fail, and [`mutant`]
//! the mutants, bugs that only a build for fault tests has.
#![deny(unsafe_code)]

pub mod aborted;
pub mod acls;
pub mod allocator;
pub mod arena;
pub mod brokers;
mod client;
pub mod fault;
mod group;
pub mod log;
pub mod memory;
pub mod mutant;
mod partition;
pub mod provision;
pub mod raw;
pub mod reader;
pub mod registry;
pub mod removal;
mod restore;
pub mod scan;
pub mod session;
pub mod settings;
pub mod spans;
pub mod tls;
pub mod topics;
pub mod writer;

pub use partition::partition_of;
