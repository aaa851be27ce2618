//! Follow-ups that the worker that sends them also decides, in the same transaction. Therefore a
//! saga whose keys all belong to one worker's tasks takes one transaction instead of one for each
//! step.
//!
//! The record is still written to its topic, with the header [`DECIDED`]. It becomes visible
//! together with its effects, so a worker that reads it later passes over it. That makes it exactly
//! once.
//!
//! The order of a key must stay: a follow-up must not overtake an earlier one of the same sender
//! that is in the log and not decided yet. So a partition of follow-ups is *open* only while none
//! can be there (`open_partitions`). A follow-up for any other partition is written without the
//! header, and decided when it is read.

use std::{collections::VecDeque, mem};

use bytes::Bytes;
use redpanda::log::{Headers, Record, Topic, TopicPartition};
use uuid::Uuid;

/// The header of a follow-up that was decided in the transaction that wrote it. Its value has no
/// meaning.
pub(crate) const DECIDED: &str = "decided";
/// The offset of a record that has none yet.
const NO_OFFSET: i64 = -1;
/// The most follow-ups that one input may cause in a row. A saga needs a few for each line of an
/// order; more means that two aggregates send to each other without an end.
pub(crate) const CHAIN_MAX: usize = 1_000;

/// The follow-ups of the input that is being decided, and where follow-ups may be decided at once.
#[derive(Debug, Default)]
pub(crate) struct LocalFollowUps {
    /// The partitions of follow-ups of the worker's tasks, and whether each is open.
    targets: Vec<(TopicPartition, bool)>,
    /// While it is set, every follow-up is written without the header.
    suspended: bool,
    queue: VecDeque<Record>,
    /// Follow-ups without the header for the worker's own tasks.
    undecided: Vec<(TopicPartition, Uuid)>,
}

/// The lengths to which an input that fails cuts [`LocalFollowUps`] back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LocalSavepoint {
    queue: usize,
    undecided: usize,
}

impl LocalFollowUps {
    /// Sets the partitions of the worker's tasks.
    pub(crate) fn set_targets(&mut self, targets: Vec<(TopicPartition, bool)>) {
        self.targets = targets;
    }

    /// Whether a partition is closed.
    pub(crate) fn has_closed_target(&self) -> bool {
        self.targets.iter().any(|(_, is_open)| !is_open)
    }

    /// While suspended, every follow-up is written without the header: for timers, and for a record
    /// that is decided again alone because one of its follow-ups failed.
    pub(crate) fn suspend(&mut self, suspended: bool) {
        self.suspended = suspended;
    }

    /// Whether a follow-up for this partition is decided at once. If not, and the partition is one
    /// of the worker's, it is closed from now on: later follow-ups must stay behind this one.
    pub(crate) fn admits(&mut self, topic: &str, partition: i32, id: Uuid) -> bool {
        let is_it =
            |target: &TopicPartition| target.partition == partition && *target.topic == *topic;
        let Some((target, is_open)) = self.targets.iter_mut().find(|(target, _)| is_it(target))
        else {
            return false;
        };
        if *is_open && !self.suspended {
            return true;
        }
        *is_open = false;
        self.undecided.push((target.clone(), id));
        false
    }

    /// Adds a follow-up that was written with the header.
    pub(crate) fn push(
        &mut self,
        (topic, partition): (Topic, i32),
        key: &str,
        value: Option<Bytes>,
        headers: Headers,
        at_ms: i64,
    ) {
        self.queue.push_back(Record {
            topic,
            partition,
            offset: NO_OFFSET,
            timestamp_ms: at_ms,
            key: Some(Bytes::copy_from_slice(key.as_bytes())),
            value,
            headers,
        });
    }

    /// The next follow-up to decide.
    pub(crate) fn pop(&mut self) -> Option<Record> {
        self.queue.pop_front()
    }

    pub(crate) fn savepoint(&self) -> LocalSavepoint {
        LocalSavepoint { queue: self.queue.len(), undecided: self.undecided.len() }
    }

    /// Removes what was added since the savepoint. Partitions stay closed.
    pub(crate) fn undo(&mut self, to: LocalSavepoint) {
        self.queue.truncate(to.queue);
        self.undecided.truncate(to.undecided);
    }

    /// Takes the follow-ups without the header.
    pub(crate) fn take_undecided(&mut self) -> Vec<(TopicPartition, Uuid)> {
        mem::take(&mut self.undecided)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition() -> TopicPartition {
        TopicPartition::new("order.followups", 1)
    }

    #[test]
    fn follow_up_that_is_not_admitted_closes_its_partition_for_later_ones() {
        let mut local = LocalFollowUps::default();
        let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
        local.set_targets(vec![(partition(), true)]);
        assert!(local.admits("order.followups", 1, one));
        assert!(!local.admits("order.followups", 2, one), "another worker's");
        local.suspend(true);
        assert!(!local.admits("order.followups", 1, one));
        local.suspend(false);
        assert!(!local.admits("order.followups", 1, two));
        assert_eq!(local.take_undecided(), [(partition(), one), (partition(), two)]);
    }
}
