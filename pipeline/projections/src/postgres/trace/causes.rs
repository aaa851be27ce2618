//! Which command caused each record, by topic, partition and offset: a packed row for a partition
//! and a poll, because a row for each record would cost more than the trace itself. It knows no
//! SQL.

use std::collections::BTreeMap;

use schemas::chain;
use uuid::Uuid;

use super::{entry::TraceEntry, pack::day};
use crate::StoreError;

/// The form of packed rows, their first byte, as that of entries.
const FORM: u8 = 1;

/// An offset, and the id of the command that caused its record.
type Cause = (i64, Uuid);

/// A row that grows.
#[derive(Debug)]
struct Row {
    day: i32,
    last_offset: i64,
    commands: Vec<u8>,
}

/// The causes of the records of one poll.
#[derive(Debug, Default)]
pub(super) struct Causes {
    by_partition: BTreeMap<(String, i32), Row>,
}

/// The columns of rows.
#[derive(Debug, Default)]
pub(super) struct Columns<'a> {
    pub(super) days: Vec<i32>,
    pub(super) topics: Vec<&'a str>,
    pub(super) partitions: Vec<i32>,
    pub(super) last_offsets: Vec<i64>,
    pub(super) commands: Vec<&'a [u8]>,
}

impl Causes {
    /// Adds the record of an entry, whose offset is higher than those before it in its partition.
    pub(super) fn add(&mut self, command: Uuid, entry: &TraceEntry) -> Result<(), StoreError> {
        let place = (entry.topic.clone(), entry.partition);
        let row = self.by_partition.entry(place).or_insert_with(|| Row {
            day: day(entry.at_ms),
            last_offset: entry.offset,
            commands: vec![FORM],
        });
        row.day = row.day.max(day(entry.at_ms));
        row.last_offset = entry.offset;
        let cause: Cause = (entry.offset, command);
        row.commands = postcard::to_extend(&cause, std::mem::take(&mut row.commands))
            .map_err(|error| StoreError::failed("packing the cause of a record", error))?;
        Ok(())
    }

    /// The rows, as columns.
    pub(super) fn rows(&self) -> Columns<'_> {
        let mut columns = Columns::default();
        for ((topic, partition), row) in &self.by_partition {
            columns.days.push(row.day);
            columns.topics.push(topic);
            columns.partitions.push(*partition);
            columns.last_offsets.push(row.last_offset);
            columns.commands.push(&row.commands);
        }
        columns
    }
}

/// The command that caused the record at an offset; `None` if the row does not have it.
pub(super) fn find(commands: &[u8], offset: i64) -> Result<Option<Uuid>, StoreError> {
    let failed = |why: String| StoreError::failed("unpacking the causes of records", why);
    let Some((&FORM, mut rest)) = commands.split_first() else {
        return Err(failed(format!("expected form {FORM}, found {:?}", commands.first())));
    };
    while !rest.is_empty() {
        let ((found, command), behind): (Cause, _) =
            postcard::take_from_bytes(rest).map_err(|error| failed(chain(&error)))?;
        if found == offset {
            return Ok(Some(command));
        }
        rest = behind;
    }
    Ok(None)
}
