//! Data that is lost, erased or removed after its retention.

use std::time::Duration;

use projections::{
    StoreError,
    projection::{Batch, Claim},
};
use redpanda::log::{Record, TopicPartition};
use schemas::{Outcome, user};

use crate::stories::{
    accepted, cancelled, confirmed, outcome, placed, product, raised, read, received, registered,
    uuid,
};
use crate::support::Bench;

#[test]
#[ignore = "needs the stack: integration/test"]
fn data_that_redis_has_lost_is_rebuilt() {
    let bench = Bench::new(6);
    let names = ["hot-products", "unread", "live-order", "live-notification"];
    let projections: Vec<_> = names.iter().map(|name| bench.one(name)).collect();
    let mut members: Vec<_> =
        projections.iter().map(|one| bench.member(one.name(), &**one)).collect();
    product(&bench, "tea");
    received(&bench, "tea", 2);
    for number in 1..=3 {
        raised(&bench, uuid(number), uuid(77));
    }
    read(&bench, uuid(2), uuid(77));
    let look = || {
        let tea = bench.wait(bench.hot.product("tea")).expect("an answer")?;
        let unread = bench.wait(bench.hot.unread(uuid(77))).expect("an answer")?;
        let live =
            bench.wait(bench.live.read(&Default::default(), Duration::ZERO)).expect("an answer");
        (tea.version == 2 && unread == 2 && live.entries.len() == 6).then_some((tea, live))
    };
    let before = bench.until(&mut members, "all of it", look);
    // when all is gone
    bench.command(&["FLUSHDB"]);
    // then it is rebuilt
    let after = bench.until(&mut members, "all of it again", look);
    assert_eq!(before, after);
    // when one product is deleted, its next event reveals that, and the partition is read again
    bench.command(&["DEL", "product:tea"]);
    received(&bench, "tea", 3);
    let tea = bench.until(&mut members, "the product again", || {
        bench.wait(bench.hot.product("tea")).expect("an answer").filter(|tea| tea.version == 3)
    });
    assert_eq!((tea.name, tea.received), (before.0.name, before.0.received + 5));

    // when a rebuild has come to the first of its three events, then nobody reads that state
    drop(members);
    bench.command(&["FLUSHDB"]);
    let (hot, records) = (&projections[0], bench.log.read_committed("stock.events"));
    let partition = TopicPartition::new("stock.events", records[0].partition);
    let claim = bench.wait(hot.positions().claim(hot.name(), &partition)).expect("a claim");
    bench.wait(hot.begin_rebuild(&partition, claim, 3)).expect("marked");
    let apply = |claim: Claim, begin: i64, records: &[Record]| {
        let to = begin + records.len() as i64;
        let batch = Batch { partition: &partition, claim, begin, to, records };
        bench.wait(hot.apply(&batch, &bench.resources.codec)).expect("applied");
        bench.wait(bench.hot.product("tea")).expect("an answer").map(|tea| tea.version)
    };
    assert_eq!(apply(claim, 0, &records[..1]), None);
    // then the present one, when it is there
    assert_eq!(apply(Claim { next: Some(1), ..claim }, 1, &records[1..]), Some(3));
}

#[test]
#[ignore = "needs the stack: integration/test"]
fn owner_of_hot_products_that_was_replaced_deletes_no_position() {
    let bench = Bench::new(3);
    let hot = bench.one("hot-products");
    product(&bench, "tea");
    (2..=3).for_each(|version| received(&bench, "tea", version));
    let records = bench.log.read_committed("stock.events");
    let partition = TopicPartition::new("stock.events", records[0].partition);
    let claim = || bench.wait(hot.positions().claim(hot.name(), &partition)).expect("a claim");
    let apply = |claim: Claim, records: &[Record]| {
        let (begin, to) = (records[0].offset, records[records.len() - 1].offset + 1);
        let batch = Batch { partition: &partition, claim, begin, to, records };
        bench.wait(hot.apply(&batch, &bench.resources.codec))
    };
    // given an owner that has applied two events, and one that rebuilds after Redis was emptied
    let former = claim();
    apply(former, &records[..2]).expect("applied");
    let former = Claim { next: Some(2), ..former };
    bench.command(&["FLUSHDB"]);
    let owner = claim();
    apply(owner, &records[..1]).expect("applied");
    // when the former one continues, with a record that is a gap now
    let lost = apply(former, &records[2..]).expect_err("another owner");
    assert!(matches!(lost, StoreError::Lost { .. }), "{lost}");
    // then the position stays
    let current = bench.wait(hot.positions().current_claim(hot.name(), &partition));
    assert_eq!(current.expect("an answer"), Some(Claim { next: Some(1), ..owner }));
}

#[test]
#[ignore = "needs the stack: integration/test"]
fn gap_in_the_log_stops_hot_products_after_one_rebuild() {
    let bench = Bench::new(4);
    let hot = bench.one("hot-products");
    // given a product whose second version is not in the log
    product(&bench, "tea");
    received(&bench, "tea", 3);
    let number = bench.log.read_committed("stock.events")[0].partition;
    let partition = TopicPartition::new("stock.events", number);
    let current = || {
        let claim = bench.wait(hot.positions().current_claim(hot.name(), &partition));
        claim.expect("an answer")
    };
    // when it is projected, and read from the log's beginning once
    let mut members = [bench.member("h", &*hot)];
    let stopped = Some(Claim { epoch: 2, next: Some(1) });
    bench.until(&mut members, "what came before the gap", || (current() == stopped).then_some(()));
    // then the partition stops there
    for _ in 0..10 {
        members[0].step().expect("a step");
    }
    assert_eq!((current(), members[0].partitions()), (stopped, (1, 1)));
}

#[test]
#[ignore = "needs the stack: integration/test"]
fn erased_projection_is_rebuilt_and_equal() {
    let bench = Bench::new(7);
    let names = ["users", "orders", "products", "notifications", "recipients"];
    let projections: Vec<_> = names.iter().map(|name| bench.one(name)).collect();
    let mut members: Vec<_> =
        projections.iter().map(|one| bench.member(one.name(), &**one)).collect();
    registered(&bench, uuid(1), "f1");
    product(&bench, "tea");
    placed(&bench, uuid(2), uuid(1), 10);
    confirmed(&bench, uuid(2), uuid(1), 2);
    raised(&bench, uuid(3), uuid(1));
    read(&bench, uuid(3), uuid(1));
    let recipients = projections::mongo::Recipients::new(bench.mongo.clone());
    let look = || {
        let user = bench
            .wait(bench.people.user(uuid(1)))
            .expect("an answer")
            .filter(|user| user.version == 2)?;
        let order = bench
            .wait(bench.documents.order(uuid(2)))
            .expect("an answer")
            .filter(|order| order.version == 2)?;
        let history = bench.wait(bench.documents.order_history(uuid(2))).expect("an answer")?;
        let products = bench.wait(bench.documents.products(None, 10)).expect("an answer");
        let inbox =
            bench.wait(bench.documents.notifications(uuid(1), None, 10)).expect("an answer");
        let recipient = bench.wait(recipients.find(uuid(1))).expect("an answer")?;
        let read = inbox.items.first()?.read_at.is_some() && !products.items.is_empty();
        read.then_some((user, order, history, products, inbox, recipient))
    };
    let before = bench.until(&mut members, "all of it", look);
    // when they are erased under projectors at work
    for projection in &projections {
        bench.wait(projection.erase()).expect("erased");
    }
    assert!(look().is_none());
    // then
    let after = bench.until(&mut members, "all of it again", look);
    assert_eq!(before, after);
}

#[test]
#[ignore = "needs the stack: integration/test"]
fn erased_outcomes_of_one_service_are_rebuilt_and_those_of_others_stay() {
    let bench = Bench::new(14);
    let projections = ["order-outcomes", "user-outcomes"].map(|name| bench.one(name));
    let mut members =
        [&projections[0], &projections[1]].map(|one| bench.member(one.name(), &**one));
    let registered = Outcome { aggregate: "user".to_owned(), ..accepted(uuid(1)) };
    bench.append("user.outcomes", &uuid(1).to_string(), 1, &registered);
    outcome(&bench, uuid(2), None);
    let look = |number| bench.wait(bench.people.outcome(uuid(number))).expect("an answer");
    bench.until(&mut members, "both", || look(1).and(look(2)));
    // when those of the order service are erased
    bench.wait(projections[0].erase()).expect("erased");
    // then
    assert_eq!((look(1), look(2)), (Some(registered), None));
    bench.until(&mut members, "both again", || look(1).and(look(2)));
}

#[test]
#[ignore = "needs the stack: integration/test"]
fn ended_resources_are_removed_after_their_retention_and_their_keys_can_be_used_again() {
    let bench = Bench::new(11);
    let names = ["users", "order-outcomes", "orders", "notifications", "recipients", "unread"];
    let projections: Vec<_> = names.iter().map(|name| bench.one(name)).collect();
    let mut members: Vec<_> =
        projections.iter().map(|one| bench.member(one.name(), &**one)).collect();
    // given of everything one that has ended and one that has not
    for (user, fingerprint) in [(1, "f1"), (2, "f2")] {
        registered(&bench, uuid(user), fingerprint);
    }
    let session = |session: u128, expires_at| user::SessionStarted {
        user_id: uuid(2),
        session_id: uuid(session),
        refresh_hash: "r".to_owned(),
        started_at: 5,
        expires_at,
    };
    bench.append("user.events", &uuid(2).to_string(), 3, &session(21, 50));
    bench.append("user.events", &uuid(2).to_string(), 4, &session(22, i64::MAX));
    let fingerprint = "f1".to_owned();
    let left = user::UserDeactivated {
        user_id: uuid(1),
        email_fingerprint: fingerprint,
        deactivated_at: 9,
    };
    bench.append("user.events", &uuid(1).to_string(), 3, &left);
    outcome(&bench, uuid(31), None);
    for order in [41, 42, 43] {
        placed(&bench, uuid(order), uuid(2), 10);
    }
    cancelled(&bench, uuid(41), uuid(2), 2);
    cancelled(&bench, uuid(43), uuid(2), 2);
    for notification in [51, 52] {
        raised(&bench, uuid(notification), uuid(2));
    }
    read(&bench, uuid(51), uuid(2));
    let recipients = projections::mongo::Recipients::new(bench.mongo.clone());
    bench.until(&mut members, "all of it", || {
        let user = bench.wait(bench.people.user(uuid(1))).expect("an answer")?;
        let order = bench.wait(bench.documents.order(uuid(43))).expect("an answer")?;
        let outcome = bench.wait(bench.people.outcome(uuid(31))).expect("an answer");
        let session = bench.wait(bench.people.session(uuid(22))).expect("an answer");
        let inbox =
            bench.wait(bench.documents.notifications(uuid(2), None, 10)).expect("an answer");
        let read = inbox.items.iter().filter(|one| one.read_at.is_some()).count();
        let unread = bench.wait(bench.hot.unread(uuid(2))).expect("an answer")?;
        let gone = bench.wait(recipients.find(uuid(1))).expect("an answer").is_none();
        let done =
            (user.version, order.version, inbox.items.len(), read, unread) == (3, 2, 2, 1, 1);
        (done && gone && outcome.is_some() && session.is_some()).then_some(())
    });

    // when another order follows under a key that has ended but was not removed
    placed(&bench, uuid(43), uuid(2), 1_000_000_000);
    bench.until(&mut members, "the key anew", || {
        let order = bench.wait(bench.documents.order(uuid(43))).expect("an answer")?;
        (order.version == 1 && order.status == "placed").then_some(())
    });

    // when their retention has passed
    let now_ms = 100 * 24 * 3_600_000;
    let retention = projections::projection::Retention { now_ms, before_ms: Some(1_000_000) };
    let removed =
        projections.iter().map(|one| bench.wait(one.remove(retention)).expect("an answer"));
    // A session and a user are one statement each.
    assert_eq!(removed.collect::<Vec<_>>(), [1, 1, 1, 1, 1, 0]);
    let again = projections.iter().map(|one| bench.wait(one.remove(retention)).expect("an answer"));
    assert_eq!(again.sum::<usize>(), 0);

    // then what has not ended exists, and the rest does not
    let is_there = [
        bench.wait(bench.people.user(uuid(1))).expect("an answer").is_some(),
        bench.wait(bench.people.user(uuid(2))).expect("an answer").is_some(),
        bench.wait(bench.people.session(uuid(21))).expect("an answer").is_some(),
        bench.wait(bench.people.session(uuid(22))).expect("an answer").is_some(),
        bench.wait(bench.people.outcome(uuid(31))).expect("an answer").is_some(),
        bench.wait(bench.documents.order(uuid(41))).expect("an answer").is_some(),
        bench.wait(bench.documents.order(uuid(42))).expect("an answer").is_some(),
        bench.wait(bench.documents.notification(uuid(51))).expect("an answer").is_some(),
        bench.wait(bench.documents.notification(uuid(52))).expect("an answer").is_some(),
        bench.wait(recipients.find(uuid(2))).expect("an answer").is_some(),
    ];
    assert_eq!(is_there, [false, true, false, true, false, false, true, false, true, true]);
    // and a key that is used again begins at version 1
    registered(&bench, uuid(1), "f3");
    placed(&bench, uuid(41), uuid(2), 20);
    bench.until(&mut members, "both keys anew", || {
        let user = bench.wait(bench.people.user(uuid(1))).expect("an answer")?;
        let order = bench.wait(bench.documents.order(uuid(41))).expect("an answer")?;
        let recipient = bench.wait(recipients.find(uuid(1))).expect("an answer");
        (user.is_active() && order.version == 1 && recipient.is_some()).then_some(())
    });
}
