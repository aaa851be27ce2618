//! The engine: runs deciders and policies over the log, in exactly-once transactions.
//!
//! - [`topology`]: the shape of a processor, one value for service, test and benchmark
//! - [`worker`]: a thread that polls, decides, commits and restores
//! - `task`: one partition number of a processor; `aggregate`: the aggregates of one decider in it
//! - [`table`]: a map whose latest writes can be rolled back
//! - [`changelog`]: the typed keys of a task's rows in the log
//! - [`learner`]: fetches the schemas of other writers in the background; `letters`: reads dead
//!   letters that are sent again
//! - `envelope`, `output`: the headers and records that a batch writes; `bounds`: their limits
//! - `local`: follow-ups that are decided in the transaction that writes them; `open_partitions`:
//!   for which ones that is safe
//! - `error`: why an input fails
//! - [`metrics`]: the names of all metrics
//! - [`driver`]: the same workers on an in-memory log, for tests
//!
//! **No Kafka client is named here. Nothing blocks a worker but the log's calls and the pause
//! before a session is rebuilt.**
#![forbid(unsafe_code)]

mod aggregate;
mod bounds;
pub mod changelog;
pub mod driver;
mod envelope;
mod error;
pub mod learner;
mod letters;
mod local;
pub mod metrics;
mod open_partitions;
mod output;
pub mod table;
mod task;
pub mod topology;
pub mod worker;

pub use learner::{SchemaSource, SourceError};
pub use metrics::Metrics;
pub use topology::Topology;
pub use worker::{Clock, SILENCE_MAX, Settings, Status, Worker, WorkerError};
