//! Writes the changes of a task to its changelog: each changed row once, with its latest value, and
//! the positions of its inputs.

use bytes::Bytes;
use redpanda::log::Topic;
use schemas::{
    CodecError,
    engine::{Applied, Timer},
};

use super::{Task, row::Row, transaction::TaskSavepoint};
use crate::{
    aggregate::{RowKind, encoded},
    changelog::{Key, TRANSACTIONS},
    error::{InputError, RowTooLarge},
    output::Output,
};

/// How many dedupe entries, and how many slots of each table of aggregates, a task searches for
/// expired ones when it writes changes. After many inputs it searches twice as many as there were
/// inputs, so that forgetting keeps up.
const FORGET_MIN: usize = 200;

/// Receives a key of the changelog, the version if it is the key of a state, and the value.
type Visit<'v> = dyn FnMut(Key<'_>, Option<i64>, Option<Bytes>) + 'v;

/// Why changes could not be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChangesError {
    /// A value can't be encoded.
    #[error("a state could not be encoded")]
    Codec(#[from] CodecError),
    /// A record is larger than the changelog takes.
    #[error(transparent)]
    TooLarge(#[from] RowTooLarge),
}

impl Task {
    /// Writes the rows that have changed since the last call, or since the last seal.
    ///
    /// # Errors
    /// Fails if a row can't be written. Then the caller must drop the output.
    pub(crate) fn write_changes(&mut self, output: &mut Output) -> Result<(), ChangesError> {
        let max = FORGET_MIN.max(2 * std::mem::take(&mut self.processed));
        self.forget_commands(max);
        // No input is being decided, so nothing would decide the follow-ups of last events.
        output.local.suspend(true);
        self.forget_aggregates(max, output);
        output.local.suspend(false);
        let (mut row, mut checked) = (Row::of(&self.topology.changelog), Ok(()));
        self.changes(&self.written, &mut |key, version, value| {
            row.set(&key, version);
            if checked.is_ok() {
                checked = row.check(value.as_deref());
            }
            row.write(self.partition, value.as_deref(), output);
        })?;
        checked?;
        self.written = self.savepoint();
        Ok(())
    }

    /// Writes the positions that have changed since the last seal, and counts the transaction.
    /// Call it once for each transaction that holds anything of the task, when none is in flight.
    pub(crate) fn write_positions(&self, output: &mut Output) -> Result<(), CodecError> {
        let mut row = Row::of(&self.topology.changelog);
        for (topic, next_offset) in &self.positions {
            let is_same = |sealed: &(Topic, i64)| sealed.0 == *topic && sealed.1 == *next_offset;
            if self.has_all_positions && self.sealed_positions.iter().any(is_same) {
                continue;
            }
            let applied = Applied { topic: topic.to_string(), next_offset: *next_offset };
            let value = encoded(&applied, &self.codec)?;
            row.set(&Key::Applied(topic), None);
            row.write(self.partition, Some(&value), output);
        }
        let next_offset = self.transactions + 1;
        let count = Applied { topic: TRANSACTIONS.to_owned(), next_offset };
        let value = encoded(&count, &self.codec)?;
        row.set(&Key::Applied(TRANSACTIONS), None);
        row.write(self.partition, Some(&value), output);
        Ok(())
    }

    /// From now on checks the changes of each input, until a transaction of this task is committed:
    /// whether they can be encoded, and their size. Encoding a state at each of its changes is
    /// slow, so otherwise only the rows that are written are checked. Returns `false` if each input
    /// was checked before.
    pub(crate) fn check_each_input(&mut self) -> bool {
        !std::mem::replace(&mut self.checks_each_input, true)
    }

    /// Checks that the changelog takes the changes since `before`, if each input is checked.
    pub(super) fn check_changes(&self, before: &TaskSavepoint) -> Result<(), InputError> {
        if !self.checks_each_input {
            return Ok(());
        }
        let (mut row, mut checked) = (Row::of(&self.topology.changelog), Ok(()));
        self.changes(before, &mut |key, version, value| {
            if checked.is_ok() {
                row.set(&key, version);
                checked = row.check(value.as_deref());
            }
        })
        .map_err(InputError::ChangesNotEncoded)?;
        checked.map_err(InputError::ChangesTooLarge)
    }

    /// Calls `visit` once for every row that has changed since `from`, with its latest value.
    fn changes(&self, from: &TaskSavepoint, visit: &mut Visit<'_>) -> Result<(), CodecError> {
        let codec = &*self.codec;
        let types = self.aggregates.iter().zip(&self.topology.aggregates);
        for ((aggregates, one), savepoint) in types.zip(from.aggregates) {
            aggregates.changes(savepoint, codec, &mut |change| {
                let key = match change.kind {
                    RowKind::State => Key::State(one.context, change.key),
                    RowKind::Child => Key::Child(one.context, change.key),
                };
                visit(key, change.version, change.value);
            })?;
        }
        for (id, row) in self.dedup.changes(from.dedup) {
            visit(Key::Dedup(id), None, row.map(|row| encoded(row, codec)).transpose()?);
        }
        for (name, row) in self.pending_commands.changes(from.pending_commands) {
            let Some((context, key)) = name.split_once('/') else { continue };
            let value = row.map(|row| encoded(row, codec)).transpose()?;
            visit(Key::Waiting(context, key), None, value);
        }
        for (name, due_ms) in self.timers.changes(from.timers) {
            let Some((context, key)) = name.split_once('/') else { continue };
            let timer = due_ms.map(|due_ms| Timer { due_at: *due_ms });
            let value = timer.map(|timer| encoded(&timer, codec)).transpose()?;
            visit(Key::Timer(context, key), None, value);
        }
        for (name, row) in self.parked.changes(from.parked) {
            let Some((topic, key)) = name.split_once('/') else { continue };
            let value = row.map(|row| encoded(row, codec)).transpose()?;
            visit(Key::Parked(topic, key), None, value);
        }
        Ok(())
    }
}
