//! Hands batches over to the log, and reacts to the end of transactions.
//!
//! ```text
//!               decide             part_min records           due
//!   [empty] ------------> [pending] ------------> [partly written] ---+
//!                             |                                       | submit: changelog rows,
//!                             +---------------- due ------------------+ positions, offsets
//!                                                                     v
//!            commit, tasks: in flight -> committed <------------ [in flight]
//!            abort, tasks drop in flight and pending <-----------     |
//!            fenced, unknown end: the session is rebuilt <------------+
//! ```
//!
//! One transaction is in flight at most. While it is, the tasks decide the next batch on top of it,
//! but nothing of that batch is sent: a producer has one transaction at a time, and if the one in
//! flight is aborted, the next batch was decided on a state that never existed. So the effects of a
//! batch leave this process only after the commit of the batch before it.
//!
//! Every transaction sends the offsets of its tasks, once, with its last part. That fences a zombie
//! (KIP-447), even if the batch holds only timers. They are not sent twice, because Redpanda
//! refuses that.

use std::time::{Duration, Instant};

use redpanda::log::{
    CommittedOffset, ProducerRecords, Session, TopicPartition, Transaction, TransactionError,
};
use schemas::chain;

use super::{
    Worker,
    error::SessionError,
    pace::Pace,
    settings::{ABORT_WAIT_MAX, COMMIT_MAX, COMMIT_WAIT},
};
use crate::task::Task;

/// The end of a transaction after which the session can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Committed,
    Aborted,
}

/// Whether a batch can be handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Handover {
    Ready,
    /// A change can't be written, so the batch was dropped, and its inputs are read again.
    Dropped,
}

impl Worker {
    /// Hands the pending batch over if it is due, or writes a part of it. Returns whether it did
    /// anything.
    pub(super) fn submit_when_due(
        &mut self,
        session: &mut dyn Session,
        drained: bool,
    ) -> Result<bool, SessionError> {
        let Some(since) = self.batch.since() else { return Ok(false) };
        let is_full = self.batch.inputs() >= self.settings.records_max
            || self.batch.bytes() >= self.settings.bytes_max;
        let on_time = self.until_due().is_zero()
            && match self.settings.commit_interval {
                Some(interval) => drained || !interval.is_zero(),
                None => drained || Pace::is_overdue(since.elapsed()),
            };
        let is_due = is_full || on_time || since.elapsed() >= self.settings.age_max;
        // The previous transaction must have ended. Only a batch that is due waits for that, and
        // only for some milliseconds, because the worker must also serve the group.
        if self.in_flight.is_some() && !(is_due && self.complete(session, COMMIT_WAIT)?) {
            return Ok(false);
        }
        // The previous transaction may have been aborted, and this batch dropped with it.
        if self.batch.inputs() == 0 {
            return Ok(true);
        }
        // A large batch is written in parts, so that the log stores one part while the tasks decide
        // the next. This opens the transaction; it can still be aborted as a whole.
        let has_part = self.batch.output.records.len() >= self.settings.part_min;
        if has_part {
            self.write_part(session)?;
        }
        // Writing the part may have dropped the batch.
        if is_due && self.batch.inputs() > 0 {
            self.follow(session);
            self.submit(session)?;
        }
        Ok(has_part || is_due)
    }

    /// Writes the records decided so far as a part of their transaction.
    fn write_part(&mut self, session: &mut dyn Session) -> Result<(), SessionError> {
        if self.write_changes(session)? == Handover::Dropped {
            return Ok(());
        }
        let records = self.take_output();
        self.batch.wrote(&records);
        self.open_since.get_or_insert_with(Instant::now);
        Ok(session.write(records)?)
    }

    /// Submits the pending batch: its last records, the changelog records and positions of its
    /// tasks, and the offsets.
    pub(super) fn submit(&mut self, session: &mut dyn Session) -> Result<(), SessionError> {
        if self.write_changes(session)? == Handover::Dropped {
            return Ok(());
        }
        let transaction = self.gather()?;
        // Sealing comes before submitting: from now on every write belongs to the next batch.
        self.active.values_mut().filter(|task| task.touched()).for_each(Task::seal);
        self.metrics.begun.inc();
        session.submit(transaction)?;
        let now = Instant::now();
        self.in_flight = Some(now);
        self.open_since.get_or_insert(now);
        self.pace.submitted(self.batch.inputs(), now);
        self.batch.submitted();
        self.spans.submitted();
        Ok(())
    }

    /// Adds the changelog records of all tasks to the output.
    fn write_changes(&mut self, session: &mut dyn Session) -> Result<Handover, SessionError> {
        for task in self.active.values_mut().filter(|task| task.touched()) {
            let Err(error) = task.write_changes(&mut self.batch.output) else { continue };
            if !task.check_each_input() {
                // No input is at fault, so deciding them again would change nothing.
                return Err(error.into());
            }
            // A state is encoded and measured only now, and the batch does not tell which of its
            // inputs made the state too large, or such that it can't be encoded. So the batch is
            // decided again with a check after each input, and the input at fault fails alone.
            tracing::warn!(
                processor = self.topology.processor,
                partition = task.partition,
                error = chain(&error),
                "a change can't be written: the batch is decided again, input by input"
            );
            self.drop_pending(session)?;
            return Ok(Handover::Dropped);
        }
        Ok(Handover::Ready)
    }

    /// Drops the pending batch, aborts the part of it that is written, and reads its input again.
    /// No other transaction may be in flight.
    fn drop_pending(&mut self, session: &mut dyn Session) -> Result<(), SessionError> {
        if self.batch.is_partly_written() {
            // The abort is in flight like a commit: nothing is written until it has ended.
            session.abandon()?;
            self.in_flight = Some(Instant::now());
        }
        self.active.values_mut().for_each(Task::drop_pending);
        self.clear_batch();
        self.fetch(session)
    }

    /// Gathers the records that are not written yet, and the offsets of the whole transaction.
    fn gather(&mut self) -> Result<Transaction, SessionError> {
        let mut offsets = Vec::new();
        for task in self.active.values_mut().filter(|task| task.touched()) {
            let written = task.write_positions(&mut self.batch.output);
            written.map_err(SessionError::Position)?;
            // The changelog's positions and the group's offsets are equal in every transaction, and
            // so are the counts of transactions. A restore relies on that.
            let transactions = Some(task.transactions() + 1);
            offsets.extend(task.positions().iter().map(|(topic, next)| {
                let input = TopicPartition { topic: topic.clone(), partition: task.partition };
                (input, CommittedOffset { next: *next, transactions })
            }));
        }
        Ok(Transaction { records: self.take_output(), offsets })
    }

    fn take_output(&mut self) -> ProducerRecords {
        let records = self.batch.output.records.take();
        self.metrics.records_out.inc_by(records.len() as u64);
        records
    }

    /// Waits up to `wait` for the end of the transaction in flight, or for the failure of a part
    /// that was written. Returns whether it has ended.
    pub(super) fn complete(
        &mut self,
        session: &mut dyn Session,
        wait: Duration,
    ) -> Result<bool, SessionError> {
        let ended = self.end_of_transaction(session, wait)?;
        if ended == Some(Ended::Aborted) {
            // The positions have returned to the last commit: the input is read again from there.
            self.fetch(session)?;
        }
        Ok(ended.is_some())
    }

    /// Like [`Self::complete`], but after an abort the caller must fetch.
    pub(super) fn end_of_transaction(
        &mut self,
        session: &mut dyn Session,
        wait: Duration,
    ) -> Result<Option<Ended>, SessionError> {
        if self.in_flight.is_none() && !self.batch.is_partly_written() {
            return Ok(None);
        }
        let taken = self.in_flight.map_or(Duration::ZERO, |since| since.elapsed());
        match session.completed(wait) {
            None if taken > COMMIT_MAX => {
                // The broker has ended the transaction by now, one way or the other. Only the log
                // knows which.
                self.metrics.aborted.with_label_values(&["unknown"]).inc();
                Err(SessionError::CommitTimeout(COMMIT_MAX))
            }
            None => Ok(None),
            Some(Ok(())) => {
                self.committed(taken);
                Ok(Some(Ended::Committed))
            }
            Some(Err(TransactionError::Aborted(reason))) => {
                self.aborted(&reason);
                Ok(Some(Ended::Aborted))
            }
            Some(Err(TransactionError::Fenced(detail))) => {
                // Another session owns the transactional id, and perhaps the tasks. It decides what
                // happens to the input; this one must not write any more.
                self.metrics.aborted.with_label_values(&["fenced"]).inc();
                Err(SessionError::Fenced(detail))
            }
            Some(Err(error @ TransactionError::Unknown(_))) => {
                // Treating it as aborted could apply the input twice; treating it as committed
                // could lose it. So memory is discarded, and the log decides.
                self.metrics.aborted.with_label_values(&["unknown"]).inc();
                Err(SessionError::UnknownEnd(error))
            }
        }
    }

    /// Makes the writes in flight final in every task. The pending batch stays, and may be
    /// submitted.
    fn committed(&mut self, taken: Duration) {
        (self.in_flight, self.open_since) = (None, None);
        self.active.values_mut().for_each(Task::commit);
        // A task that is restored now may begin to read before a follow-up of this transaction.
        self.batch.open_partitions().committed(|partition| {
            self.active.contains_key(&partition)
                || self.restoring.contains_key(&partition)
                || self.unread.contains_key(&partition)
        });
        self.spans.committed(self.topology.processor);
        if let Some(looked_at) = self.positions_pending.take() {
            self.positions_at = looked_at;
        }
        self.metrics.committed.inc();
        self.metrics.seconds.observe(taken.as_secs_f64());
        (self.fenced, self.aborts) = (0, 0);
        self.rebuild_wait = self.settings.rebuild_wait;
    }

    /// Undoes in every task the writes in flight, and the pending ones on top of them.
    fn aborted(&mut self, reason: &str) {
        let wait = self.pause_after_abort();
        tracing::warn!(
            processor = self.topology.processor,
            reason,
            aborted = self.aborts,
            wait_ms = wait.as_millis(),
            "a transaction was aborted; its input is read again"
        );
        self.metrics.aborted.with_label_values(&["aborted"]).inc();
        self.in_flight = None;
        self.active.values_mut().for_each(Task::abort);
        self.batch.open_partitions().aborted();
        self.spans.aborted();
        self.clear_batch();
        // The brokers have answered, but nothing could be written for so long.
        let open = self.open_since.take();
        if open.is_some_and(|since| since.elapsed() >= self.settings.slow_abort) {
            self.resumed();
        }
    }

    /// Pauses reading and timers after repeated aborts, for longer each time. The first abort in a
    /// row causes no pause, because rebalances cause single aborts.
    fn pause_after_abort(&mut self) -> Duration {
        self.aborts = self.aborts.saturating_add(1);
        let times = self.aborts.checked_sub(2).map_or(0, |repeats| 1_u32 << repeats.min(16));
        let wait = self.settings.rebuild_wait.saturating_mul(times).min(ABORT_WAIT_MAX);
        self.paused = (!wait.is_zero()).then(|| Instant::now() + wait);
        wait
    }

    /// Drops the pending batch and the inbox: the records of both are read again.
    pub(super) fn clear_batch(&mut self) {
        self.batch.clear();
        self.positions_pending = None;
        self.spans.dropped();
        self.inbox.clear();
    }
}
