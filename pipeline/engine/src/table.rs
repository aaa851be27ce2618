//! A map with an undo journal: the state of the open transactions and of the committed log in one place.
//!
//! Every write notes what stood there before. A savepoint is a place in the journal; rolling back takes the
//! writes behind it back, settling forgets them for good. Reads are one look-up whatever is open, and the
//! keys behind a savepoint are just those that the changelog has to carry. It never does I/O.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    hash::BuildHasherDefault,
};

/// A hasher for keys that are already spread well enough by the log: FxHash, as rustc uses it.
#[derive(Default)]
pub struct Fx(u64);

impl std::hash::Hasher for Fx {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.write_u64(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.write_u64(u64::from_le_bytes(last) ^ ((rest.len() as u64) << 56));
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    fn write_u8(&mut self, byte: u8) {
        self.write_u64(byte.into());
    }

    fn finish(&self) -> u64 {
        self.0.rotate_left(26)
    }
}

/// A place in a table's journal.
/// The default one is before all writes that are not settled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Savepoint(u64);

/// A map whose latest writes can be taken back.
#[derive(Debug)]
pub struct Table<V> {
    rows: HashMap<Box<str>, V, BuildHasherDefault<Fx>>,
    journal: VecDeque<(Box<str>, Option<V>)>,
    /// How many journal entries have been settled: the place of the journal's first one.
    settled: u64,
}

impl<V> Default for Table<V> {
    fn default() -> Self {
        Self { rows: HashMap::default(), journal: VecDeque::new(), settled: 0 }
    }
}

impl<V: Clone> Table<V> {
    /// The value at `key`.
    pub fn get(&self, key: &str) -> Option<&V> {
        self.rows.get(key)
    }

    /// All keys and values, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &V)> {
        self.rows.iter().map(|(key, value)| (&**key, value))
    }

    /// How many keys have a value.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether no key has a value.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Sets or forgets the value at `key`, and notes what stood there.
    pub fn put(&mut self, key: &str, value: Option<V>) {
        let before = match value {
            Some(value) => match self.rows.get_mut(key) {
                Some(row) => Some(std::mem::replace(row, value)),
                None => {
                    self.rows.insert(key.into(), value);
                    None
                }
            },
            None => self.rows.remove(key),
        };
        self.journal.push_back((key.into(), before));
    }

    /// Sets or forgets the value at `key` for good, as when the log is read back.
    pub fn load(&mut self, key: &str, value: Option<V>) {
        match value {
            Some(value) => drop(self.rows.insert(key.into(), value)),
            None => drop(self.rows.remove(key)),
        }
    }

    /// The place behind the latest write.
    pub fn savepoint(&self) -> Savepoint {
        Savepoint(self.settled + self.journal.len() as u64)
    }

    /// Takes back all writes behind `savepoint`, latest first.
    pub fn roll_back(&mut self, savepoint: Savepoint) {
        let keep = savepoint.0.saturating_sub(self.settled) as usize;
        while self.journal.len() > keep {
            let Some((key, before)) = self.journal.pop_back() else { break };
            match before {
                Some(value) => drop(self.rows.insert(key, value)),
                None => drop(self.rows.remove(&key)),
            }
        }
    }

    /// Makes all writes before `savepoint` final: the log has them.
    pub fn settle(&mut self, savepoint: Savepoint) {
        let settled = savepoint.0.saturating_sub(self.settled).min(self.journal.len() as u64);
        self.journal.drain(..settled as usize);
        self.settled += settled;
    }

    /// The keys written since `savepoint`, each once, with the value they have now.
    pub fn changes(&self, savepoint: Savepoint) -> impl Iterator<Item = (&str, Option<&V>)> {
        let from = savepoint.0.saturating_sub(self.settled) as usize;
        let mut seen = HashSet::<_, BuildHasherDefault<Fx>>::default();
        self.journal
            .range(from.min(self.journal.len())..)
            .filter(move |(key, _)| seen.insert(&**key))
            .map(|(key, _)| (&**key, self.rows.get(key)))
    }
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

        let changes: Vec<_> = table.changes(batch).map(|(k, v)| (k.to_owned(), v.copied())).collect();
        assert_eq!(changes, [("a".to_owned(), Some(2)), ("b".to_owned(), None)]);
    }
}
