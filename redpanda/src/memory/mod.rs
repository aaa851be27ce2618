//! An in-memory log with the transactional rules of the real one, deterministic, for tests. It has
//! no threads and no clock of its own.
//!
//! - A transaction is open until its marker is written. Read-committed readers stop at the first
//!   open one and never see aborted records.
//! - One session at a time holds a transactional id; a new one fences it and aborts its open
//!   transaction.
//! - Offsets of an open transaction are unstable: a request for committed offsets fails with a
//!   retriable error.
//! - A record over its topic's limit is refused, and its transaction aborts.
//! - The members of a group get ranges of partitions, and release them before another member gets
//!   them.
//!
//! A test can order a [`Fault`] for each step of a transaction.
//!
//! - `log`: the log and what a test reads from it; `control`: what a test makes it do
//! - `state`: topics, transactions and groups; `partition`: one partition; `group`: rebalances
//! - `session`: sessions and readers; `input` and `transaction`: their calls; `restore`: restores

mod connect;
mod control;
mod fault;
mod group;
mod input;
mod log;
mod partition;
mod restore;
mod session;
mod state;
mod transaction;

pub use connect::MemoryConnect;
pub use fault::Fault;
pub use log::MemoryLog;
