//! What `schemas generate` made of the files in `avro/`: a module for each context.
//!
//! Never edited by hand.

// Docs come from Avro files, where other tools read them too.
#![allow(clippy::doc_markdown)]

mod common;
pub mod engine;

pub use common::*;

use crate::Schema;

/// Every schema that a record on a topic can have, in the order of their names.
pub(crate) static ALL: [&Schema; 8] = [
    <crate::Metadata as crate::Record>::SCHEMA,
    <crate::Outcome as crate::Record>::SCHEMA,
    <crate::engine::Applied as crate::Record>::SCHEMA,
    <crate::engine::Handled as crate::Record>::SCHEMA,
    <crate::engine::Parked as crate::Record>::SCHEMA,
    <crate::engine::Redrive as crate::Record>::SCHEMA,
    <crate::engine::Timer as crate::Record>::SCHEMA,
    <crate::engine::Waiting as crate::Record>::SCHEMA,
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
