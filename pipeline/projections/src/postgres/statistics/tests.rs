//! The fold: what counts where, and that batches make no difference.

use std::collections::BTreeMap;

use schemas::{
    Money,
    order::{self, OrderConfirmed, PricedLine},
};
use uuid::Uuid;

use super::{
    Width,
    fact::{Confirmed, Counter, Fact, placed_before},
    gains::{Gains, Key},
    reads::Window,
};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 3_600_000;

fn order(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn placed(number: u128, at: i64) -> Fact {
    Fact::Placed { order: order(number), at }
}

fn confirmed(number: u128, at: i64, written_at: i64) -> Fact {
    let units = vec![("tea".to_owned(), 2), ("cup".to_owned(), 1)];
    let currency = "EUR".to_owned();
    Fact::Confirmed(Confirmed {
        order: order(number),
        at,
        written_at,
        total_minor: 900,
        currency,
        units,
    })
}

/// Applies batches one after another, as the store does.
#[derive(Debug, Default, PartialEq)]
struct Store {
    values: BTreeMap<Key, i64>,
    open: BTreeMap<Uuid, i64>,
}

impl Store {
    fn after(batches: &[&[Fact]]) -> Self {
        let mut store = Self::default();
        for facts in batches {
            let before = placed_before(facts);
            let placed = before.iter().filter_map(|id| Some((*id, *store.open.get(id)?))).collect();
            let gains = Gains::of(facts, placed);
            store.open.retain(|id, _| !gains.ended.contains(id));
            store.open.extend(gains.opened);
            for (key, value) in gains.values {
                *store.values.entry(key).or_default() += value;
            }
        }
        store
    }

    fn value(&self, width: Width, start_ms: i64, figure: &str, label: &str) -> i64 {
        let is_it = |key: &&Key| {
            (key.width_ms, key.start_ms) == (width.ms(), start_ms)
                && (key.figure, &*key.label) == (figure, label)
        };
        self.values.iter().find(|(key, _)| is_it(key)).map_or(0, |(_, value)| *value)
    }
}

#[test]
fn event_counts_in_the_windows_of_its_own_time_however_late_it_comes() {
    let late = [
        placed(1, HOUR + 5 * MINUTE),
        placed(2, HOUR + MINUTE - 1),
        placed(3, HOUR - 1),
        Fact::Ended { order: order(2), counter: Counter::Rejected, at: HOUR + MINUTE },
    ];
    let store = Store::after(&[&late]);
    let minute = |start_ms, figure| store.value(Width::Minute, start_ms, figure, "");
    assert_eq!(minute(HOUR + 5 * MINUTE, "placed"), 1);
    assert_eq!(minute(HOUR, "placed"), 1);
    assert_eq!(minute(HOUR + MINUTE, "placed"), 0);
    assert_eq!(minute(HOUR + MINUTE, "rejected"), 1);
    assert_eq!(store.value(Width::Hour, HOUR, "placed", ""), 2);
    assert_eq!(store.value(Width::Hour, 0, "placed", ""), 1);
}

#[test]
fn confirmed_order_counts_its_total_its_pieces_and_its_time_until_it_was_written() {
    let store = Store::after(&[&[placed(1, 1_000), confirmed(1, 1_000, 1_120)]]);
    let value = |figure, label| store.value(Width::Minute, 0, figure, label);
    assert_eq!((value("confirmed", ""), value("revenue", "EUR")), (1, 900));
    assert_eq!((value("units", "tea"), value("units", "cup")), (2, 1));
    assert_eq!((value("confirm_ms", "150"), store.open.len()), (1, 0));
}

#[test]
fn fold_is_the_same_in_whatever_batches_the_facts_come() {
    let facts = [
        placed(1, 10),
        placed(2, 20),
        confirmed(1, 30, 45),
        placed(3, 40),
        confirmed(3, 50, 90_000),
        Fact::Ended { order: order(1), counter: Counter::Cancelled, at: 70_000 },
        Fact::Ended { order: order(2), counter: Counter::Rejected, at: HOUR },
        placed(4, HOUR + 1),
        Fact::Counted { counter: Counter::MailsSent, at: 5 },
    ];
    let whole = Store::after(&[&facts]);
    assert_eq!(whole.open, BTreeMap::from([(order(4), HOUR + 1)]));
    assert_eq!(whole.value(Width::Hour, 0, "confirm_ms", "60000"), 1, "longer than all buckets");
    for split in 1..facts.len() {
        let (first, second) = facts.split_at(split);
        assert_eq!(Store::after(&[first, second]), whole, "split at {split}");
    }
    let each: Vec<&[Fact]> = facts.chunks(1).collect();
    assert_eq!(Store::after(&each), whole);
}

#[test]
fn order_whose_placing_is_unknown_counts_without_a_time() {
    let store = Store::after(&[&[confirmed(1, 10, 20)]]);
    assert_eq!(store.value(Width::Minute, 0, "confirmed", ""), 1);
    assert!(store.values.keys().all(|key| key.figure != "confirm_ms"));
}

#[test]
fn quantile_is_the_bound_of_the_bucket_that_holds_it() {
    let window = |counts: &[(i64, i64)]| Window {
        confirm_ms: counts.iter().copied().collect(),
        ..Window::default()
    };
    assert_eq!(window(&[]).confirm_within_ms(50), None);
    assert_eq!(window(&[(10, 1)]).confirm_within_ms(99), Some(10));
    let many = window(&[(10, 50), (100, 49), (5_000, 1)]);
    assert_eq!(many.confirm_within_ms(50), Some(10));
    assert_eq!(many.confirm_within_ms(51), Some(100));
    assert_eq!(many.confirm_within_ms(99), Some(100));
    assert_eq!(many.confirm_within_ms(100), Some(5_000));
}

#[test]
fn windows_are_kept_for_an_hour_and_for_thirty_days() {
    let now_ms = 1_000 * HOUR + 17 * MINUTE + 1;
    assert_eq!(Width::Minute.first_ms(now_ms), 999 * HOUR + 18 * MINUTE);
    assert_eq!(Width::Hour.first_ms(now_ms), (1_000 - 719) * HOUR);
    assert_eq!(Width::Minute.start_ms(-1), -MINUTE);
}

#[test]
fn confirmed_event_is_read_with_its_lines() {
    use redpanda::log::{Headers, Record};
    use schemas::{Codec, Message as _, headers};

    let money = |amount_minor| Money { amount_minor, currency: "EUR".to_owned() };
    let (sku, unit_price) = ("tea".to_owned(), money(450));
    let event = OrderConfirmed {
        order_id: order(1),
        user_id: order(2),
        lines: vec![PricedLine { sku, quantity: 2, unit_price }],
        total: money(900),
        confirmed_at: 70,
    };
    let (codec, mut value, mut with) = (Codec::local(), Vec::new(), Headers::default());
    order::Event::from(event).encode(&codec, &mut value).expect("bytes");
    with.push(headers::VERSION, "3");
    let record = Record {
        topic: "order.events".into(),
        partition: 0,
        offset: 0,
        timestamp_ms: 99,
        key: Some(order(1).to_string().into()),
        value: Some(value.into()),
        headers: with,
    };
    let expected = Confirmed {
        order: order(1),
        at: 70,
        written_at: 99,
        total_minor: 900,
        currency: "EUR".to_owned(),
        units: vec![("tea".to_owned(), 2)],
    };
    let read = super::fact::of(&record, &codec).expect("readable");
    assert_eq!(read, Some(Fact::Confirmed(expected)));
}
