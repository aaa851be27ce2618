//! Which projections have applied a record, and when: from the steps that are written, and from the
//! positions in the stores.

use std::collections::BTreeMap;
use std::sync::{Arc, atomic::AtomicBool};

use projections::{
    Stores,
    clock::now_ms,
    postgres::TraceEntry,
    progress::{Since, WhoApplied},
    projection::Retention,
};
use schemas::order::{Event, Line, OrderPlaced};

use crate::{stories::uuid, support::Bench};

const DAY_MS: i64 = 24 * 3_600_000;

/// The entry of an event that is written now.
fn placed(bench: &Bench) -> TraceEntry {
    let (order_id, user_id) = (uuid(1), uuid(2));
    let lines = vec![Line { sku: "rye".to_owned(), quantity: 1 }];
    let placed = OrderPlaced { order_id, user_id, lines, placed_at: bench.now() };
    let key = order_id.to_string();
    let at_ms = bench.now();
    let (partition, offset) = bench.append("order.events", &key, 1, &Event::from(placed));
    TraceEntry {
        topic: "order.events".to_owned(),
        partition,
        offset,
        at_ms,
        key: Some(key),
        kind: None,
        schema_id: None,
        bytes: 1,
        id: uuid(3),
        caused_by: None,
        version: Some(1),
        source: None,
        is_decided: false,
    }
}

#[test]
#[ignore = "needs the stack: integration/test"]
fn record_is_applied_by_a_projection_when_its_step_or_its_position_says_so() {
    let bench = Bench::new(15);
    bench.pass(now_ms());
    let (postgres, mongo) = (bench.postgres.clone(), bench.mongo.clone());
    let stores = Stores { postgres, mongo, redis: bench.redis.clone() };
    let who = WhoApplied::new(&stores, bench.people.clone());
    let entries = [placed(&bench)];
    let applied = || -> BTreeMap<&str, Since> {
        let mut found = bench.wait(who.applied(&entries)).expect("an answer");
        assert_eq!(found.len(), 1);
        found.remove(0).into_iter().map(|it| (it.projection, it.since)).collect()
    };
    // given an event that nobody has applied
    let mut expected = applied();
    assert!(expected.values().all(|since| *since == Since::NotYet), "{expected:?}");
    assert!(["live-order", "orders", "statistics"].iter().all(|name| expected.contains_key(name)));
    assert!(!expected.contains_key("order-trace"), "{expected:?}");
    // when projections into two stores apply it, then their positions say so
    let names = ["orders", "statistics"];
    let projections = names.map(|name| bench.one(name));
    let mut members = projections.each_ref().map(|it| bench.member(it.name(), &**it));
    let before_ms = now_ms();
    for name in names {
        expected.insert(name, Since::Unknown);
    }
    bench.until(&mut members, "it is applied", || (applied() == expected).then_some(()));
    let after_ms = now_ms();
    // when the process has written when that was, then it is known
    let write = || {
        let shutdown = Arc::new(AtomicBool::new(true));
        let progress = bench.resources.progress.clone();
        bench.wait(bench.postgres.clone().write_progress(progress, shutdown));
    };
    write();
    let found = applied();
    for name in names {
        let Since::By(at_ms) = found[name] else { panic!("{name}: {found:?}") };
        assert!((before_ms..=after_ms).contains(&at_ms), "{name}: {found:?}");
    }
    write();
    assert_eq!(applied(), found, "nothing was applied since");
    // when a week has passed, then only the positions say it
    let trace = bench.one("order-trace");
    let retention = Retention { now_ms: now_ms() + 9 * DAY_MS, before_ms: None };
    while bench.wait(trace.remove(retention)).expect("removed") > 0 {}
    assert_eq!(applied(), expected);
}
