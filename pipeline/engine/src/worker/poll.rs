//! Reads input, lets the tasks decide on it, and fires timers. Everything that is decided here is
//! pending: it can still be undone.

use std::time::{Duration, Instant};

use redpanda::log::{LogError, Session, TopicPartition};
use schemas::chain;

use super::local::Decided;
use super::{
    Worker,
    error::SessionError,
    settings::{IDLE_WAIT, IN_FLIGHT_WAIT, POLL_MAX, RESTORING_WAIT, TIMERS_MAX},
    status::SILENCE_MAX,
};
use crate::{error::Missing, metrics::InputMetrics, task::Task};

/// The result of a poll.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Polled {
    /// The number of records in the inbox.
    pub(super) records: usize,
    /// Whether the log has no more records for now.
    pub(super) drained: bool,
}

impl Worker {
    /// Resumes reading of tasks for which has arrived what they wait for, and of all tasks when the
    /// pause after aborts has ended.
    pub(super) fn resume(&mut self, session: &mut dyn Session) -> Result<(), SessionError> {
        let waited = self.awaiting.len();
        let (learner, letters) = (&mut self.learner, &mut self.letters);
        self.awaiting.retain(|_, missing| match missing {
            Missing::Schema(unknown) => learner.is_requested(unknown.0),
            Missing::Letter(at) => letters.is_requested(at),
        });
        let is_over = self.paused.is_some_and(|until| until <= Instant::now());
        if is_over {
            self.paused = None;
            self.resumed();
        }
        if is_over || self.awaiting.len() < waited { self.fetch(session) } else { Ok(()) }
    }

    /// Polls if the inbox is empty and the pending batch has room.
    pub(super) fn poll_if_empty(
        &mut self,
        session: &mut dyn Session,
        idle: Duration,
    ) -> Result<Polled, SessionError> {
        match (self.inbox.len(), self.room()) {
            (0, 0) => Ok(Polled::default()),
            (0, room) => self.poll(session, idle, room),
            (left, _) => Ok(Polled { records: left, drained: false }),
        }
    }

    /// How many more records and timers the pending batch takes. While a transaction is in flight,
    /// the batch may grow to twice its limits, so that deciding continues.
    fn room(&self) -> usize {
        let times = if self.in_flight.is_some() { 2 } else { 1 };
        match self.batch.bytes() < self.settings.bytes_max * times {
            true => (self.settings.records_max * times).saturating_sub(self.batch.inputs()),
            false => 0,
        }
    }

    fn poll(
        &mut self,
        session: &mut dyn Session,
        idle: Duration,
        room: usize,
    ) -> Result<Polled, SessionError> {
        match session.poll(self.poll_wait(idle), POLL_MAX.min(room), &mut self.inbox) {
            Ok(()) => Ok(Polled { records: self.inbox.len(), drained: self.inbox.is_empty() }),
            Err(LogError::Retriable { doing, cause } | LogError::Denied { doing, cause }) => {
                // Lost connections are not reported here, but missing rights are.
                tracing::warn!(doing, cause = chain(&*cause), "a poll is retried");
                Ok(Polled { records: self.inbox.len(), drained: false })
            }
            Err(LogError::OutOfRange { partition, offset, beginning, end }) => {
                // The restore decides whether the task may continue, and from which offset.
                let TopicPartition { partition: number, .. } = partition;
                let error = LogError::OutOfRange { partition, offset, beginning, end };
                self.release(session, &[number])?;
                self.restore_again(number, &chain(&error));
                Ok(Polled::default())
            }
            Err(LogError::Unreadable { partition, offset, cause }) => {
                let number = partition.partition;
                let error = LogError::Unreadable { partition, offset, cause };
                self.release(session, &[number])?;
                self.alert(number, chain(&error));
                Ok(Polled::default())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// How long a poll may wait: until something else needs the worker.
    fn poll_wait(&self, idle: Duration) -> Duration {
        let until_due = self.until_due();
        if !until_due.is_zero() {
            let longest = if self.restoring.is_empty() { IN_FLIGHT_WAIT } else { RESTORING_WAIT };
            return until_due.min(longest);
        }
        if let Some(until) = self.paused {
            return idle.min(until.saturating_duration_since(Instant::now()));
        }
        if self.batch.inputs() > 0 {
            // The batch is submitted as soon as the input drains.
            Duration::ZERO
        } else if self.active.is_empty() && self.has_reading_restore() {
            // The restore waits by itself.
            Duration::ZERO
        } else if !self.restoring.is_empty() {
            // A restore does not wait beside working tasks, nor while it pauses or needs a schema,
            // so the poll does: one of them must not spin.
            idle.min(RESTORING_WAIT)
        } else if self.in_flight.is_some() || !self.awaiting.is_empty() {
            idle.min(IN_FLIGHT_WAIT)
        } else {
            idle.min(self.until_next_timer())
        }
    }

    /// The time until the pending batch may be submitted, if it is not full by then.
    pub(super) fn until_due(&self) -> Duration {
        let Some(since) = self.batch.since() else { return Duration::ZERO };
        match self.settings.commit_interval {
            Some(interval) => interval.saturating_sub(since.elapsed()),
            None => self.pace.wait(Instant::now()),
        }
    }

    fn until_next_timer(&self) -> Duration {
        let Some(due_ms) = self.active.values().filter_map(Task::next_due).min() else {
            return IDLE_WAIT;
        };
        Duration::from_millis((due_ms - (self.clock)()).max(0).unsigned_abs())
    }

    /// Lets the tasks decide on the inbox, until the batch is full.
    pub(super) fn decide(&mut self, session: &mut dyn Session) -> Result<(), SessionError> {
        let mut inbox = std::mem::take(&mut self.inbox);
        // Records come in runs of one topic: the label is looked up once for each run.
        let mut input: Option<InputMetrics> = None;
        let now_ms = (self.clock)();
        let mut decided = 0;
        let mut must_wait = false;
        self.active.values_mut().for_each(|task| task.set_now(now_ms));
        self.update_open_partitions();
        for record in &inbox {
            if self.room() == 0 {
                break;
            }
            decided += 1;
            if self.pass_over_decided(record) {
                continue;
            }
            if !self.active.contains_key(&record.partition) {
                let (topic, partition) = (&record.topic, record.partition);
                tracing::debug!(%topic, partition, "a record of no task was ignored");
                continue;
            }
            match self.decide_record(record) {
                Decided::Done => {}
                Decided::Waits(missing) => {
                    self.awaiting.insert(record.partition, missing);
                    must_wait = true;
                    break;
                }
            }
            self.batch.add(1);
            if input.as_ref().is_none_or(|input| input.topic != record.topic) {
                input = Some(self.metrics.input(&record.topic));
            }
            if let Some(input) = &input {
                input.decided(record.timestamp_ms, now_ms);
            }
        }
        inbox.drain(..decided);
        self.inbox = inbox;
        // The rest of the inbox is read again, but not for the task that waits.
        if must_wait { self.fetch(session) } else { Ok(()) }
    }

    /// Fires the timers that are due, as far as the batch has room.
    pub(super) fn fire(&mut self, session: &dyn Session) -> usize {
        // The answers whose deadlines the timers are can't be read, nor even written.
        if self.paused.is_some() || session.silence() >= SILENCE_MAX {
            self.resumed();
            return 0;
        }
        let now_ms = (self.clock)();
        let (mut fired, room) = (0, self.room());
        // The follow-ups of timers are left to be read: a failed one must not undo its timer.
        self.batch.output.local.suspend(true);
        for (partition, task) in &mut self.active {
            if self.awaiting.contains_key(partition) || !task.can_read_answers() {
                task.resumed(now_ms);
                continue;
            }
            fired += task.fire(now_ms, TIMERS_MAX.min(room - fired), &mut self.batch.output);
        }
        self.batch.output.local.suspend(false);
        self.batch.add(fired);
        fired
    }

    /// Nobody could answer the follow-ups of any task up to now.
    pub(super) fn resumed(&mut self) {
        let now_ms = (self.clock)();
        self.active.values_mut().for_each(|task| task.resumed(now_ms));
    }

    /// Advances the stream time of all tasks whose input is read to its end.
    pub(super) fn advance_stream_time(&mut self) {
        let now_ms = (self.clock)();
        for (partition, task) in &mut self.active {
            if !self.awaiting.contains_key(partition) {
                task.drained(now_ms);
            }
        }
    }

    /// Sets the session's positions to those of the tasks. The inbox is dropped, because its
    /// records are read again.
    pub(super) fn fetch(&mut self, session: &mut dyn Session) -> Result<(), SessionError> {
        self.inbox.clear();
        self.active.values_mut().for_each(Task::reads_anew);
        let mut positions = Vec::new();
        for task in self.active.values() {
            if self.paused.is_some() || self.awaiting.contains_key(&task.partition) {
                continue;
            }
            positions.extend(task.positions().iter().map(|(topic, next)| {
                let input = TopicPartition { topic: topic.clone(), partition: task.partition };
                (input, *next)
            }));
        }
        Ok(session.fetch_from(&positions)?)
    }

    /// Moves positions past offsets that hold no record for a reader, if everything polled is
    /// decided.
    pub(super) fn follow(&mut self, session: &mut dyn Session) {
        if !self.inbox.is_empty() {
            return;
        }
        for (input, next) in session.positions() {
            if let Some(task) = self.active.get_mut(&input.partition) {
                task.follow(&input.topic, next);
            }
        }
    }

    /// Makes a transaction due for positions that no other transaction carries, if nothing is
    /// pending or in flight. Otherwise, and if the transaction is aborted, the worker looks for
    /// them again with its next turn without records.
    pub(super) fn add_moved_positions(&mut self, session: &mut dyn Session) {
        if self.batch.inputs() > 0 || self.in_flight.is_some() || self.paused.is_some() {
            return;
        }
        self.follow(session);
        for task in self.active.values_mut().filter(|task| task.has_moved()) {
            task.touch();
            self.batch.add(1);
        }
        match self.batch.inputs() {
            0 => self.positions_at = Instant::now(),
            _ => self.positions_pending = Some(Instant::now()),
        }
    }
}
