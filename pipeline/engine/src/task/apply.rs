//! How a task works on one record or timer: decide, and write down what follows. It never does I/O.

use std::panic::{AssertUnwindSafe, catch_unwind};

use domain::decider::{Context, Verdict};
use redpanda::log::{Headers, Record};
use schemas::{
    Outcome, Record as _,
    engine::{Handled, Redrive, Waiting},
    headers,
};
use uuid::Uuid;

use super::Task;
use crate::{
    aggregate::{Decided, Effect, Emitted, Failure, Payload, encoded, said},
    changelog::MEMBER_SEPARATOR,
    envelope::{About, Envelope, KEY_BYTES_MAX, derive, shortened},
    output::Output,
    topology::Route,
};

impl Task {
    /// Decides on one record. `Err` names a writer's schema that must be learnt before the same
    /// call can be made again; then nothing has changed.
    pub(crate) fn apply(&mut self, record: &Record, output: &mut Output) -> Result<(), u32> {
        let length = output.records.len();
        let before = self.place();
        // Tables and output are put back to the savepoint before anyone looks at them again.
        let routed = catch_unwind(AssertUnwindSafe(|| self.route(record, output, true)));
        let error = match routed {
            Ok(Ok(())) => match self.check_changes(&before) {
                Ok(()) => {
                    self.applied(record);
                    return Ok(());
                }
                Err(error) => error,
            },
            Ok(Err(id)) => {
                self.roll_back(before);
                output.records.truncate(length);
                return Err(id);
            }
            Err(panic) => format!("the engine panicked on it: {}", said(&*panic)),
        };
        self.roll_back(before);
        output.records.truncate(length);
        self.fail(record, &error, output);
        Ok(())
    }

    /// Gives a record up that can't be read at all: its command fails, or its key is parked.
    pub(crate) fn fail(&mut self, record: &Record, error: &str, output: &mut Output) {
        let envelope = Envelope::of(record);
        match (self.key_of(record).map(str::to_owned), self.topology.route(&record.topic)) {
            (Ok(key), Some(Route::Commands(index))) => {
                self.bury(record, &envelope, Route::Commands(index), &key, error, output);
            }
            (Ok(key), Some(_)) => self.park(&key, record, error, output),
            (Err(key), Some(route)) => {
                self.bury(record, &envelope, route, "", &format!("{error}; {key}"), output)
            }
            (_, None) => {}
        }
        self.applied(record);
    }

    fn applied(&mut self, record: &Record) {
        self.latest_ms = self.latest_ms.max(record.timestamp_ms);
        self.touched = true;
        self.worked += 1;
        let next = record.offset + 1;
        match self.positions.iter_mut().find(|(topic, _)| *topic == record.topic) {
            Some((_, position)) => *position = next,
            None => self.positions.push((record.topic.clone(), next)),
        }
    }

    /// Fires the timers that are due at `now_ms`, up to `max` of them, and says how many those
    /// were.
    pub(crate) fn fire(&mut self, now_ms: i64, max: usize, output: &mut Output) -> usize {
        let mut fired = 0;
        while fired < max {
            let Some((due_ms, name)) =
                self.due.first().filter(|(due_ms, _)| *due_ms <= now_ms).cloned()
            else {
                break;
            };
            self.due.pop_first();
            // Replaced or cancelled since.
            if self.timers.get(&name) != Some(&due_ms) {
                continue;
            }
            fired += 1;
            self.touched = true;
            self.worked += 1;
            let length = output.records.len();
            self.timers.put(&name, None);
            let before = self.place();
            let done = self.fire_one(&name, due_ms, output);
            if let Err(error) = done.and_then(|()| self.check_changes(&before)) {
                // There is no record to park: the timer is gone, and people are told.
                self.roll_back(before);
                output.records.truncate(length);
                self.metrics.failed_timers.inc();
                let timer = name.escape_debug();
                tracing::error!(partition = self.partition, %timer, error, "a timer failed and was dropped");
            }
        }
        fired
    }

    /// When the next timer comes due, in milliseconds since the epoch.
    pub(crate) fn next_due(&self) -> Option<i64> {
        self.due.first().map(|(due_ms, _)| *due_ms)
    }

    fn fire_one(&mut self, name: &str, due_ms: i64, output: &mut Output) -> Result<(), String> {
        let (context, rest) = name.split_once('/').ok_or("it names no context")?;
        let (key, timer) = rest.split_once(MEMBER_SEPARATOR).ok_or("it has no name")?;
        let index =
            self.topology.contexts.iter().position(|c| *c == context).ok_or("no such context")?;
        self.fire_at(index, key, timer, due_ms, output)
    }

    /// Decides on a timer of an aggregate.
    pub(super) fn fire_at(
        &mut self,
        index: usize,
        key: &str,
        timer: &str,
        due_ms: i64,
        output: &mut Output,
    ) -> Result<(), String> {
        let context = self.topology.contexts[index];
        let envelope = Envelope::of_timer(context, key, timer, due_ms);
        let asked = Context {
            key,
            at_ms: due_ms,
            input_id: envelope.id,
            version: 0,
            principal: envelope.principal(),
        };
        match self.kinds[index].decide(Payload::Timer(timer), &asked, &self.codec) {
            Ok(decided) => self.emit(index, key, decided, &envelope, due_ms, output).map(drop),
            Err(Failure::Permanent(error)) => Err(error),
            Err(Failure::UnknownSchema(id)) => Err(format!("schema {id} is not known")),
        }
    }

    /// Gives a record to what decides on it. With `fresh`, it waits where its key is parked.
    pub(super) fn route(
        &mut self,
        record: &Record,
        output: &mut Output,
        fresh: bool,
    ) -> Result<(), u32> {
        let Some(route) = self.topology.route(&record.topic) else {
            tracing::error!(topic = %record.topic, "a record of a topic that is no input was left out");
            return Ok(());
        };
        let envelope = Envelope::of(record);
        let key = match self.key_of(record) {
            Ok(key) => key,
            Err(error) => {
                self.bury(record, &envelope, route, "", &error, output);
                return Ok(());
            }
        };
        if let Err(error) = envelope.check() {
            match route {
                Route::Commands(_) => self.bury(record, &envelope, route, key, &error, output),
                Route::FollowUps(_) | Route::Policy(_) => self.park(key, record, &error, output),
            }
            return Ok(());
        }
        if let Route::Commands(index) = route {
            return self.command(index, key, record, &envelope, output);
        }
        if fresh && self.is_parked(&record.topic, key) {
            self.park(key, record, "waits behind an earlier record of its key", output);
            return Ok(());
        }
        let length = output.records.len();
        let before = self.place();
        match self.react(route, key, record, &envelope, output) {
            Ok(()) => Ok(()),
            Err(Failure::UnknownSchema(id)) => Err(id),
            Err(Failure::Permanent(error)) => {
                self.roll_back(before);
                output.records.truncate(length);
                self.park(key, record, &error, output);
                Ok(())
            }
        }
    }

    /// A follow-up or another processor's event.
    fn react(
        &mut self,
        route: Route,
        key: &str,
        record: &Record,
        envelope: &Envelope,
        output: &mut Output,
    ) -> Result<(), Failure> {
        let at_ms = record.timestamp_ms;
        let permanent = |error: &str| Failure::Permanent(error.to_owned());
        let value = record
            .value
            .as_ref()
            .ok_or_else(|| permanent("a tombstone where a record was expected"))?;
        match route {
            Route::FollowUps(index) => {
                let asked = Context {
                    key,
                    at_ms,
                    input_id: envelope.id,
                    version: 0,
                    principal: envelope.principal(),
                };
                let decided =
                    self.kinds[index].decide(Payload::FollowUp(value), &asked, &self.codec)?;
                if let Verdict::Refused(refusal) = &decided.verdict {
                    return Err(permanent(&format!(
                        "refused a follow-up: {}: {}",
                        refusal.code, refusal.detail
                    )));
                }
                self.emit(index, key, decided, envelope, at_ms, output)
                    .map(drop)
                    .map_err(Failure::Permanent)
            }
            Route::Policy(index) => {
                let effects = (self.topology.policies[index])(&self.codec, value, envelope.id)?;
                let cause = Cause { context: "", key, envelope, at_ms };
                self.effects(&cause, effects, envelope.id, 0, output).map_err(Failure::Permanent)
            }
            Route::Commands(_) => {
                Err(permanent("a command where a follow-up or an event was expected"))
            }
        }
    }

    /// The record's key, if it is one that may stand in this partition.
    fn key_of<'r>(&self, record: &'r Record) -> Result<&'r str, String> {
        let key = record.key.as_deref().ok_or("it has no key")?;
        let text = std::str::from_utf8(key).map_err(|_| "its key is not UTF-8")?;
        if text.is_empty() || text.chars().any(char::is_control) {
            return Err("its key is empty or has control characters".to_owned());
        }
        if key.len() > KEY_BYTES_MAX {
            return Err(format!("its key has {} bytes, more than {KEY_BYTES_MAX}", key.len()));
        }
        let count = self.topology.partitions(&record.topic).unwrap_or(1);
        match redpanda::partition_of(key, count) {
            own if own == record.partition => Ok(text),
            own => Err(format!(
                "its key belongs to partition {own}: produce it with murmur2 partitioning"
            )),
        }
    }

    fn command(
        &mut self,
        index: usize,
        key: &str,
        record: &Record,
        envelope: &Envelope,
        output: &mut Output,
    ) -> Result<(), u32> {
        let at_ms = record.timestamp_ms;
        let id = envelope.id.hyphenated().to_string();
        if let Some(handled) =
            self.handled.get(&id).filter(|_| !redpanda::mutant::is_active("no-dedupe"))
        {
            // Answered again without doing it again; while it is pending, there is no answer yet.
            self.metrics.repeats.inc();
            if let Some(outcome) = handled.outcome.clone() {
                self.or_log(&outcome, |task| task.answer(&outcome, envelope, at_ms, output));
            }
            return Ok(());
        }
        let blank = self.blank(index, key, record, envelope);
        if at_ms < self.stream_ms - self.bounds.horizon_ms {
            let outcome =
                refused(blank, "expired", "it is older than what is remembered of commands");
            self.or_log(&outcome, |task| task.conclude(outcome.clone(), envelope, at_ms, output));
            return Ok(());
        }
        let length = output.records.len();
        let before = self.place();
        let outcome = if blank.command_type == Redrive::SCHEMA.name {
            self.redrive(key, record, blank, output)?
        } else {
            match self.decide_command(index, key, record, blank, envelope, output) {
                Ok(outcome) => outcome,
                Err(Failure::UnknownSchema(id)) => return Err(id),
                Err(Failure::Permanent(error)) => {
                    self.roll_back(before);
                    output.records.truncate(length);
                    self.bury(record, envelope, Route::Commands(index), key, &error, output);
                    return Ok(());
                }
            }
        };
        if let Some(outcome) = outcome {
            self.or_log(&outcome, |task| task.conclude(outcome.clone(), envelope, at_ms, output));
        }
        Ok(())
    }

    /// What became of a command; `None` while a saga has to finish first.
    fn decide_command(
        &mut self,
        index: usize,
        key: &str,
        record: &Record,
        blank: Outcome,
        envelope: &Envelope,
        output: &mut Output,
    ) -> Result<Option<Outcome>, Failure> {
        let at_ms = record.timestamp_ms;
        let asked = Context {
            key,
            at_ms,
            input_id: envelope.id,
            version: 0,
            principal: envelope.principal(),
        };
        let tombstone =
            || Failure::Permanent("a tombstone where a command was expected".to_owned());
        let value = record.value.as_ref().ok_or_else(tombstone)?;
        let length = output.records.len();
        let before = self.place();
        let decided = self.kinds[index].decide(Payload::Command(value), &asked, &self.codec)?;
        let (name, verdict, version) =
            self.emit(index, key, decided, envelope, at_ms, output).map_err(Failure::Permanent)?;
        let blank = Outcome { command_type: name.to_owned(), version, ..blank };
        Ok(match verdict {
            Verdict::Accepted => Some(Outcome { verdict: schemas::Verdict::Accepted, ..blank }),
            Verdict::Refused(refusal) => Some(refused(blank, refusal.code, &refusal.detail)),
            Verdict::Pending => {
                let queue = format!("{}/{key}", self.topology.contexts[index]);
                if self.waiting.get(&queue).is_none() {
                    self.wait(&queue, blank, envelope, at_ms);
                    return Ok(None);
                }
                self.roll_back(before);
                output.records.truncate(length);
                let version = self.kinds[index].version(key);
                let blank = Outcome { version, ..blank };
                Some(refused(
                    blank,
                    "in_progress",
                    "another command of this kind is still under way",
                ))
            }
        })
    }

    /// An outcome of a command that nothing has decided on.
    fn blank(&self, index: usize, key: &str, record: &Record, envelope: &Envelope) -> Outcome {
        Outcome {
            command_id: envelope.id,
            command_type: shortened(record.headers.text(headers::TYPE).unwrap_or_default())
                .to_owned(),
            verdict: schemas::Verdict::Failed,
            code: None,
            detail: None,
            aggregate: self.topology.contexts[index].to_owned(),
            aggregate_id: key.to_owned(),
            version: self.kinds[index].version(key),
            principal: envelope.principal().to_owned(),
            fingerprint: envelope.fingerprint.clone(),
            decided_at: record.timestamp_ms,
        }
    }

    /// A record that will never work becomes a dead letter, and its command ends as failed.
    pub(super) fn bury(
        &mut self,
        record: &Record,
        envelope: &Envelope,
        route: Route,
        key: &str,
        error: &str,
        output: &mut Output,
    ) {
        let error = shortened(error);
        let (topic, partition, offset) = (&record.topic, record.partition, record.offset);
        tracing::error!(%topic, partition, offset, key, error, "a record became a dead letter");
        self.metrics.dead_letter(topic);
        if let Err(error) = output.dead_letter(&self.topology, record, error) {
            tracing::error!(%topic, partition, offset, error, "a dead letter could not be written");
        }
        if let Route::Commands(index) = route {
            let blank = self.blank(index, key, record, envelope);
            let outcome = Outcome {
                code: Some("failed".to_owned()),
                detail: Some(error.to_owned()),
                ..blank
            };
            self.or_log(&outcome, |task| {
                task.conclude(outcome.clone(), envelope, record.timestamp_ms, output)
            });
        }
    }

    /// Remembers a command that a saga will conclude.
    fn wait(&mut self, queue: &str, blank: Outcome, envelope: &Envelope, at_ms: i64) {
        let id = blank.command_id.hyphenated().to_string();
        let waiting = Waiting {
            command_id: blank.command_id,
            command_type: blank.command_type,
            fingerprint: blank.fingerprint.clone(),
            correlation_id: envelope.correlation(),
            principal: blank.principal,
            since_at: at_ms,
        };
        self.waiting.put(queue, Some(waiting));
        self.remember(
            &id,
            Handled { fingerprint: blank.fingerprint, received_at: at_ms, outcome: None },
        );
    }

    fn remember(&mut self, id: &str, handled: Handled) {
        if self.handled.get(id).is_none() {
            self.expiry.push_back((handled.received_at, id.into()));
        }
        self.handled.put(id, Some(handled));
    }

    /// Answers a command for the first time, and remembers the answer.
    fn conclude(
        &mut self,
        outcome: Outcome,
        envelope: &Envelope,
        at_ms: i64,
        output: &mut Output,
    ) -> Result<(), String> {
        self.answer(&outcome, envelope, at_ms, output)?;
        self.metrics.outcome(&outcome);
        let id = outcome.command_id.hyphenated().to_string();
        let received_at = self.handled.get(&id).map_or(at_ms, |handled| handled.received_at);
        let fingerprint = outcome.fingerprint.clone();
        self.remember(&id, Handled { fingerprint, received_at, outcome: Some(outcome) });
        Ok(())
    }

    fn answer(
        &mut self,
        outcome: &Outcome,
        envelope: &Envelope,
        at_ms: i64,
        output: &mut Output,
    ) -> Result<(), String> {
        let key = outcome.command_id.hyphenated().to_string();
        let about = About {
            id: derive(&outcome.command_id, "outcome"),
            kind: Outcome::SCHEMA.name,
            key: &key,
            causation: envelope.id,
            version: None,
        };
        let headers = self.stamp.at(at_ms).headers(envelope, about);
        let value = encoded(outcome, &self.codec).map_err(|error| error.to_string())?;
        output.keyed(
            &self.topology,
            &self.topology.outcomes,
            key.as_bytes(),
            Some(&value),
            &headers,
        )
    }

    /// Writing an outcome can only fail where the topology is wrong: then people have to know.
    fn or_log(&mut self, outcome: &Outcome, write: impl FnOnce(&mut Self) -> Result<(), String>) {
        if let Err(error) = write(self) {
            tracing::error!(command.id = %outcome.command_id, error, "an outcome could not be written");
        }
    }

    /// Writes the events and effects of a decision; gives back the input's name, the verdict and
    /// the version.
    fn emit(
        &mut self,
        index: usize,
        key: &str,
        decided: Decided,
        envelope: &Envelope,
        at_ms: i64,
        output: &mut Output,
    ) -> Result<(&'static str, Verdict, i64), String> {
        let Decided { name, events, effects, verdict, version } = decided;
        let topology = self.topology.clone();
        let cause = Cause { context: topology.contexts[index], key, envelope, at_ms };
        for (number, event) in events.into_iter().enumerate() {
            let Emitted { name, value, version, effects } = event;
            // Nobody learns the id of an event that has neither headers nor effects.
            let id = match topology.plain && effects.is_empty() {
                true => Uuid::nil(),
                false => derive(&envelope.id, &format!("event {number}")),
            };
            let headers = match topology.plain {
                true => Headers::default(),
                false => {
                    let version = Some(version);
                    let about = About { id, kind: name, key, causation: envelope.id, version };
                    self.stamp.at(at_ms).headers(envelope, about)
                }
            };
            output.keyed(
                &topology,
                &topology.events[index],
                key.as_bytes(),
                Some(&value),
                &headers,
            )?;
            self.effects(&cause, effects, id, version, output)?;
        }
        self.effects(&cause, effects, envelope.id, version, output)?;
        Ok((name, verdict, version))
    }

    /// Carries out effects; `from` is the id of the event or input that they follow from.
    pub(super) fn effects(
        &mut self,
        cause: &Cause<'_>,
        effects: Vec<Effect>,
        from: Uuid,
        version: i64,
        output: &mut Output,
    ) -> Result<(), String> {
        let Cause { context, key, envelope, at_ms } = *cause;
        for (number, effect) in effects.into_iter().enumerate() {
            match effect {
                Effect::Send { topic, key, name, value } => {
                    let id = derive(&from, &format!("effect {number}"));
                    let about = About { id, kind: name, key: &key, causation: from, version: None };
                    let headers = self.stamp.at(at_ms).headers(envelope, about);
                    output.keyed(
                        &self.topology,
                        topic,
                        key.as_bytes(),
                        value.as_deref(),
                        &headers,
                    )?;
                }
                Effect::SetTimer { name, due_ms } => {
                    let name = format!("{context}/{key}{MEMBER_SEPARATOR}{name}");
                    self.due.insert((due_ms, name.as_str().into()));
                    self.timers.put(&name, Some(due_ms));
                }
                Effect::CancelTimer { name } => {
                    let name = format!("{context}/{key}{MEMBER_SEPARATOR}{name}");
                    if self.timers.get(&name).is_some() {
                        self.timers.put(&name, None);
                    }
                }
                Effect::Conclude(verdict) => {
                    self.conclude_waiting(cause, verdict, version, output)?
                }
            }
        }
        Ok(())
    }

    /// Ends the command that the aggregate still had to conclude, if there is one.
    fn conclude_waiting(
        &mut self,
        cause: &Cause<'_>,
        verdict: Verdict,
        version: i64,
        output: &mut Output,
    ) -> Result<(), String> {
        let queue = format!("{}/{}", cause.context, cause.key);
        let Some(waiting) = self.waiting.get(&queue).cloned() else { return Ok(()) };
        self.waiting.put(&queue, None);
        let outcome = Outcome {
            command_id: waiting.command_id,
            command_type: waiting.command_type,
            verdict: schemas::Verdict::Accepted,
            code: None,
            detail: None,
            aggregate: cause.context.to_owned(),
            aggregate_id: cause.key.to_owned(),
            version,
            principal: waiting.principal,
            fingerprint: waiting.fingerprint,
            decided_at: cause.at_ms,
        };
        let outcome = match verdict {
            Verdict::Accepted => outcome,
            Verdict::Refused(refusal) => refused(outcome, refusal.code, &refusal.detail),
            Verdict::Pending => return Err("a saga was concluded as pending".to_owned()),
        };
        self.conclude(outcome, cause.envelope, cause.at_ms, output)
    }
}

/// What brought an effect about.
#[derive(Clone, Copy)]
pub(super) struct Cause<'a> {
    pub(super) context: &'static str,
    pub(super) key: &'a str,
    pub(super) envelope: &'a Envelope,
    pub(super) at_ms: i64,
}

/// `blank` as a refusal.
pub(super) fn refused(blank: Outcome, code: &str, detail: &str) -> Outcome {
    Outcome {
        verdict: schemas::Verdict::Refused,
        code: Some(code.to_owned()),
        detail: Some(shortened(detail).to_owned()),
        ..blank
    }
}
