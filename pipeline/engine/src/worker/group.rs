//! Reacts to changes of the group: assigned tasks are restored, and revoked or lost tasks are
//! released without an open transaction. It never decides which member gets which task.

use std::time::Instant;

use redpanda::log::{Membership, Session};
use schemas::chain;

use super::{
    Worker,
    error::{NotRestored, SessionError},
    settings::COMMIT_MAX,
};
use crate::task::Task;

impl Worker {
    pub(super) fn change(
        &mut self,
        session: &mut dyn Session,
        change: Membership,
    ) -> Result<(), SessionError> {
        tracing::info!(processor = self.topology.processor, ?change, "the group has changed");
        self.assigned = !matches!(change, Membership::Lost(_));
        match change {
            Membership::Assigned(partitions) => {
                // A task is always restored from its changelog's beginning, even if this worker had
                // it before: timers change state without moving an offset, so equal offsets do not
                // prove equal state.
                let now = Instant::now();
                self.unread.extend(partitions.into_iter().map(|partition| (partition, now)));
            }
            Membership::Revoked(partitions) | Membership::Lost(partitions) => {
                self.release(session, &partitions)?;
            }
        }
        Ok(())
    }

    /// Releases tasks, and leaves no open transaction and no pending write of theirs.
    pub(super) fn release(
        &mut self,
        session: &mut dyn Session,
        partitions: &[i32],
    ) -> Result<(), SessionError> {
        // A part of the next batch is in an open transaction. It must be aborted here: the tasks'
        // next owner asks for stable offsets, and would wait until the transaction times out.
        if self.in_flight.is_none() && self.batch.is_partly_written() {
            session.abandon()?;
            self.in_flight = Some(Instant::now());
        }
        // A revocation has waited for the transaction in flight already; after a loss the
        // transaction can only fail. Either way its end must be known before the tasks are
        // released.
        if self.in_flight.is_some() && self.end_of_transaction(session, COMMIT_MAX)?.is_none() {
            return Err(SessionError::NoAnswerBeforeRelease);
        }
        // The pending batch may hold writes of the released tasks, so the tasks that stay decide
        // their part of it again.
        self.active.values_mut().for_each(Task::drop_pending);
        self.clear_batch();
        self.batch.open_partitions().released(partitions);
        // Tasks that still need a schema or a dead letter request it again.
        self.learner.clear();
        self.letters.clear();
        for partition in partitions {
            self.active.remove(partition);
            self.awaiting.remove(partition);
            self.restoring.remove(partition);
            self.unread.remove(partition);
            self.stuck.remove(partition);
            self.forget_progress(*partition);
        }
        self.fetch(session)
    }

    /// Schedules what follows a restore that has not ended with a working task.
    pub(super) fn not_restored(
        &mut self,
        partition: i32,
        error: NotRestored,
    ) -> Result<(), SessionError> {
        match error {
            NotRestored::Retry(error) => self.restore_again(partition, &chain(&error)),
            NotRestored::Stuck(error) => self.set_aside(partition, chain(&error)),
            NotRestored::Session(error) => return Err(error),
        }
        Ok(())
    }

    /// Restores a task again from the beginning of its changelog, after a short wait.
    pub(super) fn restore_again(&mut self, partition: i32, reason: &str) {
        let processor = self.topology.processor;
        tracing::warn!(processor, partition, reason, "a task is restored again");
        self.unread.insert(partition, Instant::now() + self.settings.rebuild_wait);
    }

    /// Sets a stuck task aside, so that the others work. The first time, the task is restored again
    /// after a short wait, because what it read may have changed meanwhile. If that fails too, an
    /// operator is alerted, and the next restore begins after a longer wait.
    fn set_aside(&mut self, partition: i32, reason: String) {
        if !self.stuck.contains_key(&partition) {
            self.restore_again(partition, &reason);
            self.stuck.insert(partition, reason);
            return;
        }
        self.alert(partition, reason);
    }

    /// Alerts an operator of a stuck task, which is restored again after a longer wait.
    pub(super) fn alert(&mut self, partition: i32, reason: String) {
        let processor = self.topology.processor;
        tracing::error!(processor, partition, reason, "a task is stuck; the others work");
        self.stuck.insert(partition, reason);
        self.unread.insert(partition, Instant::now() + self.settings.stuck_wait);
    }
}
