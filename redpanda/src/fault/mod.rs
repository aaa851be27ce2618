//! Fault points: named places in the code where a test can make the process fail, to prove that
//! nothing is lost.
//!
//! They exist only in builds with the feature `faults`, which the fault suite and the tests enable
//! and no deployed build does; elsewhere every function here is empty. There, without
//! `MILLRACE_FAULT`, a fault point costs one load and does nothing.
//!
//! - `MILLRACE_FAULT=after-begin:3` ends the process, as `kill -9` does, when it reaches the fault
//!   point `after-begin` for the third time.
//! - `before-outcomes:3:stop` stops it there, as SIGSTOP does, until it receives SIGCONT.
//! - `after-poll:3:panic` panics there, so that the thread ends and the process continues.
//! - `abort:3` makes the third transaction fail and abort.
//! - `panic:KEY` makes every decision about the aggregate KEY panic.
//!
//! A session has these fault points, in the order of a transaction: `after-poll`, `after-begin`,
//! `after-send` (the broker has the record), `after-offsets`, `before-commit`, `abort`, `end-sent`
//! (EndTxn was sent, its answer has not arrived), `after-commit`; also `in-rebalance` and
//! `during-restore`. A projector has `before-store` and `after-store`, and with outcomes
//! `before-outcomes` (nothing is sent to PostgreSQL yet) and `in-outcomes` (the position has moved,
//! nothing is committed).

#[cfg(not(feature = "faults"))]
mod absent;
#[cfg(feature = "faults")]
mod planned;

#[cfg(not(feature = "faults"))]
use absent as build;
#[cfg(feature = "faults")]
use planned as build;

pub(crate) use build::{die_after, is_due, is_planned, point_after};
pub use build::{panic_about, point};
