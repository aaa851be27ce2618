//! One partition: its entries, and what a read-committed reader sees of them.

use std::collections::{BTreeMap, HashMap};

use crate::log::Record;

/// The state of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Open,
    Committed,
    Aborted,
}

/// The states of all transactions, by number.
pub(super) type Statuses = HashMap<u64, Status>;

#[derive(Debug)]
pub(super) struct Entry {
    /// `None` is a transaction marker.
    pub(super) record: Option<Record>,
    pub(super) transaction: Option<u64>,
}

impl Entry {
    fn has(&self, status: Status, statuses: &Statuses) -> bool {
        self.transaction.is_some_and(|id| statuses.get(&id) == Some(&status))
    }

    /// The record, unless this is a marker or the record's transaction was aborted.
    pub(super) fn visible(&self, statuses: &Statuses) -> Option<&Record> {
        self.record.as_ref().filter(|_| !self.has(Status::Aborted, statuses))
    }
}

#[derive(Debug, Default)]
pub(super) struct PartitionLog {
    pub(super) entries: BTreeMap<i64, Entry>,
    /// The first offset that the log holds.
    pub(super) beginning: i64,
    /// The high watermark.
    pub(super) end: i64,
}

impl PartitionLog {
    /// The last stable offset: the first record of an open transaction, or the end.
    pub(super) fn stable_end(&self, statuses: &Statuses) -> i64 {
        let is_open = |entry: &Entry| entry.has(Status::Open, statuses);
        self.entries
            .iter()
            .find(|(_, entry)| is_open(entry))
            .map_or(self.end, |(offset, _)| *offset)
    }

    /// Appends up to `max` committed records from offset `from` on to `out`; returns the next
    /// position.
    pub(super) fn read(
        &self,
        statuses: &Statuses,
        from: i64,
        max: usize,
        out: &mut Vec<Record>,
    ) -> i64 {
        let stable = self.stable_end(statuses);
        let mut taken = 0;
        for (offset, entry) in self.entries.range(from..stable.max(from)) {
            if let Some(record) = entry.visible(statuses) {
                if taken == max {
                    return *offset;
                }
                taken += 1;
                out.push(record.clone());
            }
        }
        stable.max(from)
    }

    /// Appends an entry and returns its offset.
    pub(super) fn push(&mut self, entry: impl FnOnce(i64) -> Entry) -> i64 {
        let offset = self.end;
        self.end += 1;
        self.entries.insert(offset, entry(offset));
        offset
    }

    /// Keeps only the last committed record of each key, as compaction does.
    pub(super) fn compact(&mut self, statuses: &Statuses) {
        let stable = self.stable_end(statuses);
        let mut last = HashMap::new();
        for (offset, entry) in self.entries.range(..stable) {
            if let Some(record) = entry.visible(statuses) {
                last.insert(record.key.clone(), *offset);
            }
        }
        self.entries.retain(|offset, entry| {
            let newest = |record: &Record| last.get(&record.key) == Some(offset);
            *offset >= stable || entry.record.as_ref().is_some_and(newest)
        });
    }

    /// Loses everything from `end` on.
    pub(super) fn lose_after(&mut self, end: i64) {
        self.entries.retain(|offset, _| *offset < end);
        self.end = self.end.min(end);
    }

    /// Removes everything before `offset`, as retention does.
    pub(super) fn remove_before(&mut self, offset: i64) {
        self.entries = self.entries.split_off(&offset);
        self.beginning = offset;
    }
}
