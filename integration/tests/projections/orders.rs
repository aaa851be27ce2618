//! Orders in MongoDB, and what their versions protect.

use std::time::Duration;

use projections::views::Cursor;
use schemas::user;

use crate::stories::{cancelled, confirmed, placed, product, raised, received, registered, uuid};
use crate::support::Bench;

#[test]
#[ignore = "needs the stack: integration/test"]
fn orders_are_listed_newest_first_with_a_stable_cursor_and_their_history() {
    let bench = Bench::new(14);
    let orders = bench.one("orders");
    let mut members = [bench.member("o", &*orders)];
    // given five orders, two of them in one millisecond
    for (number, at) in [(1, 10), (2, 20), (3, 20), (4, 30), (5, 40)] {
        placed(&bench, uuid(number), uuid(77), at);
    }
    confirmed(&bench, uuid(4), uuid(77), 2);
    cancelled(&bench, uuid(4), uuid(77), 3);
    placed(&bench, uuid(6), uuid(78), 50);
    bench.until(&mut members, "all orders", || {
        let versions = (1..=6).map(|number| {
            bench.wait(bench.documents.order_version(uuid(number))).expect("an answer")
        });
        versions.collect::<Option<Vec<_>>>().filter(|versions| versions[3] == 3)
    });
    // when they are read page by page, while another is placed
    let first = bench.wait(bench.documents.orders(uuid(77), None, 2)).expect("a page");
    placed(&bench, uuid(7), uuid(77), 60);
    bench.until(&mut members, "another", || {
        bench.wait(bench.documents.order(uuid(7))).expect("an answer")
    });
    let second = bench.wait(bench.documents.orders(uuid(77), first.next, 2)).expect("a page");
    let third = bench.wait(bench.documents.orders(uuid(77), second.next, 2)).expect("a page");
    // then none is missing or repeated
    let ids: Vec<_> = [first.items, second.items, third.items]
        .concat()
        .iter()
        .map(|order| order.id.as_u128())
        .collect();
    assert_eq!(ids, [5, 4, 3, 2, 1]);
    assert_eq!((second.next, third.next), (Some(Cursor { at: 20, id: uuid(2) }), None));
    let order = bench.wait(bench.documents.order(uuid(4))).expect("an answer").expect("an order");
    assert_eq!((&*order.status, order.total_minor, order.version), ("cancelled", Some(900), 3));
    let history =
        bench.wait(bench.documents.order_history(uuid(4))).expect("an answer").expect("a history");
    let kinds: Vec<_> =
        history.iter().map(|happened| (&*happened.kind, happened.version)).collect();
    assert_eq!(kinds, [("OrderPlaced", 1), ("OrderConfirmed", 2), ("OrderCancelled", 3)]);
    assert_eq!(history[0].data["lines"][0]["sku"], "tea");
}

#[test]
#[ignore = "needs the stack: integration/test"]
fn gap_stops_its_partition_and_no_other() {
    let bench = Bench::new(14);
    let orders = bench.one("orders");
    let mut members = [bench.member("o", &*orders)];
    // given an order whose second version never comes
    let (broken, _) = placed(&bench, uuid(1), uuid(77), 10);
    cancelled(&bench, uuid(1), uuid(77), 3);
    let behind =
        (2000..).find(|n| placed(&bench, uuid(*n), uuid(77), 12).0 == broken).expect("one");
    let beside =
        (3000..).find(|n| placed(&bench, uuid(*n), uuid(77), 12).0 != broken).expect("one");
    // when
    bench.until(&mut members, "the other partition", || {
        bench.wait(bench.documents.order(uuid(beside))).expect("an answer")
    });
    let order = bench.until(&mut members, "what came before the gap", || {
        bench.wait(bench.documents.order(uuid(1))).expect("an answer")
    });
    for _ in 0..10 {
        members[0].step().expect("a step");
    }
    // then
    assert_eq!((order.version, members[0].partitions()), (1, (1, 1)));
    assert_eq!(bench.wait(bench.documents.order(uuid(behind))).expect("an answer"), None);
}

#[test]
#[ignore = "needs the stack: integration/test"]
fn two_members_that_both_act_as_the_owner_apply_nothing_twice() {
    let bench = Bench::new(5);
    let names = ["users", "orders", "unread", "hot-products", "live-order"];
    let projections: Vec<_> = names.iter().map(|name| bench.one(name)).collect();
    let mut members = Vec::new();
    for group in ["one", "two"] {
        members.extend(
            projections.iter().map(|one| bench.member(&format!("{group} {}", one.name()), &**one)),
        );
    }
    registered(&bench, uuid(1), "f1");
    product(&bench, "tea");
    placed(&bench, uuid(2), uuid(1), 10);
    for round in 0..20_i64 {
        raised(&bench, uuid(100 + round as u128), uuid(1));
        received(&bench, "tea", round + 2);
        let renamed = user::NameChanged { user_id: uuid(1), name: format!("Ada {round}") };
        bench.append("user.events", &uuid(1).to_string(), round + 3, &renamed);
        members.iter_mut().for_each(|member| member.step().expect("a step"));
    }
    confirmed(&bench, uuid(2), uuid(1), 2);
    bench.until(&mut members, "everything once", || {
        let user = bench.wait(bench.people.user(uuid(1))).expect("an answer")?;
        let unread = bench.wait(bench.hot.unread(uuid(1))).expect("an answer")?;
        let tea = bench.wait(bench.hot.product("tea")).expect("an answer")?;
        let order = bench.wait(bench.documents.order(uuid(2))).expect("an answer")?;
        (user.version == 22 && unread >= 20 && tea.version == 21 && order.version == 2)
            .then_some(())
    });
    assert_eq!(bench.wait(bench.hot.unread(uuid(1))).expect("an answer"), Some(20));
    let history =
        bench.wait(bench.documents.order_history(uuid(2))).expect("an answer").expect("a history");
    assert_eq!(history.len(), 2);
    let entries = bench.until(&mut members, "the stream", || {
        let read =
            bench.wait(bench.live.read(&Default::default(), Duration::ZERO)).expect("an answer");
        (read.entries.len() >= 23).then_some(read.entries)
    });
    assert_eq!(entries.len(), 23);
}
