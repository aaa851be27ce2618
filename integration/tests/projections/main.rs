//! The projections over real stores: what is read, who may write, and what happens when something
//! is lost.

mod stories;
mod support;

use std::time::Duration;

use projections::views::Cursor;
use schemas::user;
use stories::{
    cancelled, confirmed, outcome, placed, product, raised, read, received, registered, uuid,
};
use support::Bench;

#[test]
#[ignore = "needs the stack: integration/test, or `stack run -- cargo test -p integration -- --ignored`"]
fn people_log_in_with_what_was_projected_until_they_leave() {
    let bench = Bench::new(1);
    let (users, credentials) = (bench.one("users"), bench.one("credentials"));
    let mut members = [bench.member("u", &*users), bench.member("c", &*credentials)];
    let (id, session) = (uuid(1), uuid(2));
    // given someone who has registered and logged in
    registered(&bench, id, "f1");
    let credential = |hash: &str, credential_version| user::Credential {
        user_id: id,
        password_hash: hash.to_owned(),
        credential_version,
        changed_at: 1,
    };
    let key = id.to_string();
    bench.append("user.credentials", &key, 0, &credential("old", 1));
    bench.append("user.credentials", &key, 0, &credential("new", 2));
    let started = user::SessionStarted {
        user_id: id,
        session_id: session,
        refresh_hash: "r".to_owned(),
        started_at: 5,
        expires_at: 50,
    };
    bench.append("user.events", &key, 3, &started);
    // then
    let login = bench.until(&mut members, "a log-in", || {
        bench.wait(bench.people.login("f1")).expect("an answer")
    });
    assert_eq!(
        (login.user_id, &*login.password_hash, login.credential_version, login.active),
        (id, "new", 2, true)
    );
    bench.until(&mut members, "a session", || {
        bench.wait(bench.people.session(session)).expect("an answer")
    });
    // when they change the address, and another takes the old one before that is known
    registered(&bench, uuid(9), "f1");
    let (email, email_fingerprint) = ("b@example.org".to_owned(), "f2".to_owned());
    let former_fingerprint = "f1".to_owned();
    let changed = user::EmailChanged { user_id: id, email, email_fingerprint, former_fingerprint };
    bench.append("user.events", &key, 4, &changed);
    bench.append(
        "user.credentials",
        &uuid(9).to_string(),
        0,
        &user::Credential { user_id: uuid(9), ..credential("x", 1) },
    );
    // then
    bench.until(&mut members, "the new owner", || {
        bench
            .wait(bench.people.login("f1"))
            .expect("an answer")
            .filter(|login| login.user_id == uuid(9))
    });
    bench.until(&mut members, "the new address", || {
        bench.wait(bench.people.login("f2")).expect("an answer")
    });
    // when they leave
    let left = user::UserDeactivated {
        user_id: id,
        email_fingerprint: "f2".to_owned(),
        deactivated_at: 9,
    };
    bench.append("user.events", &key, 5, &left);
    // then nothing personal is left
    let row = bench.until(&mut members, "a deactivated user", || {
        bench.wait(bench.people.user(id)).expect("an answer").filter(|user| !user.is_active())
    });
    assert_eq!((&*row.email, &*row.name, row.version, &*row.status), ("", "", 5, "deactivated"));
    assert_eq!(bench.wait(bench.people.login("f2")).expect("an answer"), None);
    assert_eq!(bench.wait(bench.people.session(session)).expect("an answer"), None);
    bench.log.append("user.credentials", &key, None, redpanda::log::Headers::default());
    bench.until(&mut members, "no credential", || {
        bench.wait(bench.people.credential(id)).expect("an answer").is_none().then_some(())
    });
}

#[test]
#[ignore = "needs the stack: integration/test, or `stack run -- cargo test -p integration -- --ignored`"]
fn the_first_outcome_of_a_command_stays_and_those_who_wait_are_told() {
    let bench = Bench::new(2);
    let outcomes = bench.one("outcomes");
    let mut members = [bench.member("o", &*outcomes)];
    // A notice may be lost, above all before the listener is connected; not all of twenty.
    let told = (1..=20).any(|number| {
        let mut notice = bench.notices.subscribe(uuid(number));
        outcome(&bench, uuid(number), None);
        let found = bench.until(&mut members, "an outcome", || {
            bench.wait(bench.people.outcome(uuid(number))).expect("an answer")
        });
        assert_eq!(found.verdict, schemas::Verdict::Accepted);
        bench.wait(tokio_timeout(notice.wait()))
    });
    assert!(told);
    outcome(&bench, uuid(1), Some("too_late"));
    outcome(&bench, uuid(100), Some("no"));
    let refused = bench.until(&mut members, "the refusal", || {
        bench.wait(bench.people.outcome(uuid(100))).expect("an answer")
    });
    assert_eq!(refused.code.as_deref(), Some("no"));
    let first = bench.wait(bench.people.outcome(uuid(1))).expect("an answer").expect("an outcome");
    assert_eq!(first.code, None);
}

async fn tokio_timeout(future: impl Future<Output = ()>) -> bool {
    tokio::time::timeout(Duration::from_millis(500), future).await.is_ok()
}

#[test]
#[ignore = "needs the stack: integration/test, or `stack run -- cargo test -p integration -- --ignored`"]
fn orders_are_listed_newest_first_with_a_stable_cursor_and_their_history() {
    let bench = Bench::new(3);
    let orders = bench.one("orders");
    let mut members = [bench.member("o", &*orders)];
    // given five orders, two of them of one millisecond
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
    // when they are read page by page, while another comes
    let first = bench.wait(bench.documents.orders(uuid(77), None, 2)).expect("a page");
    placed(&bench, uuid(7), uuid(77), 60);
    bench.until(&mut members, "another", || {
        bench.wait(bench.documents.order(uuid(7))).expect("an answer")
    });
    let second = bench.wait(bench.documents.orders(uuid(77), first.next, 2)).expect("a page");
    let third = bench.wait(bench.documents.orders(uuid(77), second.next, 2)).expect("a page");
    // then none is missing or doubled
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
#[ignore = "needs the stack: integration/test, or `stack run -- cargo test -p integration -- --ignored`"]
fn a_gap_stops_its_partition_where_it_is_and_no_other() {
    let bench = Bench::new(4);
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
#[ignore = "needs the stack: integration/test, or `stack run -- cargo test -p integration -- --ignored`"]
fn two_members_that_both_believe_to_be_the_owner_change_nothing_twice() {
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
        let batch =
            bench.wait(bench.live.read(&Default::default(), Duration::ZERO)).expect("a batch");
        (batch.entries.len() >= 23).then_some(batch.entries)
    });
    assert_eq!(entries.len(), 23);
}

#[test]
#[ignore = "needs the stack: integration/test, or `stack run -- cargo test -p integration -- --ignored`"]
fn what_redis_loses_is_there_again() {
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
            bench.wait(bench.live.read(&Default::default(), Duration::ZERO)).expect("a batch");
        (tea.version == 2 && unread == 2 && live.entries.len() == 6).then_some((tea, live))
    };
    let before = bench.until(&mut members, "all of it", look);
    // when all is gone
    bench.command(&["FLUSHDB"]);
    // then it comes back by itself
    let after = bench.until(&mut members, "all of it again", look);
    assert_eq!(before, after);
    // when one product alone is gone, its next event shows it, and the partition is read anew
    bench.command(&["DEL", "product:tea"]);
    received(&bench, "tea", 3);
    let tea = bench.until(&mut members, "the product again", || {
        bench.wait(bench.hot.product("tea")).expect("an answer").filter(|tea| tea.version == 3)
    });
    assert_eq!((tea.name, tea.received), (before.0.name, before.0.received + 5));
}

#[test]
#[ignore = "needs the stack: integration/test, or `stack run -- cargo test -p integration -- --ignored`"]
fn an_erased_projection_is_built_anew_and_is_the_same() {
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
#[ignore = "needs the stack: integration/test, or `stack run -- cargo test -p integration -- --ignored`"]
fn the_live_stream_goes_on_where_a_reader_stood_and_tells_of_what_is_cut_off() {
    let bench = Bench::new(8);
    let feed = bench.one("live-user");
    let mut members = [bench.member("l", &*feed)];
    registered(&bench, uuid(1), "f1");
    let start = Default::default();
    let first = bench.until(&mut members, "two events", || {
        let batch = bench.wait(bench.live.read(&start, Duration::ZERO)).expect("a batch");
        (batch.entries.len() == 2).then_some(batch)
    });
    // then personal fields are for their owner
    let entry = &first.entries[1];
    assert_eq!((&*entry.kind, entry.owner, entry.version), ("UserRegistered", Some(uuid(1)), 2));
    assert_eq!(entry.data["email"], "ada@example.org");
    assert_ne!(entry.masked["email"], "ada@example.org");
    assert!(!first.reset && !entry.data.to_string().contains("f1"));
    // when there is more, a reader that stood there gets just that, also from the text of its
    // position
    let stood = first.positions.to_string().parse().expect("positions");
    assert_eq!(bench.wait(bench.live.end()).expect("the end"), stood);
    let renamed = user::NameChanged { user_id: uuid(1), name: "Ada L.".to_owned() };
    let (partition, _) = bench.append("user.events", &uuid(1).to_string(), 3, &renamed);
    let more = std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            bench.wait(bench.live.read(&stood, Duration::from_secs(30))).expect("a batch")
        });
        while !reading.is_finished() {
            members[0].step().expect("a step");
        }
        reading.join().expect("a batch")
    });
    assert_eq!(more.entries.iter().map(|entry| &*entry.kind).collect::<Vec<_>>(), ["NameChanged"]);
    // when the stream was cut off behind the last, who has not read that far is told
    bench.command(&["XTRIM", &format!("live:user.events:{partition}"), "MAXLEN", "1"]);
    let late = bench.wait(bench.live.read(&start, Duration::ZERO)).expect("a batch");
    assert!(late.reset && late.entries.is_empty());
    let in_time = bench.wait(bench.live.read(&stood, Duration::ZERO)).expect("a batch");
    assert_eq!((in_time.reset, in_time.entries.len()), (false, 1));
    assert_eq!(late.positions, in_time.positions);
}

#[test]
#[ignore = "needs the stack: integration/test, or `stack run -- cargo test -p integration -- --ignored`"]
fn text_with_a_nul_is_stored_without_it_and_what_follows_is_applied() {
    let bench = Bench::new(9);
    let names = ["outcomes", "users"];
    let projections: Vec<_> = names.iter().map(|name| bench.one(name)).collect();
    let mut members: Vec<_> =
        projections.iter().map(|one| bench.member(one.name(), &**one)).collect();
    // given an outcome as an operator's headers make it, and an address's fingerprint longer than
    // an index takes
    let odd = |text: &str| format!("{text}\0");
    let outcome = schemas::Outcome {
        command_type: odd("type"),
        principal: odd("principal"),
        fingerprint: Some(odd("fingerprint")),
        detail: Some(odd("detail")),
        code: Some(odd("code")),
        aggregate_id: odd("id"),
        ..stories::accepted(uuid(1))
    };
    bench.append("outcomes", &uuid(1).to_string(), 1, &outcome);
    registered(
        &bench,
        uuid(2),
        &format!("{}\0", (0..9_000).map(|n| format!("{n}")).collect::<String>()),
    );
    // then
    let found = bench.until(&mut members, "the outcome", || {
        bench.wait(bench.people.outcome(uuid(1))).expect("an answer")
    });
    assert_eq!((&*found.command_type, &*found.principal), ("type\u{fffd}", "principal\u{fffd}"));
    assert_eq!(found.fingerprint.as_deref(), Some("fingerprint\u{fffd}"));
    bench.until(&mut members, "the user", || {
        bench.wait(bench.people.user(uuid(2))).expect("an answer").filter(|user| user.version == 2)
    });
}

#[test]
#[ignore = "needs the stack: integration/test, or `stack run -- cargo test -p integration -- --ignored`"]
fn unreadable_record_is_a_dead_letter_in_every_store_and_its_partition_goes_on() {
    let bench = Bench::new(10);
    let names = ["users", "recipients", "live-user"];
    let projections: Vec<_> = names.iter().map(|name| bench.one(name)).collect();
    let mut members: Vec<_> =
        projections.iter().map(|one| bench.member(one.name(), &**one)).collect();
    let key = uuid(1).to_string();
    bench.log.append(
        "user.events",
        &key,
        Some("not Avro".into()),
        redpanda::log::Headers::default(),
    );
    registered(&bench, uuid(1), "f1");
    // then all three have what follows it
    let recipients = projections::mongo::Recipients::new(bench.mongo.clone());
    bench.until(&mut members, "the user everywhere", || {
        let user = bench.wait(bench.people.user(uuid(1))).expect("an answer")?;
        let recipient = bench.wait(recipients.find(uuid(1))).expect("an answer");
        let live =
            bench.wait(bench.live.read(&Default::default(), Duration::ZERO)).expect("a batch");
        // Whoever reads the stream from its beginning is told that an event is missing.
        (user.version == 2 && recipient.is_some() && live.reset).then_some(())
    });
    let partitions: Vec<_> =
        members.iter().map(projections::projector::Projector::partitions).collect();
    assert!(partitions.iter().all(|(_, waiting)| *waiting == 0), "{partitions:?}");
}

#[test]
#[ignore = "needs the stack: integration/test, or `stack run -- cargo test -p integration -- --ignored`"]
fn what_ended_long_ago_is_removed_from_every_store_and_its_key_begins_anew() {
    let bench = Bench::new(11);
    let names = ["users", "outcomes", "orders", "notifications", "recipients", "unread"];
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

    // when another order follows under a key that has ended, without its having been removed
    placed(&bench, uuid(43), uuid(2), 1_000_000_000);
    bench.until(&mut members, "the key anew", || {
        let order = bench.wait(bench.documents.order(uuid(43))).expect("an answer")?;
        (order.version == 1 && order.status == "placed").then_some(())
    });

    // when their retention has passed
    let now_ms = 100 * 24 * 3_600_000;
    let retention = projections::projection::Retention { now_ms, kept_ms: now_ms - 1_000_000 };
    let removed =
        projections.iter().map(|one| bench.wait(one.remove(retention)).expect("an answer"));
    // A session and a user are one statement each.
    assert_eq!(removed.collect::<Vec<_>>(), [1, 1, 1, 1, 1, 0]);
    let again = projections.iter().map(|one| bench.wait(one.remove(retention)).expect("an answer"));
    assert_eq!(again.sum::<usize>(), 0);

    // then what has not ended is there, and the rest is not
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
    // and a key that is used again begins anew
    registered(&bench, uuid(1), "f3");
    placed(&bench, uuid(41), uuid(2), 20);
    bench.until(&mut members, "both keys anew", || {
        let user = bench.wait(bench.people.user(uuid(1))).expect("an answer")?;
        let order = bench.wait(bench.documents.order(uuid(41))).expect("an answer")?;
        let recipient = bench.wait(recipients.find(uuid(1))).expect("an answer");
        (user.is_active() && order.version == 1 && recipient.is_some()).then_some(())
    });
}
