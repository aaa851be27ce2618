//! A map with an undo journal: it holds the state of open transactions and of the committed log in
//! one map.
//!
//! Every write notes the value that it replaces. A savepoint is a position in the journal: a
//! roll-back restores the values at the savepoint, and a commit drops the notes before it, so that
//! those writes are final. A read is one look-up whether transactions are open or not, and the keys
//! written behind a savepoint are exactly the ones that the changelog needs. Nothing here does I/O.

use std::collections::VecDeque;

use hashbrown::HashTable;
use slab::Slab;

/// A position in a table's journal. The default one is before all writes that are not committed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Savepoint(u64);

/// A map whose latest writes can be rolled back.
#[derive(Debug)]
pub struct Table<V> {
    /// The row of each key.
    index: HashTable<IndexEntry>,
    rows: Slab<Row<V>>,
    /// The number of rows with a value.
    len: usize,
    journal: VecDeque<Write<V>>,
    /// How many writes are committed: the number of the latest write before the journal's first.
    committed: u64,
}

/// A key in the index: its row, and 32 bits of its hash, so that the index grows without reading
/// the keys.
#[derive(Clone, Copy, Debug)]
struct IndexEntry {
    hash: u32,
    row: u32,
}

impl IndexEntry {
    /// The hash for [`HashTable`], which uses the highest and the lowest bits.
    fn spread(hash: u32) -> u64 {
        (u64::from(hash) << 32) | u64::from(hash)
    }
}

/// A key that has a value, or had one before writes that are not committed.
#[derive(Debug)]
struct Row<V> {
    key: Box<str>,
    value: Option<V>,
    /// The number of the latest write to the row, from 1.
    written: u64,
}

/// A write in the journal: the value that it replaced, and the number of the row's write before.
#[derive(Debug)]
struct Write<V> {
    row: u32,
    before: Option<V>,
    written: u64,
}

impl<V> Default for Table<V> {
    fn default() -> Self {
        Self {
            index: HashTable::new(),
            rows: Slab::new(),
            len: 0,
            journal: VecDeque::new(),
            committed: 0,
        }
    }
}

impl<V> Table<V> {
    /// The value at `key`.
    pub fn get(&self, key: &str) -> Option<&V> {
        self.rows[self.find(hash(key), key)?].value.as_ref()
    }

    /// All keys and values, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &V)> {
        self.rows.iter().filter_map(|(_, row)| Some((&*row.key, row.value.as_ref()?)))
    }

    /// The keys and values in a range of slots, so that a large table can be searched in parts.
    pub fn in_slots(&self, slots: std::ops::Range<usize>) -> impl Iterator<Item = (&str, &V)> {
        slots.filter_map(|slot| {
            let row = self.rows.get(slot)?;
            Some((&*row.key, row.value.as_ref()?))
        })
    }

    /// The number of slots: every key is in a slot below it.
    pub fn slots(&self) -> usize {
        self.rows.capacity()
    }

    /// The number of keys with a value.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no key has a value.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Sets or removes the value at `key`, and notes the value before.
    pub fn put(&mut self, key: &str, value: Option<V>) {
        let row = self.row(key);
        let before = self.set(row, value);
        let number = self.savepoint().0 + 1;
        let written = std::mem::replace(&mut self.rows[row].written, number);
        self.journal.push_back(Write { row: row as u32, before, written });
    }

    /// Sets or removes the value at `key` without a note, as a restore does.
    pub fn load(&mut self, key: &str, value: Option<V>) {
        let row = self.row(key);
        self.set(row, value);
        self.forget(row);
    }

    /// A savepoint behind the latest write.
    pub fn savepoint(&self) -> Savepoint {
        Savepoint(self.committed + self.journal.len() as u64)
    }

    /// Takes back all writes behind `savepoint`, latest first.
    pub fn roll_back(&mut self, savepoint: Savepoint) {
        let keep = savepoint.0.saturating_sub(self.committed) as usize;
        while self.journal.len() > keep {
            let Some(Write { row, before, written }) = self.journal.pop_back() else { break };
            let row = row as usize;
            self.set(row, before);
            self.rows[row].written = written;
            self.forget(row);
        }
    }

    /// Makes all writes before `savepoint` final: the log holds them.
    pub fn commit(&mut self, savepoint: Savepoint) {
        while self.committed < savepoint.0
            && let Some(Write { row, .. }) = self.journal.pop_front()
        {
            self.committed += 1;
            self.forget(row as usize);
        }
    }

    /// The keys written since `savepoint`, each once, with the value they have now. A key that has
    /// no value, and had none at the savepoint, is left out.
    pub fn changes(&self, savepoint: Savepoint) -> impl Iterator<Item = (&str, Option<&V>)> {
        let from = savepoint.0.max(self.committed);
        let skipped = ((from - self.committed) as usize).min(self.journal.len());
        let latest = move |(write, number): (&Write<V>, u64)| {
            let row = &self.rows[write.row as usize];
            let is_latest = row.written == number;
            let is_change = row.value.is_some() || self.value_at(write, from).is_some();
            (is_latest && is_change).then_some((&*row.key, row.value.as_ref()))
        };
        self.journal.range(skipped..).zip(from + 1..).filter_map(latest)
    }

    /// The value that the row of `write` had when `from` writes were made.
    fn value_at<'t>(&'t self, mut write: &'t Write<V>, from: u64) -> Option<&'t V> {
        while write.written > from {
            write = &self.journal[(write.written - self.committed - 1) as usize];
        }
        write.before.as_ref()
    }

    fn find(&self, hash: u32, key: &str) -> Option<usize> {
        let same =
            |entry: &IndexEntry| entry.hash == hash && *self.rows[entry.row as usize].key == *key;
        self.index.find(IndexEntry::spread(hash), same).map(|entry| entry.row as usize)
    }

    /// The row of `key`. A key without a row gets one without a value.
    fn row(&mut self, key: &str) -> usize {
        let hash = hash(key);
        self.find(hash, key).unwrap_or_else(|| {
            let row = self.rows.insert(Row { key: key.into(), value: None, written: 0 });
            let entry = IndexEntry { hash, row: row as u32 };
            let spread = |entry: &IndexEntry| IndexEntry::spread(entry.hash);
            self.index.insert_unique(spread(&entry), entry, spread);
            row
        })
    }

    fn set(&mut self, row: usize, value: Option<V>) -> Option<V> {
        self.len += usize::from(value.is_some());
        let before = std::mem::replace(&mut self.rows[row].value, value);
        self.len -= usize::from(before.is_some());
        before
    }

    /// Drops a row without a value, unless a roll-back could give it one.
    fn forget(&mut self, row: usize) {
        if self.rows[row].value.is_some() || self.rows[row].written > self.committed {
            return;
        }
        let key = self.rows.remove(row).key;
        let is_row = |entry: &IndexEntry| entry.row as usize == row;
        if let Ok(entry) = self.index.find_entry(IndexEntry::spread(hash(&key)), is_row) {
            entry.remove();
        }
    }
}

/// FxHash, as rustc uses it. Keys come from trusted processors and from hashed ids, so a hash that
/// resists chosen keys is not needed.
fn hash(key: &str) -> u32 {
    let mix =
        |hash: u64, word: u64| (hash.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    let (words, rest) = key.as_bytes().as_chunks::<8>();
    let hash = words.iter().fold(0, |hash, word| mix(hash, u64::from_le_bytes(*word)));
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let hash = mix(hash, u64::from_le_bytes(last) ^ ((rest.len() as u64) << 56));
    (hash >> 32) as u32
}

#[cfg(test)]
mod tests;
