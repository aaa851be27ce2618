//! The schemas that a codec holds: those that it writes with, and those that it learnt from other
//! writers.

use super::parsed::Parsed;
use crate::schema::{Deprecated, Schema};

/// What was done with a record of a deprecated schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// It was written.
    Written,
    /// It was read.
    Read,
}

/// A callback for each record of a deprecated schema.
pub(super) type Watch = dyn Fn(&'static Schema, &'static Deprecated, Use) + Send + Sync;

/// A schema of this program, which its records are read with.
#[derive(Clone, Copy)]
pub(super) struct Reader {
    pub(super) schema: &'static Schema,
    pub(super) parsed: &'static Parsed,
}

impl Reader {
    /// Calls `watch` if the schema is deprecated.
    pub(super) fn report(self, watch: Option<&Watch>, what: Use) {
        if let (Some(watch), Some(deprecated)) = (watch, &self.parsed.deprecated) {
            watch(self.schema, deprecated, what);
        }
    }
}

/// A schema of this program under the id that it writes with.
#[derive(Clone, Copy)]
pub(super) struct Known {
    pub(super) id: u32,
    pub(super) reader: Reader,
}

/// A schema that another program writes with. It is never freed, like all parsed schemas.
pub(super) struct Learnt {
    pub(super) name: String,
    pub(super) writer: Parsed,
    /// The record of the same name that this program reads it as; `None` if there is none.
    pub(super) reader: Option<Reader>,
}
