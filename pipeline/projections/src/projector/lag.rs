//! How far a projection is behind the log, in seconds. It reads no store and changes no position.
//!
//! The age of a record that was not polled is unknown. But records are applied in the order in
//! which they were written, so the oldest one that is missing is not older than
//!
//! - the latest one that was applied, and
//! - the last statistics of the log up to whose end everything was applied.
//!
//! The lag counts from the later of the two, while something is missing: the log has an offset that
//! was not applied, or the partition is stopped. So it grows while a projection stands still. After
//! a new start it counts from the start until a record is applied.

use std::collections::BTreeMap;

use redpanda::log::TopicPartition;

use super::{partition::Slot, turn::Projector};
use crate::clock::now_ms;

/// What is known of one partition.
#[derive(Clone, Copy, Debug)]
struct Known {
    /// When it was assigned, or its rebuild began.
    assigned_ms: i64,
    /// No record that is missing was written before this time.
    complete_ms: Option<i64>,
    /// The end of the partition as of the latest statistics of the log, and their time. A record
    /// that was written later may be missing too.
    end: Option<(i64, i64)>,
}

impl Known {
    fn since(now_ms: i64) -> Self {
        Self { assigned_ms: now_ms, complete_ms: None, end: None }
    }
}

/// The lag of a projector's partitions.
#[derive(Debug, Default)]
pub(super) struct Lag(BTreeMap<TopicPartition, Known>);

impl Lag {
    /// Begins to count for a partition that was assigned, unless it counts already.
    pub(super) fn assigned(&mut self, partition: &TopicPartition, now_ms: i64) {
        self.0.entry(partition.clone()).or_insert(Known::since(now_ms));
    }

    /// Counts from the beginning, because the projection is rebuilt: nothing is applied.
    pub(super) fn rebuilt(&mut self, partition: &TopicPartition, now_ms: i64) {
        self.0.insert(partition.clone(), Known::since(now_ms));
    }

    /// Forgets a partition that was released.
    pub(super) fn released(&mut self, partition: &TopicPartition) {
        self.0.remove(partition);
    }

    /// The partition ends at offset `end` now.
    fn ends(&mut self, partition: &TopicPartition, end: i64, now_ms: i64) {
        if let Some(known) = self.0.get_mut(partition) {
            known.end = Some((end, now_ms));
        }
    }

    /// A record that was written at `written_ms` was applied, and all before it.
    pub(super) fn applied(&mut self, partition: &TopicPartition, written_ms: i64) {
        if let Some(known) = self.0.get_mut(partition) {
            known.complete_ms = known.complete_ms.max(Some(written_ms));
        }
    }

    /// The largest lag of the partitions in milliseconds.
    fn max_ms(&mut self, slots: &BTreeMap<TopicPartition, Slot>, now_ms: i64) -> i64 {
        let lags = self.0.iter_mut().map(|(partition, known)| {
            let claimed = slots.get(partition).and_then(Slot::claimed);
            match (claimed, known.end) {
                (Some(_), None) => return 0,
                (Some(claimed), Some((end, at_ms))) if claimed.next >= end => {
                    known.complete_ms = known.complete_ms.max(Some(at_ms));
                    return 0;
                }
                _ => {}
            }
            (now_ms - known.complete_ms.unwrap_or(known.assigned_ms)).max(0)
        });
        lags.max().unwrap_or(0)
    }
}

impl Projector<'_> {
    /// Takes the ends of partitions from the log's statistics. Called before the polled records are
    /// applied, because the statistics do not count them as polled.
    pub(super) fn note_ends(&mut self) {
        for (partition, lag) in self.input.lag().into_iter().flatten() {
            if let Some(claimed) = self.slots.get(&partition).and_then(Slot::claimed) {
                self.lag.ends(&partition, claimed.next + lag, now_ms());
            }
        }
    }

    /// Exports the lag.
    pub(super) fn measure_lag(&mut self) {
        let lag_ms = self.lag.max_ms(&self.slots, now_ms());
        self.resources.metrics.lag(self.projection.name(), lag_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        projection::Claim,
        projector::partition::{Claimed, Retry},
    };

    fn partition() -> TopicPartition {
        TopicPartition::new("events", 0)
    }

    /// The partition with everything before `next` applied; stopped if there is no `next`.
    fn slots(next: Option<i64>) -> BTreeMap<TopicPartition, Slot> {
        let claimed = |next| {
            let claim = Claim { epoch: 1, next: Some(next) };
            Slot::Claimed(Claimed { claim, next, retry: Retry::default() })
        };
        BTreeMap::from([(partition(), next.map_or_else(Slot::due, claimed))])
    }

    #[test]
    fn lag_counts_from_the_last_complete_statistics_or_the_applied_record() {
        let mut lag = Lag::default();
        lag.assigned(&partition(), 1_000);
        assert_eq!(lag.max_ms(&slots(Some(5)), 9_000), 0, "no end is known");
        lag.ends(&partition(), 5, 10_000);
        assert_eq!(lag.max_ms(&slots(Some(5)), 11_000), 0);
        lag.ends(&partition(), 7, 15_000);
        assert_eq!(lag.max_ms(&slots(Some(5)), 16_000), 6_000, "nothing was missing at 10,000");
        lag.applied(&partition(), 10_500);
        assert_eq!(lag.max_ms(&slots(Some(6)), 16_000), 5_500);
        lag.applied(&partition(), 11_000);
        assert_eq!(lag.max_ms(&slots(Some(7)), 16_000), 0);
        assert_eq!(lag.max_ms(&slots(Some(7)), 90_000), 0, "a quiet partition has no lag");
    }

    #[test]
    fn lag_of_a_rebuild_is_the_age_of_the_record_that_it_has_come_to() {
        let mut lag = Lag::default();
        lag.assigned(&partition(), 50_000);
        lag.ends(&partition(), 9, 51_000);
        assert_eq!(lag.max_ms(&slots(Some(0)), 52_000), 2_000, "no record was read");
        lag.applied(&partition(), 1_000);
        assert_eq!(lag.max_ms(&slots(Some(1)), 53_000), 52_000);
        lag.applied(&partition(), 45_000);
        assert_eq!(lag.max_ms(&slots(Some(9)), 54_000), 0);

        lag.rebuilt(&partition(), 60_000);
        lag.ends(&partition(), 9, 61_000);
        lag.applied(&partition(), 1_000);
        assert_eq!(lag.max_ms(&slots(Some(1)), 62_000), 61_000, "it begins from the first record");
    }

    #[test]
    fn lag_of_a_stopped_partition_grows_and_ends_with_its_release() {
        let mut lag = Lag::default();
        lag.assigned(&partition(), 1_000);
        assert_eq!(lag.max_ms(&slots(None), 4_000), 3_000);
        lag.assigned(&partition(), 5_000);
        assert_eq!(lag.max_ms(&slots(None), 7_000), 6_000, "a new claim does not reset it");
        lag.released(&partition());
        assert_eq!(lag.max_ms(&BTreeMap::new(), 9_000), 0);
    }
}
