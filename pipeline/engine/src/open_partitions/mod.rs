//! Which follow-ups may be decided in the transaction that writes them: those that overtake no
//! earlier one of the same sender and key. It decides nothing itself.
//!
//! - `latest`: the follow-ups that are written and not decided yet

mod latest;
#[cfg(test)]
mod tests;

use std::{collections::HashMap, mem};

use redpanda::log::TopicPartition;
use uuid::Uuid;

use latest::{Latest, Slot};

/// Says whether a follow-up may be decided at once. It may not while an earlier one of the same
/// sender and key still waits in the log for its decision: the new one would overtake it.
///
/// Example: order A's release of `cup` was written without the header, at offset 7. Until offset 7
/// is read, A's follow-ups to `cup` are written without the header too. Those of order B to `cup`
/// are decided at once meanwhile.
///
/// - When a task starts, follow-ups of its last owner may be in any partition, below the high
///   watermark of that moment. So every partition is closed until it is read up to there.
/// - The sender and the key of a follow-up without the header are closed until it is read. They
///   share a [`Slot`] with some others, so that the memory is bounded. It does not matter who reads
///   the partition at that moment, because this worker's task may begin to read it before the
///   follow-up is committed or even written. If no task of this worker has the partition at the
///   commit, the follow-up is forgotten: a task that starts later asks for the watermark later.
///
/// A partition that was closed until an offset opens there, whatever is written meanwhile, and a
/// slot opens when its last follow-up is read, whatever other slots do. Only a sender that sends to
/// one key again and again, each time before the last one is read, stays closed to that key: there
/// is no moment at which none of them waits, so any that is decided at once would overtake one.
#[derive(Debug, Default)]
pub(crate) struct OpenPartitions {
    /// The partitions of follow-ups that the processor reads. Empty before the first task starts,
    /// and if no follow-up is decided at once.
    partitions: HashMap<TopicPartition, Partition>,
    /// Follow-ups without the header that were not read yet, by the age of their transaction.
    pending: Latest,
    in_flight: Latest,
    committed: Latest,
    /// What each follow-up of the pending batch has replaced in `pending`, to undo it.
    replaced: Vec<(Slot, Option<Uuid>)>,
}

/// A partition of follow-ups.
#[derive(Clone, Copy, Debug, Default)]
struct Partition {
    /// The position from which on it is open.
    from: i64,
    /// The next offset that a task of this worker reads; `None` if no task reads it now.
    position: Option<i64>,
}

impl OpenPartitions {
    /// Closes a partition until it is read up to `end`.
    pub(crate) fn close_until(&mut self, partition: TopicPartition, end: i64) {
        let partition = self.partitions.entry(partition).or_default();
        partition.from = end.max(partition.from);
    }

    /// Sets the inputs that tasks read now, each with its next offset. All other partitions are
    /// closed. Inputs that are no partitions of follow-ups are ignored.
    pub(crate) fn set_positions(
        &mut self,
        positions: impl IntoIterator<Item = (TopicPartition, i64)>,
    ) {
        self.close_all();
        for (input, position) in positions {
            if let Some(partition) = self.partitions.get_mut(&input) {
                partition.position = Some(position);
            }
        }
    }

    /// Whether a partition that a task reads is closed until its position moves.
    pub(crate) fn is_behind(&self) -> bool {
        let is_behind =
            |partition: &Partition| partition.position.is_some_and(|next| next < partition.from);
        self.partitions.values().any(is_behind)
    }

    /// Whether the follow-up `id` from the key `sender` to `key` in partition `to` may be decided
    /// at once. If not, or if it is `suspended`, it must be written without the header, and is
    /// awaited from now on.
    pub(crate) fn admits(
        &mut self,
        to: &TopicPartition,
        (sender, key): (&str, &str),
        id: Uuid,
        suspended: bool,
    ) -> bool {
        let Some(Partition { from, position }) = self.partitions.get(to) else { return false };
        let may_be = !suspended && position.is_some_and(|next| next >= *from);
        let ages = [&self.pending, &self.in_flight, &self.committed];
        // Mostly nothing waits, and no hash is needed.
        if may_be && ages.iter().all(|age| age.is_empty()) {
            return true;
        }
        let slot = Slot::of(to, sender, key);
        if may_be && !ages.iter().any(|age| age.has(&slot)) {
            return true;
        }
        let replaced = self.pending.put(&slot, Some(id));
        self.replaced.push((slot, replaced));
        false
    }

    /// The number of follow-ups without the header in the pending batch, to which [`Self::undo`]
    /// returns.
    pub(crate) fn written(&self) -> usize {
        self.replaced.len()
    }

    /// Forgets the follow-ups behind the first `written` of the pending batch.
    pub(crate) fn undo(&mut self, written: usize) {
        while self.replaced.len() > written
            && let Some((slot, replaced)) = self.replaced.pop()
        {
            self.pending.put(&slot, replaced);
        }
    }

    /// Whether a follow-up that a task may read is awaited.
    pub(crate) fn is_awaiting(&self) -> bool {
        !self.in_flight.is_empty() || !self.committed.is_empty()
    }

    /// The follow-up `id` at `offset` was read and decided. Its slot opens if it was the last one.
    /// If the transaction of its decision is aborted, the position returns, and the partition is
    /// closed until the follow-up is read again.
    pub(crate) fn was_read(&mut self, partition: &TopicPartition, id: Uuid, offset: i64) {
        // A consumer may get a record before the worker learns that the transaction is committed.
        // Then those of earlier transactions were read before.
        if let Some(slot) = self.in_flight.slot_of(id) {
            self.in_flight.put(&slot, None);
            self.committed.put(&slot, None);
        } else if let Some(slot) = self.committed.slot_of(id) {
            self.committed.put(&slot, None);
        } else {
            return;
        }
        if let Some(partition) = self.partitions.get_mut(partition) {
            partition.from = partition.from.max(offset + 1);
            partition.position = partition.position.map(|next| next.max(offset + 1));
        }
    }

    /// The pending batch was submitted.
    pub(crate) fn submitted(&mut self) {
        self.in_flight = mem::take(&mut self.pending);
        self.replaced.clear();
    }

    /// The transaction in flight was committed. `is_own` says whether this worker has the task of a
    /// partition number, at work or not yet.
    pub(crate) fn committed(&mut self, is_own: impl Fn(i32) -> bool) {
        for (slot, id) in mem::take(&mut self.in_flight).into_ids() {
            if is_own(slot.partition()) {
                self.committed.put(&slot, Some(id));
            }
        }
    }

    /// The pending batch was dropped. The positions of tasks have returned, so all partitions are
    /// closed until they are set again.
    pub(crate) fn dropped(&mut self) {
        self.pending = Latest::default();
        self.replaced.clear();
        self.close_all();
    }

    /// The transaction in flight was aborted.
    pub(crate) fn aborted(&mut self) {
        self.in_flight = Latest::default();
    }

    /// Tasks are released, and no transaction is in flight. What they have not read is read by
    /// their next owner, or after they are restored here: then from before the watermark.
    pub(crate) fn released(&mut self, partitions: &[i32]) {
        self.committed.retain(|slot| !partitions.contains(&slot.partition()));
    }

    fn close_all(&mut self) {
        self.partitions.values_mut().for_each(|partition| partition.position = None);
    }
}
