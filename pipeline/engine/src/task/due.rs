//! The index of timers by due time. It may name timers that were replaced or cancelled: the table
//! of timers decides.

use std::collections::BTreeSet;

use crate::table::Table;

/// The index is not rebuilt below this number of stale entries, whatever their share.
const STALE_MIN: usize = 1_000;

/// Timers by due time, in milliseconds since the epoch.
#[derive(Debug, Default)]
pub(super) struct Due(BTreeSet<(i64, Box<str>)>);

impl Due {
    /// An index of these timers.
    pub(super) fn of(timers: &Table<i64>) -> Self {
        Self(timers.iter().map(|(name, due_ms)| (*due_ms, name.into())).collect())
    }

    /// Adds a timer. A timer that is cancelled stays, because an input that fails may be undone.
    pub(super) fn insert(&mut self, due_ms: i64, name: &str) {
        self.0.insert((due_ms, name.into()));
    }

    /// When the next timer comes due of those due at `from_ms` or later.
    pub(super) fn next_ms(&self, from_ms: i64) -> Option<i64> {
        self.0.range((from_ms, Box::<str>::default())..).next().map(|(due_ms, _)| *due_ms)
    }

    /// Removes the next timer that is due at `now_ms`.
    pub(super) fn pop(&mut self, now_ms: i64) -> Option<(i64, Box<str>)> {
        self.0.first().filter(|(due_ms, _)| *due_ms <= now_ms)?;
        self.0.pop_first()
    }

    /// Builds the index anew if most of it is of timers that were replaced or cancelled: a deadline
    /// is mostly cancelled long before it is due. No input may be under way that could be undone.
    pub(super) fn prune(&mut self, timers: &Table<i64>) {
        if self.0.len() > STALE_MIN + 2 * timers.len() {
            *self = Self::of(timers);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cancelled_timers_do_not_stay_until_they_are_due() {
        let (mut timers, mut due) = (Table::default(), Due::default());
        for number in 0..10_000 {
            let name = format!("timer {number}");
            timers.put(&name, Some(number));
            due.insert(number, &name);
            // All but every hundredth are cancelled.
            if number % 100 != 0 {
                timers.put(&name, None);
            }
            due.prune(&timers);
            assert!(due.0.len() <= STALE_MIN + 2 * timers.len() + 1, "{number}");
        }
        let mut fired = Vec::new();
        while let Some((due_ms, name)) = due.pop(9_950) {
            fired.extend(timers.get(&name).filter(|it| **it == due_ms));
        }
        let expected: Vec<i64> = (0..100).map(|number| number * 100).collect();
        assert_eq!(fired.into_iter().copied().collect::<Vec<_>>(), expected);
    }
}
