//! Commands: deduplication, expiry, and the decision. Every command ends in one outcome; a repeat
//! gets the same outcome without a second decision.

use domain::{
    decider::CommandStatus,
    refusals::{EXPIRED, IN_PROGRESS},
};
use redpanda::log::Record;
use schemas::{
    Message as _, Outcome, Verdict, chain,
    engine::{self, Handled, Waiting},
};

use super::{Task, effects::Cause, outcome::refused};
use crate::{
    aggregate::Payload,
    envelope::Envelope,
    error::{Failure, InputError, Missing},
    output::Output,
    topology::Route,
};

/// The code of an operator's command that can't be decoded.
const MALFORMED: &str = "malformed";

impl Task {
    /// Processes a command of the context with this index.
    pub(super) fn command(
        &mut self,
        index: usize,
        key: &str,
        record: &Record,
        envelope: &Envelope,
        output: &mut Output,
    ) -> Result<(), Missing> {
        let at_ms = record.timestamp_ms;
        let id = envelope.id.hyphenated().to_string();
        if let Some(entry) =
            self.dedup.get(&id).filter(|_| !redpanda::mutant::is_active("no-dedupe"))
        {
            self.metrics.repeats.inc();
            // A repeat of a pending command gets no outcome: the saga's end writes the only one.
            if let Some(outcome) = entry.outcome.clone() {
                self.repeat(&outcome, envelope, at_ms, output);
            }
            return Ok(());
        }
        let undecided = self.undecided(index, key, record, envelope);
        // The task may have forgotten the entry of a command that is older than the horizon, so it
        // can't tell a repeat from a first attempt.
        if at_ms < self.stream_ms - self.bounds.horizon_ms {
            let detail = "it is older than the dedupe horizon";
            self.conclude(refused(undecided, EXPIRED, detail), envelope, at_ms, output);
            return Ok(());
        }
        let before = self.input_savepoint(output);
        let outcome = if is_operators(&undecided.command_type) {
            self.operate(key, record, envelope, undecided, output)?
        } else {
            match self.decide_command(index, key, record, undecided, envelope, output) {
                Ok(outcome) => outcome,
                Err(Failure::UnknownSchema(unknown)) => return Err(unknown.into()),
                Err(Failure::Permanent(error)) => {
                    self.undo(before, output);
                    self.bury(record, envelope, Route::Commands(index), key, &error, output);
                    return Ok(());
                }
            }
        };
        if let Some(outcome) = outcome {
            self.conclude(outcome, envelope, at_ms, output);
        }
        Ok(())
    }

    /// Does what an operator's command says. Returns `None` if a saga must finish first.
    fn operate(
        &mut self,
        key: &str,
        record: &Record,
        envelope: &Envelope,
        undecided: Outcome,
        output: &mut Output,
    ) -> Result<Option<Outcome>, Missing> {
        let value = record.value.as_deref().unwrap_or_default();
        let command = match engine::Command::decode(&self.codec, value).map_err(Failure::from) {
            Ok(command) => command,
            Err(Failure::UnknownSchema(unknown)) => return Err(unknown.into()),
            Err(Failure::Permanent(error)) => {
                return Ok(Some(refused(undecided, MALFORMED, &chain(&error))));
            }
        };
        match command {
            engine::Command::Redrive(command) => {
                self.redrive(command, key, record, envelope, undecided, output).map(Some)
            }
            engine::Command::EditParkedRecord(command) => {
                self.edit(command, key, record, envelope, undecided, output).map(Some)
            }
            engine::Command::ResendDeadLetter(command) => {
                self.resend(command, key, record, envelope, undecided, output)
            }
            engine::Command::RevealDeadLetter(command) => {
                Ok(Some(self.reveal(command, key, record, envelope, undecided, output)))
            }
        }
    }

    /// Decides on a command. Returns `None` if a saga must finish first.
    pub(super) fn decide_command(
        &mut self,
        index: usize,
        key: &str,
        record: &Record,
        undecided: Outcome,
        envelope: &Envelope,
        output: &mut Output,
    ) -> Result<Option<Outcome>, Failure> {
        let value = record.value.as_ref().ok_or(InputError::Tombstone("a command"))?;
        let context = self.topology.aggregates[index].context;
        let cause = Cause { context, key, envelope, at_ms: record.timestamp_ms };
        let before = self.input_savepoint(output);
        let payload = Payload::Command(value);
        let decided = self.aggregates[index].decide(payload, &cause.info(), &self.codec)?;
        let (command_type, version) = (decided.name.to_owned(), decided.version);
        let status = self.emit(index, &cause, decided, output)?;
        let undecided = Outcome { command_type, version, ..undecided };
        Ok(match status {
            CommandStatus::Accepted => Some(Outcome { verdict: Verdict::Accepted, ..undecided }),
            CommandStatus::Refused(refusal) => {
                Some(refused(undecided, refusal.code, &refusal.detail))
            }
            CommandStatus::Pending => {
                let name = cause.qualified_key();
                if self.pending_commands.get(&name).is_none() {
                    self.wait(&name, undecided, &cause);
                    return Ok(None);
                }
                // A key has at most one pending command. The decision on a second one is undone,
                // its saga included.
                self.undo(before, output);
                let version = self.aggregates[index].version(key);
                let detail = "another command of this kind is still under way";
                Some(refused(Outcome { version, ..undecided }, IN_PROGRESS, detail))
            }
        })
    }

    /// Keeps a command that a saga will conclude.
    fn wait(&mut self, name: &str, undecided: Outcome, cause: &Cause<'_>) {
        let id = undecided.command_id.hyphenated().to_string();
        let fingerprint = undecided.fingerprint.clone();
        let pending = Waiting {
            command_id: undecided.command_id,
            command_type: undecided.command_type,
            fingerprint: undecided.fingerprint,
            correlation_id: cause.envelope.correlation(),
            principal: undecided.principal,
            since_at: cause.at_ms,
        };
        self.pending_commands.put(name, Some(pending));
        self.keep(&id, Handled { fingerprint, received_at: cause.at_ms, outcome: None });
    }
}

/// Whether a command of this type is an operator's, which every context accepts.
pub(super) fn is_operators(command_type: &str) -> bool {
    engine::Command::schemas().iter().any(|schema| schema.name == command_type)
}
