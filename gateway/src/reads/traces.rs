//! The records that commands caused, and who has applied them.

use projections::{
    postgres::{TraceEntry, TraceView},
    progress::Applied,
};
use uuid::Uuid;

use crate::{answers::Read, record_place::RecordPlace};

/// The part of [`super::Reads`] that knows traces.
pub trait TraceReads: Send + Sync {
    /// The records that commands caused, and the commands.
    fn trace(&self, commands: Vec<Uuid>) -> Read<'_, TraceView>;
    /// The command that caused a record, directly or not; `None` if the record is not traced.
    fn cause<'a>(&'a self, place: &'a RecordPlace) -> Read<'a, Option<Uuid>>;
    /// For each entry of a trace, which projections have applied its record, and when.
    fn applied<'a>(&'a self, entries: &'a [TraceEntry]) -> Read<'a, Vec<Vec<Applied>>>;
}
