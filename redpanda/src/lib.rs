//! The log: the only crate that names a Kafka client.
//!
//! - [`log`]: records, membership and transactions, as the engine and the projectors see them
//! - [`session`]: transactions on librdkafka; [`reader`]: group members that only read
//! - [`scan`]: topics as they stand, for checks and tools; [`removal`]: what retention does, for
//!   proofs; [`aborted`]: transactions that are aborted, for proofs
//! - [`writer`]: commands on their way into the log, on rskafka
//! - [`registry`]: the schema registry; [`topics`]: what `topics.yaml` declares; [`provision`]:
//!   brings both about
//! - [`brokers`], [`tls`], [`settings`]: how brokers and registry are reached, and the settings of
//!   every program
//! - [`acls`]: what `acls.yaml` declares: what each program may do
//! - [`memory`]: the log in memory, with the same transactional rules, for tests
//! - [`partition_of`]: which partition a key belongs to
//!
//! `group` is a member of a consumer group and `restore` reads what a task starts from, both for
//! [`session`] and [`reader`]. `raw` is the one file with `unsafe`; [`fault`] has the places where
//! a process can be made to die, and [`planted`] the bugs that a build for proofs can have.
#![deny(unsafe_code)]

pub mod aborted;
pub mod acls;
pub mod arena;
pub mod batch;
pub mod brokers;
pub mod fault;
mod group;
pub mod log;
pub mod memory;
mod partition;
mod planted;
pub mod provision;
pub mod raw;
pub mod reader;
pub mod registry;
pub mod removal;
mod restore;
pub mod scan;
pub mod session;
pub mod settings;
pub mod tls;
pub mod topics;
pub mod writer;

pub use partition::partition_of;
pub use planted::planted;

/// For every program that links this crate, and for librdkafka in it: what goes through a log is
/// allocated by one thread and freed by another, record by record, which the C library's allocator
/// is slow at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
