//! Loads a task from the records of its changelog. The worker reads them; nothing here reads a log.

use std::panic::{AssertUnwindSafe, catch_unwind};

use redpanda::log::Record;
use schemas::{
    CodecError, Message,
    engine::{Applied, Handled, Parked, Timer, Waiting},
    headers,
};

use super::Task;
use crate::{
    aggregate::{RowKind, StoredRow, panic_message},
    changelog::{Key, TRANSACTIONS},
    error::UnknownSchema,
};

/// Why a record of the changelog could not be loaded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    /// This version knows no key of this kind.
    #[error(
        "{0:?} is a key of a kind that this version does not know, so a newer version has written \
         it: start that version again (pipeline/README.md, \"Rolling back\")"
    )]
    Key(String),
    /// The engine panicked on the record.
    #[error("the engine panicked on it: {0}")]
    Panic(String),
    /// The value can't be decoded.
    #[error(
        "it can't be decoded; if a newer version has written it, start that version again \
         (pipeline/README.md, \"Rolling back\")"
    )]
    Codec(#[from] CodecError),
}

impl LoadError {
    /// The schema that must be learnt before the same record can be loaded.
    pub(crate) fn unknown_schema(&self) -> Option<UnknownSchema> {
        match self {
            Self::Codec(CodecError::UnknownId(id)) => Some(UnknownSchema(*id)),
            _ => None,
        }
    }
}

impl Task {
    /// Loads one record of the changelog.
    ///
    /// # Errors
    /// After any error but an unknown schema, the task is incomplete and must not be used.
    pub(crate) fn load(&mut self, record: &Record) -> Result<(), LoadError> {
        catch_unwind(AssertUnwindSafe(|| self.try_load(record)))
            .unwrap_or_else(|panic| Err(LoadError::Panic(panic_message(&*panic).to_owned())))
    }

    fn try_load(&mut self, record: &Record) -> Result<(), LoadError> {
        let bytes = record.key.as_deref().unwrap_or_default();
        let text = std::str::from_utf8(bytes).ok();
        let unknown = || LoadError::Key(String::from_utf8_lossy(bytes).into());
        let key = text.and_then(Key::parse).ok_or_else(unknown)?;
        if self.is_foreign(key) {
            self.foreign += 1;
            return Ok(());
        }
        let value = record.value.as_deref();
        let codec = &*self.codec;
        match key {
            Key::State(context, key) => {
                let version = record.headers.text(headers::VERSION);
                let version = version.and_then(|version| version.parse().ok());
                let (kind, changed_ms) = (RowKind::State, record.timestamp_ms);
                let index = self.topology.index_of(context).ok_or_else(unknown)?;
                let row = StoredRow { kind, key, version, value, changed_ms };
                self.aggregates[index].load(row, codec)?;
            }
            Key::Child(context, key) => {
                let (kind, changed_ms) = (RowKind::Child, record.timestamp_ms);
                let index = self.topology.index_of(context).ok_or_else(unknown)?;
                let row = StoredRow { kind, key, version: None, value, changed_ms };
                self.aggregates[index].load(row, codec)?;
            }
            Key::Waiting(context, key) => {
                let value = value.map(|bytes| Waiting::decode(codec, bytes)).transpose()?;
                self.pending_commands.load(&format!("{context}/{key}"), value);
            }
            Key::Timer(context, key) => {
                let value = value.map(|bytes| Timer::decode(codec, bytes)).transpose()?;
                self.timers.load(&format!("{context}/{key}"), value.map(|timer| timer.due_at));
            }
            Key::Dedup(id) => {
                let value = value.map(|bytes| Handled::decode(codec, bytes)).transpose()?;
                self.dedup.load(id, value);
            }
            Key::Parked(topic, key) => {
                let value = value.map(|bytes| Parked::decode(codec, bytes)).transpose()?;
                self.parked.load(&format!("{topic}/{key}"), value);
            }
            Key::Applied(TRANSACTIONS) => {
                let count = value.map(|bytes| Applied::decode(codec, bytes)).transpose()?;
                self.transactions = count.map_or(0, |count| count.next_offset);
            }
            Key::Applied(topic) => {
                let applied = value.map(|bytes| Applied::decode(codec, bytes)).transpose()?;
                self.positions.retain(|(known, _)| **known != *topic);
                if let Some(applied) = applied {
                    self.positions.push((topic.into(), applied.next_offset));
                }
            }
        }
        Ok(())
    }

    /// Whether a record belongs to a context or an input that this processor does not have: a newer
    /// version has it, or an older one had it. Such records stay in the changelog as they are, so
    /// that a version with the context finds all of them.
    fn is_foreign(&self, key: Key<'_>) -> bool {
        match key {
            Key::State(context, _)
            | Key::Child(context, _)
            | Key::Waiting(context, _)
            | Key::Timer(context, _) => self.topology.index_of(context).is_none(),
            Key::Dedup(_) | Key::Applied(TRANSACTIONS) => false,
            Key::Parked(topic, _) | Key::Applied(topic) => {
                !self.topology.routes.iter().any(|(known, _)| **known == *topic)
            }
        }
    }

    /// Completes the restore: all records of the changelog are loaded.
    pub(crate) fn finish_restore(&mut self) {
        if self.foreign > 0 {
            tracing::warn!(
                partition = self.partition,
                records = self.foreign,
                "the changelog has records of contexts or topics that this version does not know; \
                 they are left as they are"
            );
        }
        let has_position = |topic| self.positions.iter().any(|(known, _)| *known == topic);
        self.has_all_positions = self.topology.inputs().into_iter().all(has_position);
        self.count_queues();
        self.rebuild_indexes();
    }
}
