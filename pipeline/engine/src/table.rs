//! A map with an undo journal: the state of the open transactions and of the committed log in one
//! place.
//!
//! Every write notes what stood there before. A savepoint is a place in the journal; rolling back
//! takes the writes behind it back, settling forgets them for good. Reads are one look-up whatever
//! is open, and the keys behind a savepoint are just those that the changelog has to carry. It
//! never does I/O.

use std::collections::VecDeque;

use hashbrown::HashTable;
use slab::Slab;

/// A place in a table's journal.
/// The default one is before all writes that are not settled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Savepoint(u64);

/// A map whose latest writes can be taken back.
#[derive(Debug)]
pub struct Table<V> {
    /// Where the row of each key is.
    index: HashTable<Place>,
    rows: Slab<Row<V>>,
    /// How many rows have a value.
    len: usize,
    journal: VecDeque<Write<V>>,
    /// How many writes have been settled: the number of the latest one before the journal's first.
    settled: u64,
}

/// A key's place in the index: as much of its hash as tells keys apart mostly, so that the index
/// grows without reading them.
#[derive(Clone, Copy, Debug)]
struct Place {
    hash: u32,
    row: u32,
}

impl Place {
    /// Both ends of what [`HashTable`] looks at are those of the hash.
    fn spread(hash: u32) -> u64 {
        (u64::from(hash) << 32) | u64::from(hash)
    }
}

/// A key that has a value, or had one before writes that are not settled.
#[derive(Debug)]
struct Row<V> {
    key: Box<str>,
    value: Option<V>,
    /// The number of the latest write to it, from 1.
    written: u64,
}

/// What a write has replaced: the value, and the number of the write before it.
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
            settled: 0,
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

    /// The keys and values at some of its places, so that a large table can be looked through bit
    /// by bit.
    pub fn at(&self, places: std::ops::Range<usize>) -> impl Iterator<Item = (&str, &V)> {
        places.filter_map(|place| {
            let row = self.rows.get(place)?;
            Some((&*row.key, row.value.as_ref()?))
        })
    }

    /// No key stands at this place or after it.
    pub fn places(&self) -> usize {
        self.rows.capacity()
    }

    /// How many keys have a value.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no key has a value.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Sets or forgets the value at `key`, and notes what stood there.
    pub fn put(&mut self, key: &str, value: Option<V>) {
        let row = self.row(key);
        let before = self.set(row, value);
        let number = self.savepoint().0 + 1;
        let written = std::mem::replace(&mut self.rows[row].written, number);
        self.journal.push_back(Write { row: row as u32, before, written });
    }

    /// Sets or forgets the value at `key` for good, as when the log is read back.
    pub fn load(&mut self, key: &str, value: Option<V>) {
        let row = self.row(key);
        self.set(row, value);
        self.forget(row);
    }

    /// The place behind the latest write.
    pub fn savepoint(&self) -> Savepoint {
        Savepoint(self.settled + self.journal.len() as u64)
    }

    /// Takes back all writes behind `savepoint`, latest first.
    pub fn roll_back(&mut self, savepoint: Savepoint) {
        let keep = savepoint.0.saturating_sub(self.settled) as usize;
        while self.journal.len() > keep {
            let Some(Write { row, before, written }) = self.journal.pop_back() else { break };
            let row = row as usize;
            self.set(row, before);
            self.rows[row].written = written;
            self.forget(row);
        }
    }

    /// Makes all writes before `savepoint` final: the log has them.
    pub fn settle(&mut self, savepoint: Savepoint) {
        while self.settled < savepoint.0
            && let Some(Write { row, .. }) = self.journal.pop_front()
        {
            self.settled += 1;
            self.forget(row as usize);
        }
    }

    /// The keys written since `savepoint`, each once, with the value they have now.
    pub fn changes(&self, savepoint: Savepoint) -> impl Iterator<Item = (&str, Option<&V>)> {
        let from = savepoint.0.max(self.settled);
        let skipped = ((from - self.settled) as usize).min(self.journal.len());
        let latest = move |(write, number): (&Write<V>, u64)| {
            let row = &self.rows[write.row as usize];
            (row.written == number).then_some((&*row.key, row.value.as_ref()))
        };
        self.journal.range(skipped..).zip(from + 1..).filter_map(latest)
    }

    fn find(&self, hash: u32, key: &str) -> Option<usize> {
        let same = |place: &Place| place.hash == hash && *self.rows[place.row as usize].key == *key;
        self.index.find(Place::spread(hash), same).map(|place| place.row as usize)
    }

    /// The row of `key`; a new one without a value where there is none.
    fn row(&mut self, key: &str) -> usize {
        let hash = hash(key);
        self.find(hash, key).unwrap_or_else(|| {
            let row = self.rows.insert(Row { key: key.into(), value: None, written: 0 });
            let place = Place { hash, row: row as u32 };
            self.index.insert_unique(Place::spread(hash), place, |place| Place::spread(place.hash));
            row
        })
    }

    fn set(&mut self, row: usize, value: Option<V>) -> Option<V> {
        self.len += usize::from(value.is_some());
        let before = std::mem::replace(&mut self.rows[row].value, value);
        self.len -= usize::from(before.is_some());
        before
    }

    /// Drops a row that has no value and no write that could be taken back.
    fn forget(&mut self, row: usize) {
        if self.rows[row].value.is_some() || self.rows[row].written > self.settled {
            return;
        }
        let key = self.rows.remove(row).key;
        let place =
            self.index.find_entry(Place::spread(hash(&key)), |place| place.row as usize == row);
        if let Ok(place) = place {
            place.remove();
        }
    }
}

/// FxHash, as rustc uses it: keys are already spread well enough by the log.
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
mod tests {
    use super::*;

    #[test]
    fn rolling_back_restores_what_stood_at_the_savepoint() {
        let mut table = Table::default();
        table.load("a", Some(1));
        let first = table.savepoint();
        table.put("a", Some(2));
        table.put("b", Some(3));
        let second = table.savepoint();
        table.put("a", None);
        table.put("b", Some(4));

        table.roll_back(second);
        assert_eq!((table.get("a"), table.get("b")), (Some(&2), Some(&3)));
        table.roll_back(first);
        assert_eq!((table.get("a"), table.get("b")), (Some(&1), None));
    }

    #[test]
    fn what_is_settled_stays_and_later_writes_can_still_be_taken_back() {
        let mut table = Table::default();
        table.put("a", Some(1));
        let committed = table.savepoint();
        table.put("a", Some(2));

        table.settle(committed);
        table.roll_back(committed);
        assert_eq!(table.get("a"), Some(&1));
        assert_eq!(table.savepoint(), committed);
    }

    #[test]
    fn changes_name_each_key_once_with_its_latest_value() {
        let mut table = Table::default();
        table.put("old", Some(0));
        let batch = table.savepoint();
        table.put("a", Some(1));
        table.put("b", Some(1));
        table.put("a", Some(2));
        table.put("b", None);

        let changes: Vec<_> =
            table.changes(batch).map(|(k, v)| (k.to_owned(), v.copied())).collect();
        assert_eq!(changes, [("a".to_owned(), Some(2)), ("b".to_owned(), None)]);
    }

    /// Beside a map that is copied at every savepoint.
    #[test]
    fn random_writes_are_taken_back_and_settled_as_in_copies() {
        use rand::{Rng as _, SeedableRng as _};
        use std::collections::{BTreeMap, BTreeSet};

        for seed in 0..200 {
            let mut random = rand::rngs::StdRng::seed_from_u64(seed);
            let (mut table, mut model, mut written) =
                (Table::default(), BTreeMap::new(), Vec::new());
            let mut copies = vec![(table.savepoint(), model.clone(), 0)];
            for step in 0..300 {
                let key = random.random_range(0..12).to_string();
                match random.random_range(0..10) {
                    0 => copies.push((table.savepoint(), model.clone(), written.len())),
                    1 => {
                        copies.truncate(random.random_range(1..=copies.len()));
                        let (savepoint, copy, length) = &copies[copies.len() - 1];
                        table.roll_back(*savepoint);
                        written.truncate(*length);
                        model.clone_from(copy);
                    }
                    2 if copies.len() > 1 => {
                        table.settle(copies[1].0);
                        copies.remove(0);
                    }
                    kind => {
                        let value = (kind > 5).then_some(step);
                        table.put(&key, value);
                        let _ = match value {
                            Some(value) => model.insert(key.clone(), value),
                            None => model.remove(&key),
                        };
                        written.push(key);
                    }
                }
                let found: BTreeMap<_, _> =
                    table.iter().map(|(key, value)| (key.to_owned(), *value)).collect();
                assert_eq!(found, model, "seed {seed}, step {step}");
                assert_eq!((table.len(), table.is_empty()), (model.len(), model.is_empty()));
                for (savepoint, _, length) in &copies {
                    let changes: Vec<_> = table.changes(*savepoint).collect();
                    let keys: BTreeSet<_> = changes.iter().map(|(key, _)| *key).collect();
                    let expected: BTreeSet<_> =
                        written[*length..].iter().map(|key| &**key).collect();
                    assert_eq!(
                        (&keys, keys.len()),
                        (&expected, changes.len()),
                        "seed {seed}, step {step}"
                    );
                    assert!(changes.iter().all(|(key, value)| model.get(*key) == *value));
                }
            }
        }
    }
}
