//! What operators see, in PostgreSQL: dead letters and parked keys page by page, whichever
//! projector writes them, and after a rebuild.

use projections::{
    postgres::{Action, DeadLetter, ParkedKey, ParkedSelection},
    projection::Retention,
};
use redpanda::log::Headers;
use schemas::{
    engine::{DeadLetterResent, DeadLetterRevealed, KeyRedriven, ParkedRecordEdited, RecordParked},
    headers,
};

use crate::stories::uuid;
use crate::support::Bench;

const DAY_MS: i64 = 24 * 3_600_000;

/// Writes that a record of an order is parked.
fn park(bench: &Bench, key: &str, offset: i64, error: Option<&str>) {
    let parked = RecordParked {
        topic: "order.followups".into(),
        partition: 1,
        offset,
        error: error.map(str::to_owned),
        record_type: "millrace.order.RecordReservation".into(),
        principal: "ada\0".into(),
        bytes: Some(10),
        received_at: 7,
        headers: Some(r#"{"ce_id":"an id"}"#.into()),
        value: Some(r#"{"sku":"tea"}"#.into()),
        omitted: None,
        schema_id: Some(17),
    };
    bench.append("order.operations", key, 1, &parked);
}

fn redrive(bench: &Bench, key: &str, released: i32, parked_from: Option<i64>) {
    let redriven = KeyRedriven {
        topic: "order.followups".into(),
        command_id: uuid(9),
        principal: "an admin".into(),
        reason: Some("mended".into()),
        released,
        dropped_offset: None,
        parked_from,
        redriven_at: bench.now(),
    };
    bench.append("order.operations", key, 1, &redriven);
}

/// Writes a dead letter, whose bytes nobody can read.
fn bury(bench: &Bench, topic: &str, key: &str) {
    let mut with = Headers::default();
    for (name, value) in [
        ("dead_offset", "70"),
        ("dead_error", "malformed\0"),
        (headers::TYPE, "millrace.order.PlaceOrder"),
        (headers::PRINCIPAL, "ada"),
    ] {
        with.push(name, value);
    }
    bench.pass(1);
    bench.log.set_time(bench.now());
    bench.log.append(&format!("{topic}.dead"), key, Some("no Avro".into()), with);
}

/// All pages of two entries each, joined.
fn keys(bench: &Bench) -> Vec<ParkedKey> {
    let (mut all, mut cursor) = (Vec::new(), None);
    loop {
        let page = bench.wait(bench.people.parked_keys(cursor, 2)).expect("an answer");
        all.extend(page.items);
        cursor = page.next;
        if cursor.is_none() {
            return all;
        }
    }
}

/// The keys of a selection with their number of records, at most two of them, and whether there are
/// more.
fn selected(bench: &Bench, topic: Option<&str>, error: Option<&str>) -> (Vec<(String, i64)>, bool) {
    let selection =
        ParkedSelection { topic: topic.map(str::to_owned), error: error.map(str::to_owned) };
    let page = bench.wait(bench.people.selected_keys(&selection, 2)).expect("an answer");
    let keys = page.items.into_iter().map(|it| (it.key, it.records)).collect();
    (keys, page.next.is_some())
}

fn letters(bench: &Bench) -> Vec<DeadLetter> {
    let (mut all, mut cursor) = (Vec::new(), None);
    loop {
        let page = bench.wait(bench.people.dead_letters(cursor, 2)).expect("an answer");
        all.extend(page.items);
        cursor = page.next;
        if cursor.is_none() {
            return all;
        }
    }
}

fn actions(bench: &Bench) -> Vec<Action> {
    bench.wait(bench.people.actions(None, 10)).expect("an answer").items
}

#[test]
#[ignore = "needs the stack: integration/test"]
fn desk_shows_each_dead_letter_and_parked_key_once_with_two_owners_and_after_a_rebuild() {
    let bench = Bench::new(15);
    let operations = bench.one("order-operations");
    // given two members that both act as the owner of all partitions
    let mut members = [bench.member("one", &*operations), bench.member("two", &*operations)];
    // when five keys are parked, with records that wait behind the first
    for number in 0..5 {
        let key = format!("o-{number}");
        park(&bench, &key, 10 + number, Some("the decider panicked"));
        members[0].step().expect("a step");
        for waits in 0..number {
            park(&bench, &key, 100 + waits, None);
        }
        bury(&bench, "order.commands", &key);
        members[1].step().expect("a step");
    }
    bury(&bench, "stock.followups", "tea");
    // then each is there once, on pages that follow each other
    bench.until(&mut members, "everything is there", || {
        (keys(&bench).len() == 5 && letters(&bench).len() == 6).then_some(())
    });
    let parked = keys(&bench);
    let counts: Vec<_> = parked.iter().map(|it| (&*it.key, it.records, it.offset)).collect();
    let expected = [("o-0", 1, 10), ("o-1", 2, 11), ("o-2", 3, 12), ("o-3", 4, 13), ("o-4", 5, 14)];
    assert_eq!(counts, expected);
    assert_eq!(parked[4].error.as_deref(), Some("the decider panicked"));
    assert_eq!((&*parked[4].principal, parked[4].bytes), ("ada\u{fffd}", 50));
    let dead = letters(&bench);
    assert_eq!((&*dead[0].topic, dead[0].offset), ("stock.followups", Some(70)));
    assert_eq!((&*dead[0].error, dead[0].bytes), ("malformed\u{fffd}", Some(7)));
    assert!(dead.is_sorted_by_key(|letter| -letter.at), "{dead:?}");

    // and records are shown with their content, key by key and page by page
    let first = bench.wait(bench.people.parked_records("order.followups", "o-2", None, 2));
    let first = first.expect("an answer");
    assert_eq!((first.items[0].offset, first.items[1].offset, first.next), (12, 100, Some(100)));
    assert_eq!(first.items[0].value.as_deref(), Some(r#"{"sku":"tea"}"#));
    assert_eq!(first.items[0].schema_id, Some(17));
    let rest = bench.wait(bench.people.parked_records("order.followups", "o-2", first.next, 2));
    assert_eq!(rest.expect("an answer").items[0].offset, 101);
    let content = bench.wait(bench.people.dead_letter(
        "stock.followups",
        dead[0].partition,
        dead[0].dead_offset,
    ));
    let content = content.expect("an answer").expect("a dead letter");
    assert_eq!((&content.letter, content.schema_id), (&dead[0], None));
    assert!(content.omitted.is_some_and(|why| why.contains("begins with byte 110")));
    assert_eq!(content.headers.as_deref(), Some(r#"{"ce_type":"millrace.order.PlaceOrder"}"#));

    // when one key is re-driven, and another up to a record that fails again
    redrive(&bench, "o-3", 4, None);
    park(&bench, "o-4", 101, Some("another bug"));
    redrive(&bench, "o-4", 2, Some(101));
    bench.until(&mut members, "both are re-driven", || (actions(&bench).len() == 2).then_some(()));
    // then the first is not parked any more, and the other from that record on
    let left = keys(&bench);
    assert_eq!(left.len(), 4);
    let last = &left[3];
    assert_eq!((&*last.key, last.records, last.offset), ("o-4", 3, 101));
    assert_eq!(last.error.as_deref(), Some("another bug"));
    // and a selection has the keys whose first record has its error and its topic
    let key = |key: &str, records| (key.to_owned(), records);
    let panicked = (vec![key("o-0", 1), key("o-1", 2)], true);
    assert_eq!(selected(&bench, None, Some("the decider panicked")), panicked);
    assert_eq!(selected(&bench, Some("order.followups"), None), panicked);
    let other = (vec![key("o-4", 3)], false);
    assert_eq!(selected(&bench, Some("order.followups"), Some("another bug")), other);
    assert_eq!(selected(&bench, Some("stock.followups"), None), (Vec::new(), false));
    let done = actions(&bench);
    assert_eq!((&*done[0].key, done[0].parked_from), ("o-4", Some(101)));
    assert_eq!((&*done[1].principal, done[1].reason.as_deref()), ("an admin", Some("mended")));

    // when an admin has read personal fields, then that action is listed too
    let revealed = DeadLetterRevealed {
        topic: "order.commands".into(),
        partition: 1,
        dead_offset: 3,
        command_id: uuid(10),
        principal: "an admin".into(),
        reason: "a customer asks".into(),
        revealed_at: bench.now(),
    };
    bench.append("order.operations", "order.commands:1:3", 1, &revealed);
    bench.until(&mut members, "a new action", || (actions(&bench).len() == 3).then_some(()));
    let action = &actions(&bench)[0];
    assert_eq!(
        (action.revealed_offset, action.reason.as_deref()),
        (Some(3), Some("a customer asks"))
    );

    // when a dead letter is sent again, then that is listed, and the dead letter names the command
    let letter = &letters(&bench)[3];
    let resent = DeadLetterResent {
        topic: letter.topic.clone(),
        partition: letter.partition,
        dead_offset: letter.dead_offset,
        command_id: uuid(11),
        principal: "an admin".into(),
        reason: "mended".into(),
        sent_id: uuid(11),
        resent_at: bench.now(),
    };
    bench.append("order.operations", "o-2", 1, &resent);
    bench.until(&mut members, "a new action", || (actions(&bench).len() == 4).then_some(()));
    let action = &actions(&bench)[0];
    assert_eq!(
        (&*action.key, action.resent),
        ("o-2", Some((letter.partition, letter.dead_offset)))
    );
    let marked: Vec<_> = letters(&bench).into_iter().map(|it| it.resent_by).collect();
    assert_eq!(marked, [None, None, None, Some(uuid(11)), None, None]);
    let content =
        bench.wait(bench.people.dead_letter(&letter.topic, letter.partition, letter.dead_offset));
    let content = content.expect("an answer").expect("a dead letter");
    assert_eq!(content.letter.resent_by, Some(uuid(11)));

    // when a parked record is edited, then its key is not parked any more, and the action shows the
    // record before and after
    let edited = ParkedRecordEdited {
        topic: "order.followups".into(),
        partition: 1,
        offset: 101,
        record_type: "millrace.order.RecordReservation".into(),
        command_id: uuid(12),
        principal: "an admin".into(),
        reason: "a typing error".into(),
        before: Some(r#"{"sku":"tee"}"#.into()),
        after: r#"{"sku":"tea"}"#.into(),
        released: 1,
        parked_from: None,
        edited_at: bench.now(),
    };
    assert!(keys(&bench).iter().any(|it| it.key == "o-4"));
    bench.append("order.operations", "o-4", 1, &edited);
    bench.until(&mut members, "a new action", || (actions(&bench).len() == 5).then_some(()));
    assert!(keys(&bench).iter().all(|it| it.key != "o-4"));
    let action = &actions(&bench)[0];
    assert_eq!((&*action.key, action.edited_offset), ("o-4", Some(101)));
    assert_eq!(action.value_before.as_deref(), Some(r#"{"sku":"tee"}"#));
    assert_eq!(action.value_after.as_deref(), Some(r#"{"sku":"tea"}"#));

    // when the projection is erased under its members, then a rebuild gives the same
    let before = (keys(&bench), letters(&bench), actions(&bench));
    bench.wait(operations.erase()).expect("erased");
    let now = || (keys(&bench), letters(&bench), actions(&bench));
    bench.until(&mut members, "all is there again", || (now() == before).then_some(()));

    // when the retention of dead letters has passed, only they are removed; a year later, all but
    // what is parked
    let remove = |days: i64| {
        let retention = Retention { now_ms: bench.now() + days * DAY_MS, before_ms: None };
        while bench.wait(operations.remove(retention)).expect("removed") > 0 {}
    };
    remove(27);
    assert_eq!(now(), before);
    remove(29);
    assert_eq!(now(), (before.0.clone(), Vec::new(), before.2));
    remove(366);
    assert_eq!(now(), (before.0, Vec::new(), Vec::new()));
}
