//! Follow-ups that the worker that sends them also decides, in the same transaction. Therefore a
//! saga whose keys all belong to one worker's tasks takes one transaction instead of one for each
//! step.
//!
//! The record is still written to its topic, with the header [`DECIDED`]. It becomes visible
//! together with its effects, so a worker that reads it later passes over it. That makes it exactly
//! once.
//!
//! The order of a key must stay: a follow-up must not overtake an earlier one of the same sender
//! that is in the log, or will be, and is not decided yet. So a follow-up is decided at once only
//! if its partition is *open* for its sender and key: none of them can be there
//! (`open_partitions`). Any other follow-up is written without the header, and decided when it is
//! read.

use std::collections::VecDeque;

use bytes::Bytes;
use redpanda::log::{Headers, Record, TopicPartition};
use uuid::Uuid;

use crate::open_partitions::OpenPartitions;

/// The header of a follow-up that was decided in the transaction that wrote it. Its value has no
/// meaning.
pub(crate) const DECIDED: &str = "decided";
/// The offset of a record that has none yet.
const NO_OFFSET: i64 = -1;
/// The most follow-ups that one input may cause in a row. A saga needs a few for each line of an
/// order; more means that two aggregates send to each other without an end.
pub(crate) const CHAIN_MAX: usize = 1_000;

/// The follow-ups of the input that is being decided, and which follow-ups may be decided at once.
#[derive(Debug, Default)]
pub(crate) struct LocalFollowUps {
    /// The partitions of follow-ups, and which follow-ups without the header wait in them.
    pub(crate) open: OpenPartitions,
    /// While it is set, every follow-up is written without the header.
    suspended: bool,
    queue: VecDeque<Record>,
}

/// The lengths to which an input that fails cuts [`LocalFollowUps`] back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LocalSavepoint {
    queue: usize,
    undecided: usize,
}

impl LocalFollowUps {
    /// While suspended, every follow-up is written without the header: for timers, for the last
    /// events of aggregates that are forgotten, and for a record that is decided again alone
    /// because one of its follow-ups failed. Returns whether it was suspended before.
    pub(crate) fn suspend(&mut self, suspended: bool) -> bool {
        std::mem::replace(&mut self.suspended, suspended)
    }

    /// Whether the follow-up `id` from the key `sender` to `key` in partition `to` is decided at
    /// once. If not, later ones of the same sender and key stay behind it.
    pub(crate) fn admits(
        &mut self,
        to: &TopicPartition,
        sender: &str,
        key: &str,
        id: Uuid,
    ) -> bool {
        self.open.admits(to, (sender, key), id, self.suspended)
    }

    /// Adds a follow-up that was written with the header.
    pub(crate) fn push(
        &mut self,
        TopicPartition { topic, partition }: TopicPartition,
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
        LocalSavepoint { queue: self.queue.len(), undecided: self.open.written() }
    }

    /// Removes what was added since the savepoint.
    pub(crate) fn undo(&mut self, to: LocalSavepoint) {
        self.queue.truncate(to.queue);
        self.open.undo(to.undecided);
    }

    /// The pending batch was dropped.
    pub(crate) fn dropped(&mut self) {
        self.queue.clear();
        self.suspended = false;
        self.open.dropped();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition() -> TopicPartition {
        TopicPartition::new("order.followups", 1)
    }

    #[test]
    fn follow_up_that_is_not_admitted_holds_back_later_ones_until_it_is_undone() {
        let mut local = LocalFollowUps::default();
        local.open.close_until(partition(), 0);
        local.open.set_positions([(partition(), 0)]);
        let admits =
            |local: &mut LocalFollowUps| local.admits(&partition(), "ann", "bob", Uuid::nil());
        assert!(admits(&mut local));
        let before = local.savepoint();
        local.suspend(true);
        assert!(!admits(&mut local));
        local.suspend(false);
        assert!(!admits(&mut local));
        local.undo(before);
        assert!(admits(&mut local));
    }
}
