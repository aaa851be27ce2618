//! What batches of records change, and the cursors of pages.

use redpanda::{
    log::{Headers, Record},
    topics::{self, Keep},
};
use schemas::{
    Codec, Message as _,
    engine::{Event, KeyRedriven, ParkedRecordEdited, RecordParked},
    headers,
};
use uuid::Uuid;

use super::{DEAD_LETTERS_KEPT_MS, KeyCursor, RecordCursor, SOURCES, changes::Changes};

fn record(topic: &str, key: &str, at: i64, value: &[u8]) -> Record {
    Record {
        topic: topic.into(),
        partition: 2,
        offset: at,
        timestamp_ms: at,
        key: Some(key.to_owned().into()),
        value: Some(value.to_vec().into()),
        headers: Headers::default(),
    }
}

fn parked(at: i64, offset: i64, error: Option<&str>) -> Record {
    operation(
        at,
        RecordParked {
            topic: "order.followups".into(),
            partition: 2,
            offset,
            error: error.map(str::to_owned),
            record_type: "millrace.order.RecordReservation".into(),
            principal: "ada".into(),
            bytes: Some(10),
            received_at: 1,
            headers: None,
            value: None,
            omitted: None,
            schema_id: None,
        },
    )
}

fn redriven(at: i64, parked_from: Option<i64>) -> Record {
    operation(
        at,
        KeyRedriven {
            topic: "order.followups".into(),
            command_id: Uuid::from_u128(1),
            principal: "an admin".into(),
            reason: Some("mended".into()),
            released: 1,
            dropped_offset: None,
            parked_from,
            redriven_at: at,
        },
    )
}

fn operation(at: i64, event: impl Into<Event>) -> Record {
    let mut value = Vec::new();
    event.into().encode(&Codec::local(), &mut value).expect("bytes");
    record("order.operations", "o-1", at, &value)
}

fn changes(records: &[Record]) -> Changes {
    let mut changes = Changes::default();
    for record in records {
        changes.add(record, &Codec::local()).expect("readable");
    }
    changes
}

#[test]
fn records_that_are_released_in_their_batch_are_not_parked() {
    let changes = changes(&[
        parked(10, 5, Some("broken")),
        parked(11, 6, None),
        parked(12, 7, None),
        // The re-drive applies 5 and fails on 6.
        parked(13, 6, Some("broken too")),
        redriven(13, Some(6)),
        parked(14, 8, None),
    ]);
    let (key, change) = changes.keys.iter().next().expect("a key");
    assert_eq!((&*key.0, &*key.1), ("order.followups", "o-1"));
    assert_eq!(change.released_below, Some(6));
    let rows: Vec<_> = change
        .parked
        .iter()
        .map(|(offset, it)| (*offset, it.event.error.as_deref(), it.parked_at))
        .collect();
    assert_eq!(rows, [(6, Some("broken too"), 11), (7, None, 12), (8, None, 14)]);
    assert_eq!(changes.actions.len(), 1);
}

#[test]
fn record_that_is_edited_in_its_batch_is_not_parked() {
    let edited = ParkedRecordEdited {
        topic: "order.followups".into(),
        partition: 2,
        offset: 5,
        record_type: "millrace.order.RecordReservation".into(),
        command_id: Uuid::from_u128(1),
        principal: "an admin".into(),
        reason: "a typing error".into(),
        before: None,
        after: "{}".into(),
        released: 1,
        parked_from: Some(6),
        edited_at: 12,
    };
    let changes = changes(&[
        parked(10, 5, Some("broken")),
        parked(11, 6, None),
        parked(12, 6, Some("broken too")),
        operation(12, edited),
    ]);
    let change = changes.keys.values().next().expect("a key");
    assert_eq!(change.released_below, Some(6));
    assert_eq!(change.parked.keys().copied().collect::<Vec<_>>(), [6]);
    assert_eq!(changes.actions.len(), 1);
}

#[test]
fn record_that_is_parked_after_its_key_was_released_is_parked() {
    let changes =
        changes(&[parked(10, 5, Some("broken")), redriven(11, None), parked(12, 9, None)]);
    let change = changes.keys.values().next().expect("a key");
    assert_eq!(change.released_below, Some(i64::MAX));
    assert_eq!(change.parked.keys().copied().collect::<Vec<_>>(), [9]);
}

#[test]
fn dead_letter_is_read_from_its_headers_whatever_its_bytes() {
    let mut letter = record("order.commands.dead", "\u{fffd}", 9, b"no Avro");
    letter.key = Some(b"\xff".as_slice().into());
    for (name, value) in [
        ("dead_offset", "77"),
        ("dead_error", "malformed"),
        (headers::TYPE, "millrace.order.PlaceOrder"),
        (headers::PRINCIPAL, "ada"),
    ] {
        letter.headers.push(name, value);
    }
    let bare = record("order.commands.dead", "k", 10, b"\0\0\0\x01\x02");
    let changes = changes(&[letter, bare]);
    let [first, second] = &changes.dead[..] else { panic!("{changes:?}") };
    assert_eq!((first.shown.schema_id, second.shown.schema_id), (None, Some(258)));
    assert_eq!((&*first.topic, first.dead_offset, first.offset), ("order.commands", 9, Some(77)));
    assert_eq!((&*first.error, first.key.as_deref()), ("malformed", Some("\u{fffd}")));
    assert_eq!((first.principal.as_deref(), first.bytes), (Some("ada"), Some(7)));
    assert_eq!((second.offset, second.principal.as_deref()), (None, None));
}

#[test]
fn cursor_is_parsed_from_its_own_text_and_from_no_other() {
    let record = RecordCursor { at: 7, name: "a_b.c".into(), partition: 3, offset: 9 };
    assert_eq!(record.to_string().parse(), Ok(record));
    let key = KeyCursor { topic: "a.b".into(), key: "c/d \u{e9}".into() };
    assert_eq!(key.to_string().parse(), Ok(key));
    for text in ["", "1", "1_2_3", "x_2_3_t", "1_x_3_t", "1_2_x_t"] {
        assert!(text.parse::<RecordCursor>().is_err(), "{text}");
    }
    assert!("no slash".parse::<KeyCursor>().is_err());
}

#[test]
fn every_topic_of_dead_letters_is_projected_by_its_owner_and_kept_as_long_as_the_topic() {
    let days = u32::try_from(DEAD_LETTERS_KEPT_MS / super::DAY_MS).expect("days");
    for topic in topics::all().iter().filter(|topic| topic.is_dead()) {
        assert!(SOURCES[&*topic.owner].topics.contains(&&*topic.name), "{}", topic.name);
        assert_eq!(topic.keep, Keep::Days(days), "{}", topic.name);
    }
}
