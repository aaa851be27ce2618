//! The processors of all services as they run in production, on the in-memory log. No broker and no
//! store takes part.
//!
//! - `sagas`: what registrations and orders promise
//! - `retention`: finished aggregates are forgotten, and changelogs do not grow
//! - `dead_letters`: what a dead letter copies
//! - `random`: random commands under random faults
//! - `millrace`: the processors, and invariants over their events; `commands`: commands of tests
#![allow(clippy::unwrap_used)]

mod commands;
mod dead_letters;
mod millrace;
mod random;
mod retention;
mod sagas;
