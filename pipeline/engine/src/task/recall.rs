//! A task's memory in the log: what a transaction has to write of it, and how it is read back.

use std::{
    fmt::Write as _,
    panic::{AssertUnwindSafe, catch_unwind},
};

use bytes::Bytes;
use domain::decider::RETENTION;
use redpanda::{
    log::{Headers, Record, Topic},
    topics::record_bytes_max,
};
use schemas::{
    CodecError, Message,
    engine::{Applied, Handled, Parked, Timer, Waiting},
    headers,
};

use super::{Bounds, Place, Task};
use crate::{
    aggregate::{encoded, said},
    changelog::Key,
    output::{Output, check},
};

/// How many dedupe records, and how many places of each table of aggregates, are looked at for what
/// is to be forgotten when changes are written; where more was worked on, it is twice as many as
/// that, so that forgetting keeps up.
const FORGET_MIN: usize = 200;
/// How much of a key an error shows.
const KEY_SHOWN_BYTES_MAX: usize = 200;

/// Is given a key of the changelog, the version where the key is that of a state, and the value.
type Visit<'v> = dyn FnMut(Key<'_>, Option<i64>, Option<Bytes>) + 'v;

impl Task {
    /// Writes what has changed since this was last called, or since the last seal: each key once,
    /// with the value it has now. After a failure `output` is to be cut back.
    pub(crate) fn write_changes(&mut self, output: &mut Output) -> Result<(), Unwritten> {
        let max = FORGET_MIN.max(2 * std::mem::take(&mut self.worked));
        self.forget(max);
        self.retire(max, output);
        let (changelog, bytes_max) = self.changelog();
        let (mut row, mut refused) = (Row::default(), None);
        self.changes(&self.written, &mut |key, version, value| {
            row.set(&key, version);
            if let Err(error) = row.check(&changelog, bytes_max, value.as_deref()) {
                refused.get_or_insert(error);
            }
            let key = Some(row.key.as_bytes());
            output.records.push(&changelog, self.partition, key, value.as_deref(), &row.headers);
        })?;
        if let Some(error) = refused {
            return Err(Unwritten::TooLarge(error));
        }
        self.written = self.place();
        Ok(())
    }

    /// While changes are checked one by one: whether the changelog takes what has changed since
    /// `before`.
    pub(super) fn check_changes(&self, before: &Place) -> Result<(), String> {
        if !self.checks {
            return Ok(());
        }
        let (changelog, bytes_max) = self.changelog();
        let (mut row, mut checked) = (Row::default(), Ok(()));
        let done = self.changes(before, &mut |key, version, value| {
            if checked.is_ok() {
                row.set(&key, version);
                checked = row.check(&changelog, bytes_max, value.as_deref());
            }
        });
        done.map_err(|error| format!("what it changes can't be encoded: {error}"))?;
        checked.map_err(|error| format!("what it changes is too large: {error}"))
    }

    /// From now on the changes of each input are checked by themselves, until a transaction of this
    /// task is committed. Encoding a state at each of its changes is slow, so otherwise only what
    /// is written is checked.
    pub(crate) fn check_each(&mut self) {
        self.checks = true;
    }

    /// The topic that remembers this task, and its limit.
    fn changelog(&self) -> (Topic, usize) {
        let changelog = self.topology.changelog.clone();
        let bytes_max = record_bytes_max(&changelog);
        (changelog, bytes_max)
    }

    /// Calls `visit` for every key that has changed since `from`, once, with the value that it has
    /// now.
    fn changes(&self, from: &Place, visit: &mut Visit<'_>) -> Result<(), CodecError> {
        let codec = &*self.codec;
        for ((kind, context), savepoint) in
            self.kinds.iter().zip(&self.topology.contexts).zip(from.kinds)
        {
            kind.changes(savepoint, codec, &mut |member, (key, version, value)| {
                let key = if member { Key::Member(context, key) } else { Key::State(context, key) };
                visit(key, version, value);
            })?;
        }
        for (id, row) in self.handled.changes(from.own[0]) {
            visit(Key::Handled(id), None, row.map(|row| encoded(row, codec)).transpose()?);
        }
        for (name, row) in self.waiting.changes(from.own[1]) {
            let Some((context, key)) = name.split_once('/') else { continue };
            let value = row.map(|row| encoded(row, codec)).transpose()?;
            visit(Key::Waiting(context, key), None, value);
        }
        for (name, due_ms) in self.timers.changes(from.own[2]) {
            let Some((context, key)) = name.split_once('/') else { continue };
            let value =
                due_ms.map(|due_ms| encoded(&Timer { due_at: *due_ms }, codec)).transpose()?;
            visit(Key::Timer(context, key), None, value);
        }
        for (name, row) in self.parked.changes(from.own[3]) {
            let Some((topic, key)) = name.split_once('/') else { continue };
            let value = row.map(|row| encoded(row, codec)).transpose()?;
            visit(Key::Parked(topic, key), None, value);
        }
        Ok(())
    }

    /// Writes how far the inputs have been applied, where that has changed since the last seal.
    pub(crate) fn write_positions(&self, output: &mut Output) -> Result<(), CodecError> {
        let (changelog, mut row) = (&self.topology.changelog, Row::default());
        for (topic, next_offset) in &self.positions {
            let sealed = |sealed: &(Topic, i64)| sealed.0 == *topic && sealed.1 == *next_offset;
            if self.announced && self.sealed_positions.iter().any(sealed) {
                continue;
            }
            let applied = Applied { topic: topic.to_string(), next_offset: *next_offset };
            let value = encoded(&applied, &self.codec)?;
            row.set(&Key::Applied(topic), None);
            let key = Some(row.key.as_bytes());
            output.records.push(changelog, self.partition, key, Some(&value), &row.headers);
        }
        Ok(())
    }

    /// Forgets commands that are older than the horizon, with a margin for repeats that were sent
    /// just before it.
    fn forget(&mut self, max: usize) {
        let Bounds { horizon_ms, .. } = self.bounds;
        let before_ms = self.stream_ms - horizon_ms - horizon_ms / 24;
        for _ in 0..max {
            let Some((at_ms, id)) = self.expiry.pop_front_if(|(at_ms, _)| *at_ms < before_ms)
            else {
                break;
            };
            match self.handled.get(&id) {
                Some(handled) if handled.outcome.is_some() => self.handled.put(&id, None),
                // A saga that has not finished keeps its command, which is looked at again later.
                Some(_) => self.expiry.push_back((self.stream_ms.max(at_ms), id)),
                None => {}
            }
        }
    }

    /// Forgets aggregates and members whose retention has passed. A key with anything under way
    /// keeps its state.
    fn retire(&mut self, max: usize, output: &mut Output) {
        let Bounds { retention_ms, .. } = self.bounds;
        let at_ms = self.stream_ms;
        for index in 0..self.kinds.len() {
            for (member, key) in self.kinds[index].ended(at_ms, retention_ms, max) {
                if member {
                    self.kinds[index].forget(true, &key);
                    continue;
                }
                let context = self.topology.contexts[index];
                if self.waiting.get(&format!("{context}/{key}")).is_some()
                    || self.is_parked(&format!("{context}.followups"), &key)
                {
                    continue;
                }
                let (length, before) = (output.records.len(), self.place());
                match self.fire_at(index, &key, RETENTION, at_ms, output) {
                    Ok(()) => self.kinds[index].forget(false, &key),
                    Err(error) => {
                        self.roll_back(before);
                        output.records.truncate(length);
                        self.metrics.failed_timers.inc();
                        tracing::error!(
                            context,
                            key,
                            error,
                            "a finished aggregate could not be forgotten"
                        );
                    }
                }
            }
        }
    }

    /// Takes one record of the changelog back in. After a failure other than an unknown schema, the
    /// task is not whole.
    pub(crate) fn recall(&mut self, record: &Record) -> Result<(), RecallError> {
        catch_unwind(AssertUnwindSafe(|| self.try_recall(record)))
            .unwrap_or_else(|panic| Err(RecallError::Panic(said(&*panic).to_owned())))
    }

    fn try_recall(&mut self, record: &Record) -> Result<(), RecallError> {
        let key = record.key.as_deref().and_then(|key| std::str::from_utf8(key).ok());
        let parsed = key.and_then(Key::parse);
        let (Some(text), Some(key)) = (key, parsed) else {
            return Err(RecallError::Key(
                String::from_utf8_lossy(record.key.as_deref().unwrap_or(b"")).into(),
            ));
        };
        if self.is_foreign(key) {
            self.foreign += 1;
            return Ok(());
        }
        let (value, changed_ms) = (record.value.as_deref(), record.timestamp_ms);
        let codec = &*self.codec;
        let place = |context: &str| {
            let position = self.topology.contexts.iter().position(|c| *c == context);
            position.ok_or_else(|| RecallError::Key(text.to_owned()))
        };
        match key {
            Key::State(context, key) => {
                let version =
                    record.headers.text(headers::VERSION).and_then(|version| version.parse().ok());
                let index = place(context)?;
                self.kinds[index].load(false, key, version, value, changed_ms, codec)?;
            }
            Key::Member(context, key) => {
                let index = place(context)?;
                self.kinds[index].load(true, key, None, value, changed_ms, codec)?;
            }
            Key::Waiting(context, key) => {
                let value = value.map(|bytes| Waiting::decode(codec, bytes)).transpose()?;
                self.waiting.load(&format!("{context}/{key}"), value);
            }
            Key::Timer(context, key) => {
                let value = value.map(|bytes| Timer::decode(codec, bytes)).transpose()?;
                self.timers.load(&format!("{context}/{key}"), value.map(|timer| timer.due_at));
            }
            Key::Handled(id) => {
                let value = value.map(|bytes| Handled::decode(codec, bytes)).transpose()?;
                self.handled.load(id, value);
            }
            Key::Parked(topic, key) => {
                let value = value.map(|bytes| Parked::decode(codec, bytes)).transpose()?;
                self.parked.load(&format!("{topic}/{key}"), value);
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

    /// Whether a record is about a context or an input that this processor does not have: a newer
    /// version has it, or an older one had. Such records are left in the changelog as they are,
    /// untouched: a version that has the context finds all of it there again.
    fn is_foreign(&self, key: Key<'_>) -> bool {
        match key {
            Key::State(context, _)
            | Key::Member(context, _)
            | Key::Waiting(context, _)
            | Key::Timer(context, _) => !self.topology.contexts.contains(&context),
            Key::Parked(topic, _) | Key::Applied(topic) => {
                !self.topology.routes.iter().any(|(known, _)| **known == *topic)
            }
            Key::Handled(_) => false,
        }
    }

    /// The changelog has been read to its end.
    pub(crate) fn recalled(&mut self) {
        if self.foreign > 0 {
            let (partition, records) = (self.partition, self.foreign);
            tracing::warn!(
                partition,
                records,
                "the changelog holds records of contexts or topics that this version does not know; they are left as they are"
            );
        }
        let inputs = self.topology.inputs();
        self.announced =
            inputs.iter().all(|topic| self.positions.iter().any(|(known, _)| known == topic));
        self.count_queues();
        self.index();
    }
}

/// Key and headers of a changelog record. The version of a state is the one thing that is not in
/// its value.
#[derive(Debug, Default)]
struct Row {
    key: String,
    headers: Headers,
}

impl Row {
    fn set(&mut self, key: &Key<'_>, version: Option<i64>) {
        self.headers.clear();
        self.key.clear();
        // Nothing goes wrong on the way into a string.
        if let Some(version) = version {
            let _ = write!(self.key, "{version}");
            self.headers.push(headers::VERSION, &self.key);
            self.key.clear();
        }
        let _ = write!(self.key, "{key}");
    }

    fn check(&self, changelog: &str, bytes_max: usize, value: Option<&[u8]>) -> Result<(), String> {
        let checked = check(changelog, bytes_max, Some(self.key.as_bytes()), value, &self.headers);
        checked.map_err(|error| {
            let key = &self.key[..self.key.floor_char_boundary(KEY_SHOWN_BYTES_MAX)];
            format!("{}: {error}", key.escape_debug())
        })
    }
}

/// Why changes could not be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unwritten {
    /// A value can't be encoded.
    #[error("a state could not be encoded: {0}")]
    Codec(#[from] CodecError),
    /// A record is more than the changelog takes.
    #[error("{0}")]
    TooLarge(String),
}

/// Why a record of the changelog could not be taken back in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecallError {
    /// Its key is of no kind that this version knows.
    #[error(
        "{0:?} is a key of a kind that this version does not know, so a newer version has written it: start that \
         version again (pipeline/README.md, \"Rolling back\")"
    )]
    Key(String),
    /// The engine panicked on it.
    #[error("the engine panicked on it: {0}")]
    Panic(String),
    /// Its value can't be read.
    #[error(
        "{0}; where a newer version has written it, start that version again (pipeline/README.md, \"Rolling back\")"
    )]
    Codec(#[from] CodecError),
}

impl RecallError {
    /// The schema that must be learnt before the same record can be tried again.
    pub(crate) fn unknown_schema(&self) -> Option<u32> {
        match self {
            Self::Codec(CodecError::UnknownId(id)) => Some(*id),
            _ => None,
        }
    }
}
