//! Applies one record: finds what decides on it, and undoes everything if it fails. It never does
//! I/O.

use std::panic::{AssertUnwindSafe, catch_unwind};

use domain::decider::CommandStatus;
use redpanda::log::Record;

use super::{Task, effects::Cause};
use crate::{
    aggregate::{Payload, panic_message},
    bounds::KEY_BYTES_MAX,
    envelope::Envelope,
    error::{Failure, InputError, KeyError, Missing},
    output::Output,
    topology::Route,
};

/// Whether a record waits if its key is parked. Only a re-drive applies a record of a parked key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Queueing {
    BehindParked,
    /// Of a re-drive, which decides it at this time: its deadlines count from there.
    Ignored {
        at_ms: i64,
    },
}

impl Task {
    /// Applies one record.
    ///
    /// # Errors
    /// Returns what must be fetched before the same call is repeated. Then nothing has changed.
    pub(crate) fn apply(&mut self, record: &Record, output: &mut Output) -> Result<(), Missing> {
        let before = self.input_savepoint(output);
        // Unwind safety: tables and output return to the savepoint before anything reads them.
        let routed =
            catch_unwind(AssertUnwindSafe(|| self.route(record, output, Queueing::BehindParked)));
        let error = match routed {
            Ok(Ok(())) => match self.check_changes(&before.tables) {
                Ok(()) => {
                    self.applied(record);
                    return Ok(());
                }
                Err(error) => error,
            },
            Ok(Err(missing)) => {
                self.undo(before, output);
                return Err(missing);
            }
            Err(panic) => InputError::EnginePanicked(panic_message(&*panic).to_owned()),
        };
        // The input has failed for good. It still counts as applied: its position moves on.
        self.undo(before, output);
        self.fail(record, error, output);
        Ok(())
    }

    /// Applies a follow-up of the same transaction. Its offset is not known, so no position moves,
    /// and a failure can't park it.
    ///
    /// # Errors
    /// Fails if the follow-up can't be applied now. Then nothing has changed, and the input that
    /// caused it must be applied again with its follow-ups left to be read.
    pub(crate) fn apply_local(
        &mut self,
        record: &Record,
        output: &mut Output,
    ) -> Result<(), InputError> {
        let before = self.input_savepoint(output);
        // Unwind safety: as in [`Self::apply`].
        let applied = catch_unwind(AssertUnwindSafe(|| self.route_local(record, output)));
        let applied = applied.unwrap_or_else(|panic| {
            Err(InputError::EnginePanicked(panic_message(&*panic).to_owned()))
        });
        if let Err(error) = applied.and_then(|()| self.check_changes(&before.tables)) {
            self.undo(before, output);
            return Err(error);
        }
        self.latest_ms = self.latest_ms.max(record.timestamp_ms);
        self.touched = true;
        self.processed += 1;
        Ok(())
    }

    fn route_local(&mut self, record: &Record, output: &mut Output) -> Result<(), InputError> {
        let Some(route @ Route::FollowUps(_)) = self.topology.route(&record.topic) else {
            return Err(InputError::UnexpectedCommand);
        };
        let envelope = Envelope::of(record);
        let key = self.key_of(record)?;
        envelope.check()?;
        if self.is_parked(&record.topic, key) {
            return Err(InputError::BehindParked);
        }
        let at_ms = record.timestamp_ms;
        match self.follow_up_or_event(route, key, record, &envelope, at_ms, output) {
            Ok(()) => Ok(()),
            Err(Failure::UnknownSchema(unknown)) => Err(InputError::UnknownSchema(unknown)),
            Err(Failure::Permanent(error)) => Err(error),
        }
    }

    /// Counts a record as applied, and moves the position of its topic behind it.
    pub(super) fn applied(&mut self, record: &Record) {
        self.latest_ms = self.latest_ms.max(record.timestamp_ms);
        self.touched = true;
        self.processed += 1;
        let next = record.offset + 1;
        match self.positions.iter_mut().find(|(topic, _)| *topic == record.topic) {
            Some((_, position)) => *position = next,
            None => self.positions.push((record.topic.clone(), next)),
        }
        self.was_read(record);
    }

    /// Passes a record to its decider or policy, according to its topic. A record that fails for
    /// good becomes a dead letter or is parked.
    pub(super) fn route(
        &mut self,
        record: &Record,
        output: &mut Output,
        queueing: Queueing,
    ) -> Result<(), Missing> {
        let Some(route) = self.topology.route(&record.topic) else {
            let topic = &record.topic;
            tracing::error!(%topic, "a record of a topic that is no input was ignored");
            return Ok(());
        };
        let envelope = Envelope::of(record);
        let key = match self.key_of(record) {
            Ok(key) => key,
            Err(error) => {
                self.bury(record, &envelope, route, "", &error.into(), output);
                return Ok(());
            }
        };
        if let Err(error) = envelope.check() {
            match route {
                Route::Commands(_) => self.bury(record, &envelope, route, key, &error, output),
                Route::FollowUps(_) | Route::Policy(_) => self.park(key, record, error, output),
            }
            return Ok(());
        }
        if let Route::Commands(index) = route {
            return self.command(index, key, record, &envelope, output);
        }
        if queueing == Queueing::BehindParked && self.is_parked(&record.topic, key) {
            self.park(key, record, InputError::BehindParked, output);
            return Ok(());
        }
        let before = self.input_savepoint(output);
        let at_ms = match queueing {
            Queueing::BehindParked => record.timestamp_ms,
            Queueing::Ignored { at_ms } => at_ms,
        };
        let applied = self.follow_up_or_event(route, key, record, &envelope, at_ms, output);
        match applied.map_err(|failure| self.permanent(failure)) {
            Ok(()) => Ok(()),
            Err(Failure::UnknownSchema(unknown)) => Err(unknown.into()),
            Err(Failure::Permanent(error)) => {
                self.undo(before, output);
                self.park(key, record, error, output);
                Ok(())
            }
        }
    }

    /// Applies a follow-up, or an event of another processor, at `at_ms`.
    pub(super) fn follow_up_or_event(
        &mut self,
        route: Route,
        key: &str,
        record: &Record,
        envelope: &Envelope,
        at_ms: i64,
        output: &mut Output,
    ) -> Result<(), Failure> {
        let value = record.value.as_ref().ok_or(InputError::Tombstone("a record"))?;
        match route {
            Route::FollowUps(index) => {
                let context = self.topology.aggregates[index].context;
                let cause = Cause { context, key, envelope, at_ms };
                let payload = Payload::FollowUp(value);
                let decided = self.aggregates[index].decide(payload, &cause.info(), &self.codec)?;
                // A refusal of a follow-up is a bug of the domain: the sender can't react to it.
                if let CommandStatus::Refused(refusal) = decided.status {
                    let (code, detail) = (refusal.code, refusal.detail);
                    return Err(InputError::FollowUpRefused { code, detail }.into());
                }
                self.emit(index, &cause, decided, output)?;
                Ok(())
            }
            Route::Policy(index) => {
                let effects = (self.topology.policies[index])(&self.codec, value, envelope.id)?;
                let cause = Cause { context: "", key, envelope, at_ms };
                self.carry_out(&cause, effects, envelope.id, 0, output)?;
                Ok(())
            }
            Route::Commands(_) => Err(InputError::UnexpectedCommand.into()),
        }
    }

    /// The record's key, if it is valid and belongs to this partition.
    pub(super) fn key_of<'r>(&self, record: &'r Record) -> Result<&'r str, KeyError> {
        let key = record.key.as_deref().ok_or(KeyError::Missing)?;
        let text = std::str::from_utf8(key).map_err(KeyError::NotUtf8)?;
        if text.is_empty() || text.chars().any(char::is_control) {
            return Err(KeyError::NotPrintable);
        }
        if key.len() > KEY_BYTES_MAX {
            return Err(KeyError::TooLong(key.len()));
        }
        let partitions = self
            .topology
            .partitions(&record.topic)
            .ok_or_else(|| KeyError::UnknownTopic(record.topic.to_string()))?;
        match redpanda::partition_of(key, partitions) {
            own if own == record.partition => Ok(text),
            other => Err(KeyError::OtherPartition(other)),
        }
    }
}
