//! One turn of the loop. Its order matters: a claim comes before the seek to its position, the seek
//! before the poll, and changes of the group before the records of the same poll.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use redpanda::log::{Input, LogError, Record, TopicPartition};

use super::{
    apply::APPLY_MAX,
    lag::Lag,
    partition::{Interval, Slot},
    resources::Resources,
    retention::Ends,
};
use crate::projection::Projection;

/// How long a poll without records waits. It bounds the time that a shutdown takes.
pub(super) const IDLE: Duration = Duration::from_millis(500);
/// How often claims are compared with the store. Without records nothing else would show that the
/// store was emptied or the projection erased.
const LOOK_EVERY: Duration = Duration::from_secs(3);
/// How often positions that moved without a record are stored: far more often than any topic's
/// retention.
const POSITIONS_EVERY: Duration = Duration::from_secs(60);
/// How often rows and documents whose retention has passed are removed. After a full batch the next
/// turn removes more.
pub(super) const REMOVE_EVERY: Duration = Duration::from_secs(60);

/// A member of a projection's group, with the partitions that are assigned to it.
pub struct Projector<'a> {
    pub(super) input: Box<dyn Input>,
    pub(super) projection: &'a dyn Projection,
    pub(super) resources: &'a Resources,
    /// The assigned partitions.
    pub(super) slots: BTreeMap<TopicPartition, Slot>,
    /// Whether the input's positions differ from those of the slots, so that it must seek.
    pub(super) needs_seek: bool,
    /// The buffer of polled records.
    records: Vec<Record>,
    /// The next poll is not before this time.
    next_poll: Instant,
    /// [`APPLY_MAX`], but for tests.
    pub(super) apply_max: Duration,
    /// Failures of the log in a row.
    pub(super) log_failures: u32,
    /// The interval at which claims are compared with the store.
    look: Interval,
    /// The interval at which positions that moved without a record are stored.
    pub(super) store_positions: Interval,
    /// The interval at which rows and documents whose retention has passed are removed.
    pub(super) remove: Interval,
    /// The ends of all partitions at the last look for what to remove.
    pub(super) ends: Option<Ends>,
    /// The time of the latest record that was applied. Retention counts from it, because without
    /// records nothing grows.
    pub(super) latest_ms: i64,
    pub(super) lag: Lag,
}

impl<'a> Projector<'a> {
    /// Creates a member without partitions.
    pub fn new(
        input: Box<dyn Input>,
        projection: &'a dyn Projection,
        resources: &'a Resources,
    ) -> Self {
        resources.metrics.initialize(projection.name());
        Self {
            input,
            projection,
            resources,
            slots: BTreeMap::new(),
            needs_seek: false,
            records: Vec::new(),
            next_poll: Instant::now(),
            apply_max: APPLY_MAX,
            log_failures: 0,
            look: Interval::new(LOOK_EVERY),
            store_positions: Interval::new(POSITIONS_EVERY),
            remove: Interval::new(REMOVE_EVERY),
            ends: None,
            latest_ms: 0,
            lag: Lag::default(),
        }
    }

    /// Runs one turn: serves the group, claims partitions that are due, and applies the polled
    /// records.
    ///
    /// # Errors
    /// Fails if the input is unusable: the caller opens another one for a new projector.
    pub fn step(&mut self) -> Result<(), LogError> {
        // Waiting -> Claimed. From here on the store refuses writes of the former owner.
        self.claim_due()?;
        if self.look.is_due() {
            self.look.restart();
            // Claimed -> Waiting where the store no longer has this member's claim.
            self.compare_claims();
        }
        if self.needs_seek {
            self.seek()?;
        }

        std::thread::sleep(self.next_poll.saturating_duration_since(Instant::now()));
        let mut records = std::mem::take(&mut self.records);
        records.clear();
        let polled = self.input.poll(self.idle(), self.projection.records_max(), &mut records);
        // The poll serves the group too, so its changes are applied even if the poll has failed.
        let changed = self.follow_group();
        self.tolerate(polled)?;
        self.note_ends();
        // After a change the input seeks again, and delivers these records a second time.
        if !changed {
            if !records.is_empty() {
                self.next_poll = Instant::now() + self.projection.pace();
            }
            self.apply(&records);
            self.follow_positions();
        }
        self.records = records;

        let waiting = self.slots.values().filter(|slot| slot.is_waiting()).count();
        self.resources.metrics.waiting(self.projection.name(), waiting);
        self.measure_lag();
        // What a partition that waits still lacks is not known.
        if waiting == 0 && self.latest_ms > 0 && self.remove.is_due() {
            self.remove_old();
        }
        Ok(())
    }

    /// Lets the input read exactly the claimed partitions, from their positions.
    fn seek(&mut self) -> Result<(), LogError> {
        let positions: Vec<_> = self
            .slots
            .iter()
            .filter_map(|(partition, slot)| Some((partition.clone(), slot.claimed()?.next)))
            .collect();
        let fetched = self.input.fetch_from(&positions);
        self.tolerate(fetched)?;
        // A seek that has failed is repeated in the next turn.
        self.needs_seek = self.log_failures > 0;
        Ok(())
    }

    /// The number of partitions that are claimed, and of those that wait.
    pub fn partitions(&self) -> (usize, usize) {
        let claimed = self.slots.values().filter(|slot| slot.claimed().is_some()).count();
        (claimed, self.slots.len() - claimed)
    }

    /// How long the next poll may wait: at most until a partition is due.
    fn idle(&self) -> Duration {
        let due = self.slots.values().filter_map(|slot| match slot {
            Slot::Waiting { until, .. } => Some(until.saturating_duration_since(Instant::now())),
            Slot::Claimed(_) => None,
        });
        due.min().map_or(IDLE, |due| due.min(IDLE))
    }
}
