//! What is kept of a record, which topics are traced, and that rows give back what they were made
//! of.

use std::collections::BTreeSet;

use redpanda::{
    log::{Headers, Record},
    topics,
};
use schemas::{Codec, headers};
use uuid::Uuid;

use super::{
    SOURCES, TraceEntry,
    causes::{self, Causes},
    pack::{Rows, entries},
};

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn record(topic: &str, offset: i64, with: &[(&str, &str)]) -> Record {
    let mut headers = Headers::default();
    with.iter().for_each(|(name, value)| headers.push(name, value));
    Record {
        topic: topic.into(),
        partition: 3,
        offset,
        timestamp_ms: 5,
        key: Some("key".into()),
        value: Some(vec![0, 0, 0, 1, 2, 40].into()),
        headers,
    }
}

fn entry(record: &Record) -> (Uuid, TraceEntry) {
    TraceEntry::of(record, &Codec::local())
}

#[test]
fn every_topic_but_changelogs_is_traced_by_one_service() {
    let traced = SOURCES.values().flat_map(|source| &source.topics);
    let mut traced: Vec<_> = traced.map(|topic| (*topic).to_owned()).collect();
    traced.sort();
    let names = topics::all().iter().map(|topic| topic.name.clone());
    let expected: Vec<_> = names.filter(|name| !name.ends_with(".state")).collect();
    assert_eq!(traced, expected);
}

#[test]
fn service_traces_what_it_decides_and_what_it_writes() {
    let services: BTreeSet<_> = SOURCES.keys().copied().collect();
    let processors = topics::all().of_kind("state").map(|changelog| changelog.owner.as_str());
    assert_eq!(services, processors.collect::<BTreeSet<_>>());
    for (service, source) in SOURCES.iter() {
        for topic in &source.topics {
            let topic = topics::all().get(topic).expect("a topic");
            let is_command = topic.name.ends_with(".commands");
            assert!(is_command || topic.owner == *service, "{}", topic.name);
        }
    }
    // Password hashes stay with the service that decides on them.
    assert!(SOURCES["user"].topics.contains(&"user.commands"));
}

#[test]
fn entry_has_what_the_headers_say_and_its_place() {
    let event = record(
        "order.events",
        7,
        &[
            (headers::ID, &id(2).to_string()),
            (headers::TYPE, "millrace.order.OrderPlaced"),
            (headers::CORRELATION_ID, &id(1).to_string()),
            (headers::CAUSATION_ID, &id(1).to_string()),
            (headers::VERSION, "4"),
            (headers::SOURCE, "/millrace/order"),
        ],
    );
    let (correlation, found) = entry(&event);
    assert_eq!(correlation, id(1));
    let expected = TraceEntry {
        topic: "order.events".into(),
        partition: 3,
        offset: 7,
        at_ms: 5,
        key: Some("key".to_owned()),
        kind: Some("millrace.order.OrderPlaced".to_owned()),
        schema_id: Some(258),
        bytes: found.bytes,
        id: id(2),
        caused_by: Some(id(1)),
        version: Some(4),
        source: Some("/millrace/order".to_owned()),
        is_decided: false,
    };
    assert_eq!(found, expected);
    assert!(found.bytes > 200, "with its headers: {}", found.bytes);
}

#[test]
fn record_without_headers_begins_a_trace_of_its_own_and_its_dead_letter_joins_it() {
    let command = record("order.commands", 9, &[]);
    let (correlation, found) = entry(&command);
    assert_eq!((found.id, found.caused_by, &found.kind), (correlation, None, &None));
    let dead = [("dead_topic", "order.commands"), ("dead_partition", "3"), ("dead_offset", "9")];
    let (joined, letter) = entry(&record("order.commands.dead", 0, &dead));
    assert_eq!((joined, letter.id), (correlation, found.id));
    assert!(letter.is_dead() && !found.is_dead());
}

#[test]
fn fingerprint_of_an_address_is_not_kept_and_long_text_is_cut() {
    let (_, claim) = entry(&record("email.followups", 0, &[]));
    assert_eq!(claim.key, None);
    // A parked claim is re-driven by a command with its key.
    for (key, expected) in [("0a".repeat(32), None), ("0A".repeat(32), Some("0A".repeat(32)))] {
        let redrive = Record { key: Some(key.into()), ..record("user.commands", 0, &[]) };
        assert_eq!(entry(&redrive).1.key, expected);
    }
    let (_, long) = entry(&record("order.commands", 0, &[(headers::TYPE, &"ä".repeat(300))]));
    assert_eq!(long.kind, Some("ä".repeat(100)));
}

#[test]
fn rows_give_back_each_entry_once_by_day_and_command() {
    let mut rows = Rows::default();
    let mut expected = BTreeSet::new();
    for number in 0..3_000 {
        let (_, mut found) = entry(&record("order.events", number, &[]));
        found.at_ms = number * 100_000;
        let correlation = id(u128::from(number % 3 == 0));
        rows.add(correlation, &found).expect("packed");
        expected.insert((
            i32::try_from(found.at_ms / 86_400_000).expect("few"),
            correlation,
            number,
        ));
    }
    let mut found = BTreeSet::new();
    for (day, correlation, row) in rows.iter() {
        assert!(row.len() < 66_000, "{}", row.len());
        for entry in entries(row).expect("unpacked") {
            assert!(found.insert((day, correlation, entry.offset)), "{entry:?}");
        }
    }
    assert_eq!(found, expected);
    assert!(rows.iter().count() < 20, "{}", rows.iter().count());
}

#[test]
fn row_of_another_form_is_an_error() {
    let error = entries(&[9, 1, 2]).expect_err("another form");
    assert!(schemas::chain(&error).contains("expected form 1, found Some(9)"), "{error:?}");
}

#[test]
fn row_of_a_partition_tells_the_command_of_each_offset() {
    let mut all = Causes::default();
    let traced = [("order.events", 4, 1), ("order.events", 9, 2), ("stock.events", 5, 3)];
    for (topic, offset, command) in traced {
        let (_, mut found) = entry(&record(topic, offset, &[]));
        found.at_ms = offset * 86_400_000;
        all.add(id(command), &found).expect("packed");
    }
    let rows = all.rows();
    assert_eq!(
        (&*rows.topics, &*rows.partitions),
        (&["order.events", "stock.events"][..], &[3, 3][..])
    );
    assert_eq!((&*rows.last_offsets, &*rows.days), (&[9, 5][..], &[9, 5][..]));
    let found = [4, 5, 9].map(|offset| causes::find(rows.commands[0], offset).expect("unpacked"));
    assert_eq!(found, [Some(id(1)), None, Some(id(2))]);
    let error = causes::find(&[9], 4).expect_err("another form");
    assert!(schemas::chain(&error).contains("expected form 1, found Some(9)"), "{error:?}");
}
