//! Folds facts into what each figure of each window gains, and into which orders are open. It is
//! pure: the same facts give the same gains, in whatever batches they come.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::{
    Width,
    fact::{Confirmed, Counter, Fact},
};

/// The upper bounds of the buckets of times, in milliseconds. The last one also holds all that took
/// longer: an order is confirmed or rejected within 30 s.
pub(super) const BUCKETS_MS: [i64; 20] = [
    10, 20, 30, 50, 75, 100, 150, 200, 300, 400, 500, 750, 1_000, 1_500, 2_000, 3_000, 5_000,
    10_000, 30_000, 60_000,
];

/// The name of a figure's rows.
pub(super) const REVENUE: &str = "revenue";
pub(super) const CONFIRM_MS: &str = "confirm_ms";
pub(super) const UNITS: &str = "units";

impl Counter {
    pub(super) fn figure(self) -> &'static str {
        match self {
            Self::Placed => "placed",
            Self::Confirmed => "confirmed",
            Self::Rejected => "rejected",
            Self::Cancelled => "cancelled",
            Self::Registrations => "registrations",
            Self::Notifications => "notifications",
            Self::MailsSent => "mails_sent",
            Self::MailsFailed => "mails_failed",
        }
    }
}

/// A row of `statistics`. The order is that of the primary key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) width_ms: i64,
    pub(super) start_ms: i64,
    pub(super) figure: &'static str,
    pub(super) label: String,
}

/// What facts add.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Gains {
    /// By how much each row grows.
    pub(super) values: BTreeMap<Key, i64>,
    /// The orders that were placed and have not ended, with the time.
    pub(super) opened: BTreeMap<Uuid, i64>,
    /// The orders that have ended.
    pub(super) ended: BTreeSet<Uuid>,
}

impl Gains {
    /// Folds facts. `placed` has the times of orders that were placed before them.
    pub(super) fn of(facts: &[Fact], placed: BTreeMap<Uuid, i64>) -> Self {
        let mut gains = Self { opened: placed, ..Self::default() };
        // What is open already needs no row.
        let known: BTreeSet<Uuid> = gains.opened.keys().copied().collect();
        for fact in facts {
            gains.apply(fact);
        }
        gains.opened.retain(|order, _| !known.contains(order));
        gains
    }

    fn apply(&mut self, fact: &Fact) {
        match fact {
            Fact::Counted { counter, at } => self.count(*counter, *at),
            Fact::Placed { order, at } => {
                self.count(Counter::Placed, *at);
                self.opened.insert(*order, *at);
            }
            Fact::Confirmed(confirmed) => self.confirm(confirmed),
            Fact::Ended { order, counter, at } => {
                self.count(*counter, *at);
                self.end(*order);
            }
        }
    }

    fn confirm(&mut self, it: &Confirmed) {
        self.count(Counter::Confirmed, it.at);
        self.add(it.at, REVENUE, &it.currency, it.total_minor);
        for (sku, units) in &it.units {
            self.add(it.at, UNITS, sku, *units);
        }
        if let Some(placed_at) = self.end(it.order) {
            let bucket = bucket_ms(it.written_at.saturating_sub(placed_at));
            self.add(it.at, CONFIRM_MS, &bucket.to_string(), 1);
        }
    }

    /// Ends an order. Returns when it was placed, if it has not ended before.
    fn end(&mut self, order: Uuid) -> Option<i64> {
        self.ended.insert(order);
        self.opened.remove(&order)
    }

    fn count(&mut self, counter: Counter, at: i64) {
        self.add(at, counter.figure(), "", 1);
    }

    fn add(&mut self, at: i64, figure: &'static str, label: &str, value: i64) {
        for width in Width::ALL {
            let (width_ms, start_ms) = (width.ms(), width.start_ms(at));
            let key = Key { width_ms, start_ms, figure, label: label.to_owned() };
            let sum = self.values.entry(key).or_default();
            *sum = sum.saturating_add(value);
        }
    }
}

/// The bucket of a time.
fn bucket_ms(ms: i64) -> i64 {
    let last = BUCKETS_MS[BUCKETS_MS.len() - 1];
    BUCKETS_MS.into_iter().find(|bound| ms <= *bound).unwrap_or(last)
}
