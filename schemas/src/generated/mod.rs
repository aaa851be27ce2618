//! What `schemas generate` made of the files in `avro/`: a module for each context.
//!
//! Never edited by hand.

mod common;
pub mod engine;

pub use common::*;

use crate::{Record, Schema};

/// Every schema that a record on a topic can have, in the order of their names.
pub(crate) static ALL: [&Schema; 8] = [
    crate::Metadata::SCHEMA,
    crate::Outcome::SCHEMA,
    crate::engine::Applied::SCHEMA,
    crate::engine::Handled::SCHEMA,
    crate::engine::Parked::SCHEMA,
    crate::engine::Redrive::SCHEMA,
    crate::engine::Timer::SCHEMA,
    crate::engine::Waiting::SCHEMA,
];

/// The names of [`ALL`].
pub(crate) const NAMES: [&str; 8] = [
    "millrace.Metadata",
    "millrace.Outcome",
    "millrace.engine.Applied",
    "millrace.engine.Handled",
    "millrace.engine.Parked",
    "millrace.engine.Redrive",
    "millrace.engine.Timer",
    "millrace.engine.Waiting",
];

/// For each of [`ALL`]: reads a value as its type and writes it again.
#[cfg(test)]
pub(crate) static AGAIN: [crate::tests::Again; 8] = [
    crate::tests::again::<crate::Metadata>,
    crate::tests::again::<crate::Outcome>,
    crate::tests::again::<crate::engine::Applied>,
    crate::tests::again::<crate::engine::Handled>,
    crate::tests::again::<crate::engine::Parked>,
    crate::tests::again::<crate::engine::Redrive>,
    crate::tests::again::<crate::engine::Timer>,
    crate::tests::again::<crate::engine::Waiting>,
];
