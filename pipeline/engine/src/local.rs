//! Follow-ups that the worker that sends them also decides, in the same transaction. Therefore a
//! saga whose keys all belong to one worker's tasks takes one transaction instead of one for each
//! step.
//!
//! The record is written to its topic all the same, with the header [`DECIDED`]. It becomes visible
//! together with its effects, so whoever reads it later passes over it. That makes it exactly once.
//!
//! The order of a key must stay: a follow-up must not overtake an earlier one of the same sender
//! that is in the log and not decided yet. So a partition of follow-ups is *open* only while none
//! can be there ([`Gate`]). A follow-up for any other partition is written without the header, and
//! decided when it is read.

use std::{
    collections::{BTreeMap, VecDeque},
    mem,
};

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

/// Decides whether a partition of follow-ups is open, so that a follow-up for it may be decided at
/// once. That is safe only if no earlier follow-up of the same sender still waits in the partition
/// for its decision: the new one would overtake it.
///
/// Example: order A's release of `cup` was written without the header, at offset 7 of the
/// partition. Until offset 7 is read, every new follow-up for that partition is written without the
/// header too.
///
/// - When a task starts, its last owner's follow-ups may be in any partition, below the high
///   watermark of that moment. Each partition opens when it is read up to there.
/// - A follow-up without the header closes its partition until it has been read.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    /// The position from which on a partition is open.
    from: BTreeMap<TopicPartition, i64>,
    /// Follow-ups without the header that were not read yet, by the age of their transaction.
    pending: Vec<(TopicPartition, Uuid)>,
    in_flight: Vec<(TopicPartition, Uuid)>,
    committed: Vec<(TopicPartition, Uuid)>,
}

impl Gate {
    /// Closes a partition until it is read up to `end`.
    pub(crate) fn close_until(&mut self, partition: TopicPartition, end: i64) {
        let from = self.from.entry(partition).or_insert(end);
        *from = end.max(*from);
    }

    /// Whether a partition whose next record is at `position` is open.
    pub(crate) fn is_open(&self, partition: &TopicPartition, position: i64) -> bool {
        self.from.get(partition).is_none_or(|from| *from <= position)
            && !self.undecided().any(|(of, _)| of == partition)
    }

    /// Adds follow-ups that were written without the header.
    pub(crate) fn wrote(&mut self, undecided: Vec<(TopicPartition, Uuid)>) {
        self.pending.extend(undecided);
    }

    /// Whether a follow-up without the header is awaited.
    pub(crate) fn is_waiting(&self) -> bool {
        self.undecided().next().is_some()
    }

    /// A follow-up was read. Its partition opens behind it; if its transaction is aborted, the
    /// position returns, and the partition is closed again.
    pub(crate) fn was_read(&mut self, partition: &TopicPartition, id: Uuid, offset: i64) {
        let mut was_awaited = false;
        for age in [&mut self.pending, &mut self.in_flight, &mut self.committed] {
            let before = age.len();
            age.retain(|(_, awaited)| *awaited != id);
            was_awaited |= age.len() < before;
        }
        if was_awaited {
            self.close_until(partition.clone(), offset + 1);
        }
    }

    /// The pending batch was submitted.
    pub(crate) fn submitted(&mut self) {
        self.in_flight = mem::take(&mut self.pending);
    }

    /// The transaction in flight was committed.
    pub(crate) fn committed(&mut self) {
        self.committed.append(&mut self.in_flight);
    }

    /// The pending batch was dropped.
    pub(crate) fn dropped(&mut self) {
        self.pending.clear();
    }

    /// The transaction in flight was aborted, and the pending batch dropped.
    pub(crate) fn aborted(&mut self) {
        self.pending.clear();
        self.in_flight.clear();
    }

    /// Tasks are released: other workers read their follow-ups.
    pub(crate) fn released(&mut self, partitions: &[i32]) {
        self.committed.retain(|(of, _)| !partitions.contains(&of.partition));
    }

    fn undecided(&self) -> impl Iterator<Item = &(TopicPartition, Uuid)> {
        self.pending.iter().chain(&self.in_flight).chain(&self.committed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition() -> TopicPartition {
        TopicPartition::new("order.followups", 1)
    }

    #[test]
    fn partition_opens_when_it_is_read_up_to_the_end_at_the_start_of_a_task() {
        let mut gate = Gate::default();
        assert!(gate.is_open(&partition(), 0));
        gate.close_until(partition(), 7);
        gate.close_until(partition(), 5);
        assert!(!gate.is_open(&partition(), 6));
        assert!(gate.is_open(&partition(), 7));
    }

    #[test]
    fn undecided_follow_up_closes_its_partition_until_it_is_read_and_not_taken_back() {
        let (mut gate, id) = (Gate::default(), Uuid::from_u128(1));
        gate.wrote(vec![(partition(), id)]);
        gate.submitted();
        gate.committed();
        assert!(!gate.is_open(&partition(), 9));
        gate.was_read(&partition(), Uuid::from_u128(2), 8);
        assert!(!gate.is_open(&partition(), 9), "another record opens nothing");
        gate.was_read(&partition(), id, 9);
        assert!(gate.is_open(&partition(), 10));
        assert!(!gate.is_open(&partition(), 9), "its transaction was aborted");
    }

    #[test]
    fn follow_up_of_an_aborted_transaction_closes_nothing() {
        let mut gate = Gate::default();
        gate.wrote(vec![(partition(), Uuid::from_u128(1))]);
        gate.submitted();
        gate.wrote(vec![(partition(), Uuid::from_u128(2))]);
        gate.aborted();
        assert!(gate.is_open(&partition(), 0));
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
