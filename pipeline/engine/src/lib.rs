//! The engine: deciders and policies over the log, in exactly-once transactions.
//!
//! - [`topology`]: the shape of a processor, one value for service, test and benchmark
//! - [`worker`]: a thread that polls, decides, commits and restores
//! - `task`: one partition number of a processor; `aggregate`: one kind of aggregate in it
//! - [`table`]: state whose latest writes can be taken back
//! - [`changelog`]: the typed keys under which a task remembers itself in the log
//! - `learner`: schemas of other writers, asked for in the background
//! - `envelope`, `output`: the headers and records of what goes out
//! - [`metrics`]: all names of metrics
//! - [`driver`]: the same workers on an in-memory log, for tests
//!
//! **No Kafka client is named here, and nothing blocks but the log's own calls, in the worker's own
//! thread.**
#![forbid(unsafe_code)]

mod aggregate;
pub mod changelog;
pub mod driver;
mod envelope;
mod learner;
pub mod metrics;
mod output;
pub mod table;
mod task;
pub mod topology;
pub mod worker;

pub use metrics::Metrics;
pub use topology::Topology;
pub use worker::{Clock, End, SILENCE_MAX, SchemaSource, Settings, Status, Worker};
