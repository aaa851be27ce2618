//! Loads tasks from their changelogs. A reader on a thread of its own reads each changelog, so a
//! restore never delays the tasks at work.
//!
//! The reader takes three things in this order, and the order is what makes a restore exact:
//!
//! 1. the group's committed offsets, requested as *stable*: the request is retried while a
//!    transaction of the task's last owner is open, so the offsets are final;
//! 2. the changelog's high watermark: every transaction that committed those offsets is before it;
//! 3. the changelog's committed records up to there.
//!
//! So the changelog has at least what the offsets say, and both come from the same transactions:
//! their positions must be equal, and so must their counts of transactions. [`super::start`] checks
//! that before the task processes anything.

use std::time::{Duration, Instant};

use redpanda::log::{LogError, Record, Restore, Session, Start, Topic, TopicPartition};
use schemas::chain;

use super::{
    Settings, Worker,
    error::{NotRestored, SessionError, StuckError},
    settings::{IN_FLIGHT_WAIT, RESTORE_MAX},
};
use crate::{
    learner::{Learner, Learnt},
    metrics::Metrics,
    task::{Bounds, Task},
};

/// A task that is being loaded from its changelog.
pub(super) struct Restoring {
    pub(super) task: Task,
    reader: Box<dyn Restore>,
    /// Records that were read and are not loaded yet, because a schema was requested.
    records: Vec<Record>,
    /// The committed offsets and the log's bounds of each input. `None` until the changelog is read
    /// to its end.
    pub(super) start: Option<Start>,
    pub(super) since: Instant,
    /// When the changelog is read again after a retriable error.
    not_before: Instant,
}

/// The progress of one restore in one turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Waiting,
    Worked,
    Complete,
}

impl Worker {
    /// Begins the restores that are due, and reads and loads some records of each. A task whose
    /// changelog is loaded begins to process records. Returns whether it did anything.
    pub(super) fn restore(&mut self, session: &mut dyn Session) -> Result<bool, SessionError> {
        let now = Instant::now();
        let is_due = |(partition, at): (&i32, &Instant)| (*at <= now).then_some(*partition);
        let due: Vec<_> = self.unread.iter().filter_map(is_due).collect();
        for partition in due {
            self.unread.remove(&partition);
            self.begin_restore(session, partition)?;
        }
        if self.restoring.is_empty() {
            return Ok(false);
        }
        // Without a task at work the worker waits for changelogs; otherwise it waits in the poll.
        let wait = if self.active.is_empty() { IN_FLIGHT_WAIT } else { Duration::ZERO };
        let (mut complete, mut failed, mut worked) = (Vec::new(), Vec::new(), false);
        for (partition, restoring) in &mut self.restoring {
            let (settings, metrics) = (&self.settings, &self.metrics);
            match restoring.advance(now, wait, settings, &mut self.learner, metrics) {
                Ok(Progress::Waiting) => {}
                Ok(Progress::Worked) => worked = true,
                Ok(Progress::Complete) => {
                    worked = true;
                    complete.push(*partition);
                }
                Err(error) => {
                    worked |= matches!(error, NotRestored::Stuck(_));
                    failed.push((*partition, error));
                }
            }
        }
        let begins_anew = !complete.is_empty();
        for partition in complete {
            if let Some(restoring) = self.restoring.remove(&partition)
                && let Err(error) = self.start_task(restoring)
            {
                failed.push((partition, error));
            }
        }
        for (partition, error) in failed {
            self.restoring.remove(&partition);
            self.not_restored(partition, error)?;
        }
        if begins_anew {
            // Fetching replaces the positions of all tasks. Those of pending inputs stay, because
            // they are in the tasks.
            self.fetch(session)?;
        }
        Ok(worked)
    }

    fn begin_restore(
        &mut self,
        session: &mut dyn Session,
        partition: i32,
    ) -> Result<(), SessionError> {
        let of = |topic: &Topic| TopicPartition { topic: topic.clone(), partition };
        let inputs: Vec<_> = self.topology.inputs().iter().map(of).collect();
        let watched = self.topology.follow_up_partitions();
        let reader = match session.restore(&of(&self.topology.changelog), &inputs, &watched) {
            Ok(reader) => reader,
            Err(error) => return self.not_restored(partition, error.into()),
        };
        let ms = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4);
        let bounds = Bounds {
            horizon_ms: ms(self.settings.dedupe_horizon),
            retention_ms: ms(self.settings.retention),
            parked_bytes_max: self.settings.parked_bytes_max,
        };
        let (topology, codec) = (self.topology.clone(), self.codec.clone());
        let task = Task::new(partition, topology, codec, self.metrics.clone(), bounds);
        let now = Instant::now();
        let (records, start) = (Vec::new(), None);
        let restoring = Restoring { task, reader, records, start, since: now, not_before: now };
        self.restoring.insert(partition, restoring);
        Ok(())
    }
}

impl Worker {
    /// Whether a restore will wait for records of its changelog.
    pub(super) fn has_reading_restore(&self) -> bool {
        let now = Instant::now();
        let is_reading =
            |it: &Restoring| it.records.is_empty() && it.start.is_none() && it.not_before <= now;
        self.restoring.values().any(is_reading)
    }
}

impl Restoring {
    /// Reads some records of the changelog, and loads them.
    fn advance(
        &mut self,
        now: Instant,
        wait: Duration,
        settings: &Settings,
        learner: &mut Learner,
        metrics: &Metrics,
    ) -> Result<Progress, NotRestored> {
        let partition = self.task.partition;
        // A restore that has begun in this turn is read in the next one.
        if self.not_before > now {
            return Ok(Progress::Waiting);
        }
        if self.records.is_empty() && self.start.is_none() {
            match self.reader.poll(wait, RESTORE_MAX, &mut self.records) {
                Ok(start) => self.start = start,
                // The reader continues where it is, so the records before the error stay.
                Err(LogError::Retriable { doing, cause }) => {
                    tracing::warn!(
                        partition,
                        doing,
                        cause = chain(&*cause),
                        "the read of a changelog is retried"
                    );
                    self.not_before = now + settings.rebuild_wait;
                }
                Err(error) => return Err(error.into()),
            }
            metrics.restored.inc_by(self.records.len() as u64);
        }
        let worked = !self.records.is_empty() || self.start.is_some();
        self.load(learner)?;
        let (position, end) = self.reader.progress();
        let remaining = (end - position).max(0);
        metrics.restore_remaining.with_label_values(&[&partition.to_string()]).set(remaining);
        Ok(match (self.records.is_empty() && self.start.is_some(), worked) {
            (true, _) => Progress::Complete,
            (false, true) => Progress::Worked,
            (false, false) => Progress::Waiting,
        })
    }

    /// Loads the records that were read, up to the first one whose schema is not known yet.
    fn load(&mut self, learner: &mut Learner) -> Result<(), StuckError> {
        let (mut loaded, mut result) = (0, Ok(()));
        'records: for record in &self.records {
            while let Err(source) = self.task.load(record) {
                let unknown = source.unknown_schema();
                match unknown.map_or(Learnt::Unknown, |unknown| learner.learn(unknown.0)) {
                    Learnt::Known => {}
                    Learnt::Requested => break 'records,
                    Learnt::Unknown => {
                        let (topic, offset) = (record.topic.clone(), record.offset);
                        let partition = TopicPartition { topic, partition: record.partition };
                        result = Err(StuckError::Unreadable { partition, offset, source });
                        break 'records;
                    }
                }
            }
            loaded += 1;
        }
        self.records.drain(..loaded);
        result
    }
}
