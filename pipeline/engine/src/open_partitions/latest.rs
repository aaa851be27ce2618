//! Follow-ups that were written without the header, and of those only the last one of each slot:
//! a partition is read in the order in which it was written. It knows no offsets.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use redpanda::log::TopicPartition;
use uuid::Uuid;

/// The slots of each partition. So many that few other senders and keys share one that is closed,
/// and so few that one entry for each of them takes less than a megabyte for each partition.
pub(super) const SLOTS: u64 = 4_096;

/// The senders and keys of one partition whose hashes are equal. They are open or closed together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Slot {
    partition: TopicPartition,
    number: u64,
}

impl Slot {
    pub(super) fn of(partition: &TopicPartition, sender: &str, key: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        (sender, key).hash(&mut hasher);
        Self { partition: partition.clone(), number: hasher.finish() % SLOTS }
    }

    /// The partition's number.
    pub(super) fn partition(&self) -> i32 {
        self.partition.partition
    }
}

/// The last follow-up of each slot, among those of one age.
#[derive(Debug, Default)]
pub(super) struct Latest {
    ids: HashMap<Slot, Uuid>,
    /// The same the other way round. A record that is read does not tell its sender.
    slots: HashMap<Uuid, Slot>,
}

impl Latest {
    pub(super) fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Whether the slot has a follow-up.
    pub(super) fn has(&self, slot: &Slot) -> bool {
        self.ids.contains_key(slot)
    }

    /// The slot whose last follow-up is `id`.
    pub(super) fn slot_of(&self, id: Uuid) -> Option<Slot> {
        self.slots.get(&id).cloned()
    }

    /// Replaces the last follow-up of a slot, and returns the one before.
    pub(super) fn put(&mut self, slot: &Slot, id: Option<Uuid>) -> Option<Uuid> {
        let before = match id {
            Some(id) => self.ids.insert(slot.clone(), id),
            None => self.ids.remove(slot),
        };
        if let Some(before) = before {
            self.slots.remove(&before);
        }
        if let Some(id) = id {
            self.slots.insert(id, slot.clone());
        }
        before
    }

    /// The last follow-up of each slot.
    pub(super) fn into_ids(self) -> HashMap<Slot, Uuid> {
        self.ids
    }

    /// Keeps only some slots.
    pub(super) fn retain(&mut self, keep: impl Fn(&Slot) -> bool) {
        self.ids.retain(|slot, _| keep(slot));
        self.slots.retain(|_, slot| keep(slot));
    }

    /// The number of follow-ups.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        assert_eq!(self.ids.len(), self.slots.len());
        self.ids.len()
    }
}
