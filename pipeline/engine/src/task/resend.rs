//! Sends a dead letter again, once: an operator's command names it, and an event tells who has done
//! so, when and why. The record is read from the topic of dead letters, so nobody can forge one.
//!
//! - A command is decided as a new command, under the id of the operator's command, whose outcome
//!   is then the decision's.
//! - A follow-up is written to its topic as a new record, behind those that wait there.
//! - An event is not written again: only its owner writes events. The policy derives its follow-ups
//!   from it once more.
//!
//! If the record fails again or its command is refused, everything is undone: nothing was sent, and
//! another attempt may follow.

use redpanda::log::{Record, TopicPartition};
use schemas::{
    Outcome, Verdict, chain,
    engine::{DeadLetterResent, Handled, ResendDeadLetter},
    headers,
};
use uuid::Uuid;

use super::{
    Task, command::is_operators, outcome::refused, redrive::STILL_FAILING, reveal::other_processor,
};
use crate::{
    bounds::shortened,
    envelope::{Envelope, RecordHeaders, derive},
    error::{Failure, Missing},
    letters::{Letter, LetterAt},
    output::{Output, Sent},
    topology::Route,
};

/// The code of a command for a dead letter that was sent again before.
const SENT_ALREADY: &str = "already_sent_again";
/// The code of a command for a dead letter that the log does not hold, or not for much longer.
const GONE: &str = "no_dead_letter";
/// The code of a command whose dead letter could not be read in time.
const UNREADABLE: &str = "dead_letter_unreadable";
/// The code of a command under another key than the dead letter's.
const OTHER_KEY: &str = "other_key";
/// The code of a command for a dead letter without a value.
const NO_VALUE: &str = "no_value";
/// The code of a command for a dead letter that is an operator's command itself.
const OPERATORS: &str = "operators_command";

const DAY_MS: i64 = 24 * 3_600_000;
/// How old a dead letter may be: as long as its topic keeps it. A task remembers longer that a dead
/// letter was sent again, so an old one can't be sent twice.
pub(super) const LETTER_AGE_MAX_MS: i64 = 28 * DAY_MS;
/// The beginning of the names of dead letters that were sent again, among the ids of commands.
const SENT: &str = "dead/";

/// The name of a dead letter in the table of commands, for which it is kept that it was sent.
fn name_of(at: &LetterAt) -> String {
    format!("{SENT}{}/{}/{}", at.partition.topic, at.partition.partition, at.offset)
}

/// Whether a name in the table of commands is that of a dead letter.
pub(super) fn is_letter(name: &str) -> bool {
    name.starts_with(SENT)
}

/// A dead letter that may be sent again.
struct Resent<'a> {
    route: Route,
    key: &'a str,
    /// The record, with the time of the operator's command.
    record: Record,
    value: bytes::Bytes,
    /// What its own headers say.
    own: Envelope,
}

/// Why a dead letter is not sent again: code and detail.
type Unsent = (&'static str, String);

impl Task {
    /// Sends a dead letter again. Returns `None` if it is a command whose saga must finish first.
    ///
    /// # Errors
    /// Returns the dead letter that must be read, or the schema that must be learnt, before the
    /// same call is repeated.
    pub(super) fn resend(
        &mut self,
        command: ResendDeadLetter,
        key: &str,
        record: &Record,
        envelope: &Envelope,
        undecided: Outcome,
        output: &mut Output,
    ) -> Result<Option<Outcome>, Missing> {
        let ResendDeadLetter { topic, partition, dead_offset, reason } = command;
        let Some(route) = self.topology.route(&topic.as_str().into()) else {
            return Ok(Some(other_processor(undecided, &topic)));
        };
        let letters = TopicPartition::new(format!("{topic}.dead"), partition);
        let at = LetterAt { partition: letters, offset: dead_offset };
        let resent = match self.resent(&at, route, key, record)? {
            Ok(resent) => resent,
            Err((code, detail)) => return Ok(Some(refused(undecided, code, &detail))),
        };
        let undecided = self.about(Some(route), key, undecided);
        let before = self.input_savepoint(output);
        let sent_id = match route {
            Route::Commands(_) => envelope.id,
            Route::FollowUps(_) => derive(&envelope.id, "resent"),
            Route::Policy(_) => resent.own.id,
        };
        let event = DeadLetterResent {
            topic,
            partition,
            dead_offset,
            command_id: envelope.id,
            principal: envelope.principal().to_owned(),
            reason: shortened(&reason).to_owned(),
            sent_id,
            resent_at: record.timestamp_ms,
        };
        self.write_action("resent", key, record, envelope, event, output);
        let accepted = Outcome { verdict: Verdict::Accepted, ..undecided.clone() };
        let received_at = record.timestamp_ms;
        let entry = Handled { fingerprint: None, received_at, outcome: Some(accepted) };
        self.keep(&name_of(&at), entry);
        let done = self.send_again(&resent, sent_id, envelope, undecided.clone(), output);
        let outcome = match done.map_err(|failure| self.permanent(failure)) {
            Ok(None) => return Ok(None),
            Ok(Some(outcome)) => outcome,
            Err(Failure::UnknownSchema(unknown)) => return Err(unknown.into()),
            Err(Failure::Permanent(error)) => {
                let detail = format!("{at} still fails: {}", chain(&error));
                refused(undecided, STILL_FAILING, &detail)
            }
        };
        if outcome.verdict != Verdict::Accepted {
            self.undo(before, output);
        }
        Ok(Some(outcome))
    }

    /// The dead letter, if it may be sent again by the command `record` under `key`.
    fn resent<'k>(
        &self,
        at: &LetterAt,
        route: Route,
        key: &'k str,
        record: &Record,
    ) -> Result<Result<Resent<'k>, Unsent>, Missing> {
        if let Some(entry) = self.dedup.get(&name_of(at)) {
            let by = entry.outcome.as_ref().map_or(Uuid::nil(), |outcome| outcome.command_id);
            return Ok(Err((SENT_ALREADY, format!("command {by} has sent {at} again"))));
        }
        let letter = match &self.letter {
            Some((of, letter)) if of == at => letter,
            _ => return Err(Missing::Letter(at.clone())),
        };
        let too_old_ms = record.timestamp_ms - LETTER_AGE_MAX_MS;
        let dead = match letter {
            Letter::Found(dead) if dead.timestamp_ms >= too_old_ms => dead,
            Letter::Found(_) | Letter::Gone => {
                return Ok(Err((GONE, format!("{at} is no dead letter, or not kept any more"))));
            }
            Letter::Unreadable(error) => return Ok(Err((UNREADABLE, error.clone()))),
        };
        Ok(fit(at, route, key, record, dead))
    }

    /// Decides on the record of a dead letter, or writes it again.
    fn send_again(
        &mut self,
        resent: &Resent<'_>,
        sent_id: Uuid,
        envelope: &Envelope,
        undecided: Outcome,
        output: &mut Output,
    ) -> Result<Option<Outcome>, Failure> {
        let Resent { route, key, record, value, own } = resent;
        own.check()?;
        let accepted = || Outcome { verdict: Verdict::Accepted, ..undecided.clone() };
        match *route {
            Route::Commands(index) => {
                // The decider sees who sent the command first.
                let envelope = envelope.in_the_name_of(own);
                self.decide_command(index, key, record, undecided, &envelope, output)
            }
            Route::FollowUps(_) => {
                let at_ms = record.timestamp_ms;
                let name = record.headers.text(headers::TYPE).unwrap_or_default();
                let causation = envelope.id;
                let written = RecordHeaders { id: sent_id, name, key, causation, version: None };
                let headers = self.stamp.at(at_ms).headers(own, written);
                let (topic, value) = (&*record.topic, Some(value.clone()));
                // Who sent it first is not known, so nobody knows which of those that wait it must
                // not overtake: it is read behind all of them. The command has the same key.
                let sent = Sent { topic, sender: key, key, value, headers, id: sent_id, at_ms };
                let was_suspended = output.local.suspend(true);
                let written = output.send(&self.topology, sent);
                output.local.suspend(was_suspended);
                written?;
                Ok(Some(accepted()))
            }
            Route::Policy(_) => {
                self.follow_up_or_event(*route, key, record, own, record.timestamp_ms, output)?;
                Ok(Some(accepted()))
            }
        }
    }
}

/// Checks that the dead letter belongs to this key and can be decided.
fn fit<'k>(
    at: &LetterAt,
    route: Route,
    key: &'k str,
    command: &Record,
    dead: &Record,
) -> Result<Resent<'k>, Unsent> {
    // Each command for a dead letter so comes to the one task that knows whether it was sent.
    if dead.key.as_deref() != Some(key.as_bytes()) {
        return Err((OTHER_KEY, format!("{at} has another key than {key:?}")));
    }
    let kind = dead.headers.text(headers::TYPE).unwrap_or_default();
    if is_operators(kind) {
        return Err((OPERATORS, format!("{at} is an operator's command, which is made anew")));
    }
    let Some(value) = dead.value.clone() else {
        let why = dead.headers.text("dead_omitted").unwrap_or("its topic's values are not copied");
        return Err((NO_VALUE, format!("{at} has no value: {why}")));
    };
    // Its own id, where no header has it, is derived from where the record was.
    let offset = dead.headers.text("dead_offset").and_then(|offset| offset.parse().ok());
    let topic = at.partition.topic.strip_suffix(".dead").unwrap_or_default().into();
    let first = Record { topic, offset: offset.unwrap_or(dead.offset), ..dead.clone() };
    let own = Envelope::of(&first);
    let record = Record { timestamp_ms: command.timestamp_ms, ..first };
    Ok(Resent { route, key, record, value, own })
}
