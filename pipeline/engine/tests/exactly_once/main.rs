//! The bank on the in-memory log: what the engine guarantees, and that faults between any two steps
//! do not break it.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

#[path = "../bank/mod.rs"]
mod bank;
mod bounds;
mod commands;
mod edits;
mod failures;
mod faults;
mod horizon;
mod order;
mod positions;
mod redrives;
mod resends;
mod retention;
mod support;
mod timers;
mod versions;
mod workers;
