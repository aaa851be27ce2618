//! Fires timers. A timer is an input like a record, but has no offset: a timer that fails is
//! dropped with an alert, because there is no record to park.
//!
//! Most timers are the deadlines of replies, so the time in which no reply was possible does not
//! count: a timer is set later by the age of its input, and one that came due in such a time, or
//! within [`AFTER_RESUME_MS`] of its end, is set anew, [`GRACE_MS`] after its end. The new due time
//! is state, so that a service that restarts again and again fires the timer nevertheless.

use domain::decider::CommandStatus;
use schemas::chain;

use super::{
    Task,
    effects::{Cause, qualified_key},
};
use crate::{
    aggregate::Payload,
    changelog::NAME_SEPARATOR,
    envelope::Envelope,
    error::{Failure, InputError},
    output::Output,
};

/// How long timers that came due while no reply was possible still wait, in milliseconds: the
/// deadline of a saga. The service that should have replied may have been away too, and starts now.
const GRACE_MS: i64 = 30_000;
/// A timer that comes due this soon after such a time waits as long, in milliseconds: its reply is
/// on its way, or the service that should have sent it is not back yet. No decider sets a timer for
/// less time, so it was set before.
const AFTER_RESUME_MS: i64 = 5_000;
/// The milliseconds of a second at which timers that were set anew are due. It is how they are
/// recognised: see [`is_renewed`].
const RENEWED_MS: i64 = 999;

/// When a timer fires that is set anew because no reply was possible up to `resumed_ms`: up to a
/// second less than [`GRACE_MS`] later.
fn renewed(resumed_ms: i64) -> i64 {
    let due_ms = resumed_ms.saturating_add(GRACE_MS);
    due_ms - (due_ms - RENEWED_MS).rem_euclid(1_000)
}

/// Whether a timer was set anew. It does not wait again because the service has just returned, or a
/// service that restarts every few seconds might never fire it. One in a thousand other timers
/// looks like one, and fires when it is due.
fn is_renewed(due_ms: i64) -> bool {
    due_ms.rem_euclid(1_000) == RENEWED_MS
}

impl Task {
    /// Nobody could answer the task's follow-ups up to `now_ms` of the service's clock: it did not
    /// work, or could not read or write.
    pub(crate) fn resumed(&mut self, now_ms: i64) {
        self.resumed_ms = now_ms;
    }

    /// Tells the task the service's clock, from which the timers that it sets now may count.
    pub(crate) fn set_now(&mut self, now_ms: i64) {
        self.now_ms = now_ms;
    }

    /// When a timer comes due that an input of `at_ms` sets for `due_ms`: later by the time in
    /// which the input waited for its decision.
    pub(super) fn delayed(&self, due_ms: i64, at_ms: i64) -> i64 {
        due_ms.saturating_add(self.now_ms.saturating_sub(at_ms).max(0))
    }

    /// Fires, or sets anew, up to `max` timers that are due at `now_ms`, and returns their number.
    pub(crate) fn fire(&mut self, now_ms: i64, max: usize, output: &mut Output) -> usize {
        self.set_now(now_ms);
        // A clock that was set back must not have timers wait until it is as late again.
        self.resumed_ms = self.resumed_ms.min(now_ms);
        let mut fired = 0;
        while fired < max {
            let Some((due_ms, name)) = self.due.pop(now_ms) else { break };
            // The timer was replaced or cancelled after it was indexed.
            if self.timers.get(&name) != Some(&due_ms) {
                continue;
            }
            fired += 1;
            self.touched = true;
            self.processed += 1;
            let after_ms = if is_renewed(due_ms) { 0 } else { AFTER_RESUME_MS };
            if due_ms < self.resumed_ms.saturating_add(after_ms) {
                let due_ms = renewed(self.resumed_ms);
                self.due.insert(due_ms, &name);
                self.timers.put(&name, Some(due_ms));
                continue;
            }
            // The removal is before the savepoint, so a failed timer is gone and does not fire
            // again.
            self.timers.put(&name, None);
            let before = self.input_savepoint(output);
            let done = self.fire_named(&name, due_ms, output);
            if let Err(error) = done.and_then(|()| self.check_changes(&before.tables)) {
                self.undo(before, output);
                self.metrics.failed_timers.inc();
                let (partition, timer) = (self.partition, name.escape_debug());
                let error = chain(&error);
                tracing::error!(partition, %timer, error, "a timer failed and was dropped");
            }
        }
        fired
    }

    /// When the next timer comes due, in milliseconds since the epoch. Those due before
    /// `resumed_ms` need no wait: the next turn sets them anew, unless no reply is possible yet.
    pub(crate) fn next_due(&self) -> Option<i64> {
        self.due.next_ms(self.resumed_ms)
    }

    fn fire_named(
        &mut self,
        name: &str,
        due_ms: i64,
        output: &mut Output,
    ) -> Result<(), InputError> {
        let parts = || {
            let (context, rest) = name.split_once('/')?;
            let (key, timer) = rest.split_once(NAME_SEPARATOR)?;
            Some((context, key, timer))
        };
        let (context, key, timer) =
            parts().ok_or_else(|| InputError::TimerName(name.to_owned()))?;
        let index = self
            .topology
            .index_of(context)
            .ok_or_else(|| InputError::UnknownContext(context.to_owned()))?;
        self.fire_at(index, key, timer, due_ms, output).map(drop)
    }

    /// Fires a timer of an aggregate.
    pub(super) fn fire_at(
        &mut self,
        index: usize,
        key: &str,
        timer: &str,
        due_ms: i64,
        output: &mut Output,
    ) -> Result<CommandStatus, InputError> {
        let context = self.topology.aggregates[index].context;
        let mut envelope = Envelope::of_timer(context, key, timer, due_ms);
        // What the timer causes belongs to the command that the aggregate has pending, if any.
        if let Some(pending) = self.pending_commands.get(&qualified_key(context, key)) {
            envelope = envelope.correlated(&pending.correlation_id);
        }
        let cause = Cause { context, key, envelope: &envelope, at_ms: due_ms };
        let payload = Payload::Timer(timer);
        match self.aggregates[index].decide(payload, &cause.info(), &self.codec) {
            Ok(decided) => Ok(self.emit(index, &cause, decided, output)?),
            Err(Failure::Permanent(error)) => Err(error),
            Err(Failure::UnknownSchema(unknown)) => Err(InputError::UnknownSchema(unknown)),
        }
    }
}
