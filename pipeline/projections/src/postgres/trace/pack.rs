//! Rows of traces: entries of one command that one poll returned, packed. It knows no SQL.

use std::collections::BTreeMap;

use schemas::chain;
use uuid::Uuid;

use super::entry::{FORM, TraceEntry};
use crate::StoreError;

/// A row ends with the entry that takes it to this many bytes: records with one correlation id may
/// be any number, if somebody writes them by hand.
const ROW_BYTES_MAX: usize = 64 * 1024;
/// The milliseconds of a day.
pub(crate) const DAY_MS: i64 = 24 * 3_600_000;

/// Rows by day and correlation id.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Rows {
    growing: BTreeMap<(i32, Uuid), Vec<u8>>,
    full: Vec<((i32, Uuid), Vec<u8>)>,
}

impl Rows {
    /// Adds an entry of a correlation id.
    pub(super) fn add(&mut self, correlation: Uuid, entry: &TraceEntry) -> Result<(), StoreError> {
        let key = (day(entry.at_ms), correlation);
        let row = self.growing.remove(&key).unwrap_or_else(|| vec![FORM]);
        let row = postcard::to_extend(entry, row)
            .map_err(|error| StoreError::failed("packing an entry of a trace", error))?;
        if row.len() < ROW_BYTES_MAX {
            self.growing.insert(key, row);
        } else {
            self.full.push((key, row));
        }
        Ok(())
    }

    /// All rows: day, correlation id and packed entries.
    pub(super) fn iter(&self) -> impl Iterator<Item = (i32, Uuid, &[u8])> {
        let full = self.full.iter().map(|(key, row)| (key, row));
        full.chain(&self.growing).map(|((day, id), row)| (*day, *id, &**row))
    }
}

/// The day of a time, counted from 1970.
pub(super) fn day(at_ms: i64) -> i32 {
    i32::try_from(at_ms.div_euclid(DAY_MS)).unwrap_or(i32::MAX)
}

/// The entries of a row of a trace.
///
/// # Errors
/// If the row is not packed in the form of this version.
pub fn entries(row: &[u8]) -> Result<Vec<TraceEntry>, StoreError> {
    let failed = |why: String| StoreError::failed("unpacking a trace", why);
    let Some((&FORM, mut rest)) = row.split_first() else {
        return Err(failed(format!("expected form {FORM}, found {:?}", row.first())));
    };
    let mut entries = Vec::new();
    while !rest.is_empty() {
        let (entry, behind) =
            postcard::take_from_bytes(rest).map_err(|error| failed(chain(&error)))?;
        entries.push(entry);
        rest = behind;
    }
    Ok(entries)
}
