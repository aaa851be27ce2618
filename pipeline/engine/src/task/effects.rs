//! Writes the events of a decision, and carries out its effects. The ids of all records are derived
//! from the input's id, so a second decision on the same input writes the same ids.

use domain::decider::{CommandStatus, InputInfo, Refusal};
use redpanda::log::Headers;
use schemas::{Outcome, Verdict};
use uuid::Uuid;

use super::{Task, outcome::refused};
use crate::{
    aggregate::{Decided, Effect, Emitted},
    changelog::NAME_SEPARATOR,
    envelope::{Envelope, RecordHeaders, derive},
    error::WriteError,
    output::{Output, Sent},
};

/// The input that causes events and effects.
#[derive(Clone, Copy)]
pub(super) struct Cause<'a> {
    /// The context of the aggregate; empty for a policy without a state.
    pub(super) context: &'static str,
    pub(super) key: &'a str,
    pub(super) envelope: &'a Envelope,
    pub(super) at_ms: i64,
}

impl Cause<'_> {
    /// What the decider sees. The aggregate's version is added by the decider's tables.
    pub(super) fn info(&self) -> InputInfo<'_> {
        InputInfo {
            key: self.key,
            at_ms: self.at_ms,
            input_id: self.envelope.id,
            version: 0,
            principal: self.envelope.principal(),
        }
    }

    /// The name of the aggregate in the table of pending commands.
    pub(super) fn qualified_key(&self) -> String {
        qualified_key(self.context, self.key)
    }

    /// The name of the aggregate's timer in the table of timers.
    fn timer(&self, name: &str) -> String {
        format!("{}/{}{NAME_SEPARATOR}{name}", self.context, self.key)
    }
}

/// The name of an aggregate in the table of pending commands.
pub(super) fn qualified_key(context: &str, key: &str) -> String {
    format!("{context}/{key}")
}

impl Task {
    /// Writes the events and effects of a decision, and returns the status of the command.
    pub(super) fn emit(
        &mut self,
        index: usize,
        cause: &Cause<'_>,
        decided: Decided,
        output: &mut Output,
    ) -> Result<CommandStatus, WriteError> {
        let Decided { events, effects, status, version, .. } = decided;
        let topology = self.topology.clone();
        let (key, envelope) = (cause.key, cause.envelope);
        for (number, event) in events.into_iter().enumerate() {
            let Emitted { name, value, version, effects } = event;
            // The id of an event without headers and effects is in no record.
            let id = match topology.plain && effects.is_empty() {
                true => Uuid::nil(),
                false => derive(&envelope.id, &format!("event {number}")),
            };
            let headers = match topology.plain {
                true => Headers::default(),
                false => {
                    let (causation, version) = (envelope.id, Some(version));
                    let record = RecordHeaders { id, name, key, causation, version };
                    self.stamp.at(cause.at_ms).headers(envelope, record)
                }
            };
            let topic = &topology.aggregates[index].events;
            output.keyed(&topology, topic, key.as_bytes(), Some(&value), &headers)?;
            self.carry_out(cause, effects, id, version, output)?;
        }
        self.carry_out(cause, effects, envelope.id, version, output)?;
        Ok(status)
    }

    /// Carries out effects. `from` is the id of the event or input that they follow from.
    pub(super) fn carry_out(
        &mut self,
        cause: &Cause<'_>,
        effects: Vec<Effect>,
        from: Uuid,
        version: i64,
        output: &mut Output,
    ) -> Result<(), WriteError> {
        for (number, effect) in effects.into_iter().enumerate() {
            match effect {
                Effect::Send { topic, key, name, value } => {
                    let id = derive(&from, &format!("effect {number}"));
                    let (causation, version) = (from, None);
                    let record = RecordHeaders { id, name, key: &key, causation, version };
                    let headers = self.stamp.at(cause.at_ms).headers(cause.envelope, record);
                    let (sender, at_ms) = (cause.key, cause.at_ms);
                    let sent = Sent { topic, sender, key: &key, value, headers, id, at_ms };
                    output.send(&self.topology, sent)?;
                }
                Effect::SetTimer { name, due_ms } => {
                    let (name, due_ms) = (cause.timer(&name), self.delayed(due_ms, cause.at_ms));
                    self.due.insert(due_ms, &name);
                    self.timers.put(&name, Some(due_ms));
                }
                Effect::CancelTimer { name } => {
                    let name = cause.timer(&name);
                    if self.timers.get(&name).is_some() {
                        self.timers.put(&name, None);
                    }
                }
                Effect::Conclude(end) => self.conclude_pending(cause, end, version, output)?,
            }
        }
        Ok(())
    }

    /// Ends the aggregate's pending command, if there is one.
    fn conclude_pending(
        &mut self,
        cause: &Cause<'_>,
        end: Result<(), Refusal>,
        version: i64,
        output: &mut Output,
    ) -> Result<(), WriteError> {
        let name = cause.qualified_key();
        let Some(pending) = self.pending_commands.get(&name).cloned() else { return Ok(()) };
        self.pending_commands.put(&name, None);
        let accepted = Outcome {
            command_id: pending.command_id,
            command_type: pending.command_type,
            verdict: Verdict::Accepted,
            code: None,
            detail: None,
            aggregate: cause.context.to_owned(),
            aggregate_id: cause.key.to_owned(),
            version,
            principal: pending.principal,
            fingerprint: pending.fingerprint,
            decided_at: cause.at_ms,
        };
        let outcome = match end {
            Ok(()) => accepted,
            Err(refusal) => refused(accepted, refusal.code, &refusal.detail),
        };
        // The outcome belongs to the pending command, whichever input has concluded it.
        let envelope = cause.envelope.clone().correlated(&pending.correlation_id);
        self.try_conclude(outcome, &envelope, cause.at_ms, output)
    }
}
