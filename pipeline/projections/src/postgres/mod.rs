//! PostgreSQL: users, sessions, credentials, outcomes, statistics, traces, and what operators see.
//! Rows and position change in one transaction.
//!
//! A projection is one file here that implements `model::Model`, holds the reads of its tables, and
//! has a row in [`crate::catalog`]. Its tables come from a migration in `migrations/`, which never
//! changes once it has run anywhere; those of traces follow from `topics.yaml` (`trace_tables`).

mod credentials;
mod error;
mod migrations;
mod model;
mod operations;
mod outcomes;
mod pool;
mod positions;
mod progress;
mod reads;
mod statistics;
#[cfg(test)]
mod tests;
mod trace;
mod trace_tables;
mod users;

pub(crate) use credentials::Credentials;
pub(crate) use operations::{Operations, OperationsSource};
pub(crate) use outcomes::{OutcomeSource, Outcomes};
pub(crate) use statistics::Statistics;
pub(crate) use trace::Trace;
pub(crate) use users::Users;

pub use credentials::LoginRow;
pub use operations::{
    Action, DeadContent, DeadLetter, KeyCursor, ParkedKey, ParkedRecord, ParkedSelection,
    RecordCursor,
};
pub use pool::Postgres;
pub use reads::Reads;
pub use statistics::{Seller, StatisticsView, Width, Window};
pub use trace::{TraceEntry, TraceView, entries as trace_entries, names_address};
pub use users::{SessionRow, UserRow};
