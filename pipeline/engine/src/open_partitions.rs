//! Which partitions of follow-ups are open: a follow-up for an open one may be decided in the
//! transaction that writes it. It decides nothing itself.

use std::{collections::BTreeMap, mem};

use redpanda::log::TopicPartition;
use uuid::Uuid;

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
pub(crate) struct OpenPartitions {
    /// The position from which on a partition is open.
    from: BTreeMap<TopicPartition, i64>,
    /// Follow-ups without the header that were not read yet, by the age of their transaction.
    pending: Vec<(TopicPartition, Uuid)>,
    in_flight: Vec<(TopicPartition, Uuid)>,
    committed: Vec<(TopicPartition, Uuid)>,
}

impl OpenPartitions {
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
    pub(crate) fn is_awaiting(&self) -> bool {
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
        let mut open = OpenPartitions::default();
        assert!(open.is_open(&partition(), 0));
        open.close_until(partition(), 7);
        open.close_until(partition(), 5);
        assert!(!open.is_open(&partition(), 6));
        assert!(open.is_open(&partition(), 7));
    }

    #[test]
    fn undecided_follow_up_closes_its_partition_until_it_is_read_and_not_taken_back() {
        let (mut open, id) = (OpenPartitions::default(), Uuid::from_u128(1));
        open.wrote(vec![(partition(), id)]);
        open.submitted();
        open.committed();
        assert!(!open.is_open(&partition(), 9));
        open.was_read(&partition(), Uuid::from_u128(2), 8);
        assert!(!open.is_open(&partition(), 9), "another record opens nothing");
        open.was_read(&partition(), id, 9);
        assert!(open.is_open(&partition(), 10));
        assert!(!open.is_open(&partition(), 9), "its transaction was aborted");
    }

    #[test]
    fn follow_up_of_an_aborted_transaction_closes_nothing() {
        let mut open = OpenPartitions::default();
        open.wrote(vec![(partition(), Uuid::from_u128(1))]);
        open.submitted();
        open.wrote(vec![(partition(), Uuid::from_u128(2))]);
        open.aborted();
        assert!(open.is_open(&partition(), 0));
    }
}
