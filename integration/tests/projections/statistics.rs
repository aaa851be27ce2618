//! The statistics in PostgreSQL: equal to a fold over the topics, whichever projector writes
//! them.

use std::collections::BTreeMap;

use projections::{
    postgres::{Seller, StatisticsView, Width, Window},
    projection::Retention,
};
use schemas::{
    Money,
    notification::MailSent,
    order::{Line, OrderCancelled, OrderConfirmed, OrderPlaced, OrderRejected, PricedLine},
};
use uuid::Uuid;

use crate::stories::{raised, registered, uuid};
use crate::support::Bench;

const ORDERS: i64 = 160;
/// How long orders had been in the log when they were placed, or so their event says; the last one
/// is late by half an hour.
const AGES_MS: [i64; 5] = [0, 35, 900, 7_000, 1_800_000];

/// What the topics say, added up in the simplest way.
#[derive(Default)]
struct Fold {
    windows: BTreeMap<(i64, i64), Window>,
    units: BTreeMap<(i64, i64, String), i64>,
    placed: BTreeMap<Uuid, i64>,
}

impl Fold {
    fn count(&mut self, at: i64, change: impl Fn(&mut Window)) {
        for width in [60_000, 3_600_000] {
            let start_ms = at - at.rem_euclid(width);
            let window = self.windows.entry((width, start_ms)).or_default();
            window.start_ms = start_ms;
            change(window);
        }
    }

    fn sell(&mut self, at: i64, sku: &str, units: i64) {
        for width in [60_000, 3_600_000] {
            *self.units.entry((width, at - at.rem_euclid(width), sku.to_owned())).or_default() +=
                units;
        }
    }

    /// What a reader must get at this time.
    fn view(&self, width: Width, now_ms: i64) -> StatisticsView {
        let shown = |of: i64, start_ms: i64| of == width.ms() && start_ms >= width.first_ms(now_ms);
        let windows = self.windows.iter().filter(|((of, start), _)| shown(*of, *start));
        let mut sums: BTreeMap<&str, i64> = BTreeMap::new();
        for ((_, _, sku), units) in self.units.iter().filter(|((of, at, _), _)| shown(*of, *at)) {
            *sums.entry(sku).or_default() += units;
        }
        let mut best_sellers: Vec<_> =
            sums.into_iter().map(|(sku, units)| Seller { sku: sku.to_owned(), units }).collect();
        best_sellers.sort_by_key(|seller| std::cmp::Reverse(seller.units));
        best_sellers.truncate(10);
        StatisticsView {
            windows: windows.map(|(_, window)| window.clone()).collect(),
            best_sellers,
        }
    }
}

/// Places an order.
fn place(bench: &Bench, fold: &mut Fold, number: i64) {
    let order_id = uuid(number as u128);
    let placed_at = bench.now() - AGES_MS[usize::try_from(number % 5).expect("small")];
    let lines = vec![Line { sku: "tea".to_owned(), quantity: 2 }];
    let placed = OrderPlaced { order_id, user_id: uuid(77), lines, placed_at };
    bench.append("order.events", &order_id.to_string(), 1, &placed);
    fold.count(placed_at, |window| window.placed += 1);
    fold.placed.insert(order_id, placed_at);
}

/// Ends an order: of seven, three are confirmed, one is rejected, two are cancelled, and one stays
/// open.
fn end(bench: &Bench, fold: &mut Fold, number: i64) {
    let (order_id, user_id, now) = (uuid(number as u128), uuid(77), bench.now());
    let key = order_id.to_string();
    let money = |amount_minor| Money { amount_minor, currency: "EUR".to_owned() };
    match number % 7 {
        0..=2 => {
            let (sku, quantity) = (format!("sku-{:02}", number % 13), 1 + (number % 4) as i32);
            let line = PricedLine { sku: sku.clone(), quantity, unit_price: money(100) };
            let confirmed_at = now - 1_000 * (number % 90);
            let total = money(100 * i64::from(quantity));
            let event =
                OrderConfirmed { order_id, user_id, lines: vec![line], total, confirmed_at };
            bench.append("order.events", &key, 2, &event);
            let took = now - fold.placed[&order_id];
            // The bounds that these ages need.
            let bounds = [50, 75, 1_000, 10_000, 60_000];
            let bound = bounds.into_iter().find(|bound| took <= *bound).unwrap_or(60_000);
            fold.count(confirmed_at, |window| {
                window.confirmed += 1;
                *window.revenue.entry("EUR".to_owned()).or_default() += 100 * i64::from(quantity);
                *window.confirm_ms.entry(bound).or_default() += 1;
            });
            fold.sell(confirmed_at, &sku, i64::from(quantity));
        }
        3 => {
            let (reason, sku) = ("out_of_stock".to_owned(), None);
            let event = OrderRejected { order_id, user_id, reason, sku, rejected_at: now };
            bench.append("order.events", &key, 2, &event);
            fold.count(now, |window| window.rejected += 1);
        }
        4 | 5 => {
            let reason = "by_customer".to_owned();
            let event = OrderCancelled { order_id, user_id, reason, cancelled_at: now - 5 };
            bench.append("order.events", &key, 2, &event);
            fold.count(now - 5, |window| window.cancelled += 1);
        }
        _ => {}
    }
}

/// A user, whose time is in 1970, a notification and its mail.
fn others(bench: &Bench, fold: &mut Fold, number: i64) {
    let id = uuid(10_000 + number as u128);
    registered(bench, id, "f");
    fold.count(2, |window| window.registrations += 1);
    raised(bench, id, uuid(77));
    fold.count(7, |window| window.notifications += 1);
    let sent = MailSent { notification_id: id, user_id: uuid(77), attempt: 1 };
    let at = bench.now();
    bench.append("notification.events", &id.to_string(), 2, &sent);
    fold.count(at, |window| window.mails_sent += 1);
}

#[test]
#[ignore = "needs the stack: integration/test"]
fn statistics_equal_a_fold_over_the_topics_with_two_owners_and_after_a_rebuild() {
    let bench = Bench::new(14);
    let statistics = bench.one("statistics");
    // given two members that both act as the owner of all partitions
    let mut members = [bench.member("one", &*statistics), bench.member("two", &*statistics)];
    let mut fold = Fold::default();
    // when two hours pass, while they work
    for number in 0..ORDERS {
        bench.pass(47_000);
        place(&bench, &mut fold, number);
        if number % 3 == 0 {
            members.iter_mut().for_each(|member| member.step().expect("a step"));
        }
        bench.pass(31);
        end(&bench, &mut fold, number);
        if number % 20 == 0 {
            others(&bench, &mut fold, number);
        }
    }
    // then they have counted everything once
    let now = bench.now();
    let read = |width| StatisticsView {
        windows: bench.wait(bench.people.windows(width, now)).expect("an answer"),
        best_sellers: bench.wait(bench.people.best_sellers(width, now)).expect("an answer"),
    };
    let expected = [Width::Minute, Width::Hour].map(|width| fold.view(width, now));
    assert!(expected[0].windows.len() > 50 && expected[1].windows.len() > 2, "{expected:?}");
    let is_equal = || ([Width::Minute, Width::Hour].map(read) == expected).then_some(());
    bench.until(&mut members, "all events are counted", is_equal);
    for _ in 0..10 {
        members.iter_mut().for_each(|member| member.step().expect("a step"));
    }
    assert_eq!([Width::Minute, Width::Hour].map(read), expected);
    // when they are erased under projectors at work
    bench.wait(statistics.erase()).expect("erased");
    assert_eq!(read(Width::Hour), StatisticsView::default());
    // then a rebuild gives the same
    bench.until(&mut members, "all events are counted again", is_equal);

    // when an hour has passed, the minutes are removed, and the hours stay
    let retention = Retention { now_ms: now + 3_600_000, before_ms: None };
    while bench.wait(statistics.remove(retention)).expect("removed") > 0 {}
    assert_eq!(read(Width::Minute), StatisticsView::default());
    assert_eq!(read(Width::Hour), expected[1]);
    // when thirty days have passed, the hours are removed too
    let retention = Retention { now_ms: now + 31 * 24 * 3_600_000, before_ms: None };
    while bench.wait(statistics.remove(retention)).expect("removed") > 0 {}
    assert_eq!(read(Width::Hour), StatisticsView::default());
}
