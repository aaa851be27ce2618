//! Records to bytes and back: what stands on the wire, what is refused, and what older writers
//! wrote.

use std::collections::HashSet;

use apache_avro::{Schema as Avro, types::Value, writer::datum::GenericDatumWriter};
use proptest::prelude::*;
use schemas::{
    Codec, CodecError, Message, Metadata, Never, Outcome, Record, Schema, Verdict,
    engine::{Handled, Header, Parked, Redrive, Timer, Waiting},
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

fn encode(codec: &Codec, message: &impl Message) -> Vec<u8> {
    let mut bytes = Vec::new();
    message.encode(codec, &mut bytes).expect("it fits its schema");
    bytes
}

fn outcome() -> Outcome {
    Outcome {
        command_id: Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001),
        command_type: "millrace.order.PlaceOrder".to_owned(),
        verdict: Verdict::Refused,
        code: Some("out_of_stock".to_owned()),
        detail: None,
        aggregate: "order".to_owned(),
        aggregate_id: "1".to_owned(),
        version: 2,
        principal: "operator".to_owned(),
        fingerprint: None,
        decided_at: 1_700_000_000_000,
    }
}

fn parked() -> Parked {
    Parked {
        topic: "order.followups".to_owned(),
        partition: 3,
        offset: 7,
        error: String::new(),
        received_at: -1,
        headers: vec![Header { name: "ce_id".to_owned(), value: vec![0, 255] }],
        value: Some(vec![1, 2, 3]),
    }
}

#[test]
fn an_outcome_has_these_bytes() {
    let codec = Codec::of([(Outcome::SCHEMA, 0x0102_0304)]);

    let bytes = encode(&codec, &outcome());

    let mut expected = vec![0, 1, 2, 3, 4];
    expected.push(72); // 36 characters
    expected.extend_from_slice(b"01900000-0000-7000-8000-000000000001");
    expected.push(50);
    expected.extend_from_slice(b"millrace.order.PlaceOrder");
    expected.push(2); // the second symbol
    expected.extend_from_slice(&[2, 24]); // the second branch
    expected.extend_from_slice(b"out_of_stock");
    expected.push(0); // null
    expected.extend_from_slice(b"\x0aorder\x021");
    expected.push(4);
    expected.extend_from_slice(b"\x10operator");
    expected.push(0);
    expected.extend_from_slice(&[0x80, 0xa0, 0xab, 0xfe, 0xf9, 0x62]);
    assert_eq!(bytes, expected);
    assert_eq!(Outcome::decode(&codec, &bytes), Ok(outcome()));
}

#[test]
fn bytes_are_written_as_bytes_and_not_as_arrays() {
    let codec = Codec::of([(Parked::SCHEMA, 1)]);

    let bytes = encode(&codec, &parked());

    let expected =
        b"\0\0\0\0\x01\x1eorder.followups\x06\x0e\0\x01\x02\x0ace_id\x04\0\xff\0\x02\x06\x01\x02\x03";
    assert_eq!(bytes, expected);
    assert_eq!(Parked::decode(&codec, &bytes), Ok(parked()));
}

#[test]
fn a_uuid_within_an_option_is_text_too() {
    let codec = Codec::local();
    let metadata = Metadata {
        ce_specversion: "1.0".to_owned(),
        ce_id: Uuid::from_u128(1),
        ce_type: String::new(),
        ce_source: String::new(),
        ce_time: String::new(),
        ce_subject: String::new(),
        content_type: "avro/binary".to_owned(),
        ce_correlationid: Uuid::from_u128(2),
        ce_causationid: Some(Uuid::from_u128(3)),
        traceparent: None,
        ce_version: Some(i64::MIN),
        ce_principal: None,
        ce_fingerprint: None,
    };

    let bytes = encode(&codec, &metadata);

    assert!(bytes.windows(38).any(|part| part == b"\x02\x4800000000-0000-0000-0000-000000000003"));
    assert_eq!(Metadata::decode(&codec, &bytes), Ok(metadata));
}

/// What apache-avro's own `Value` path writes: an independent way to the same bytes.
#[test]
fn the_direct_path_writes_what_the_value_path_writes() {
    let codec = Codec::of([(Parked::SCHEMA, 1)]);
    let schema = Avro::parse_str(Parked::SCHEMA.json).expect("a schema");
    let some = |value| Value::Union(1, Box::new(value));
    let text = |text: &str| Value::String(text.to_owned());
    let field = |name: &str, value| (name.to_owned(), value);
    let value = Value::Record(vec![
        field("topic", text("order.followups")),
        field("partition", Value::Int(3)),
        field("offset", Value::Long(7)),
        field("error", text("")),
        field("received_at", Value::TimestampMillis(-1)),
        field(
            "headers",
            Value::Array(vec![Value::Record(vec![
                field("name", text("ce_id")),
                field("value", Value::Bytes(vec![0, 255])),
            ])]),
        ),
        field("value", some(Value::Bytes(vec![1, 2, 3]))),
    ]);
    let writer = GenericDatumWriter::builder(&schema).build().expect("a writer");

    assert_eq!(encode(&codec, &parked())[5..], writer.write_value_to_vec(value).expect("bytes"));
}

#[test]
fn what_is_no_record_is_malformed() {
    let codec = Codec::local();
    let sound = encode(&codec, &outcome());
    for (bytes, why) in [
        (Vec::new(), "too few"),
        (sound[..4].to_vec(), "too few"),
        ([&[1], &sound[1..]].concat(), "begins with byte 1"),
        ([&sound[..], &[0]].concat(), "1 bytes too many"),
    ] {
        let error = Outcome::decode(&codec, &bytes).expect_err("not sound");
        assert!(
            matches!(&error, CodecError::Malformed(text) if text.contains(why)),
            "{why}: {error}"
        );
    }
    for end in 5..sound.len() {
        let cut = Outcome::decode(&codec, &sound[..end]);
        assert!(matches!(cut, Err(CodecError::Malformed(_))), "cut at {end}: {cut:?}");
    }
}

#[test]
fn enormous_lengths_are_malformed_and_not_allocated() {
    let codec = Codec::of([(Redrive::SCHEMA, 1), (Parked::SCHEMA, 2)]);
    // A string that claims to have i64::MAX bytes.
    let huge =
        [&[0, 0, 0, 0, 1][..], &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]]
            .concat();
    // Headers that claim to be as many, and then i64::MIN.
    let many = encode(&codec, &Parked { headers: Vec::new(), value: None, ..parked() });
    let before = &many[..many.len() - 2];
    let count = [before, &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]].concat();
    let negative =
        [before, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0]].concat();

    assert!(matches!(Redrive::decode(&codec, &huge), Err(CodecError::Malformed(_))));
    for bytes in [count, negative] {
        assert!(matches!(Parked::decode(&codec, &bytes), Err(CodecError::Malformed(_))));
    }
}

#[test]
fn a_record_that_has_no_business_here_is_unexpected() {
    let codec = Codec::local();
    let bytes = encode(&codec, &Timer { due_at: 1 });

    let error = Outcome::decode(&codec, &bytes).expect_err("a timer");
    let unexpected = CodecError::Unexpected {
        expected: vec!["millrace.Outcome"],
        found: "millrace.engine.Timer".to_owned(),
    };
    assert_eq!(error, unexpected);
    assert!(matches!(Never::decode(&codec, &bytes), Err(CodecError::Unexpected { .. })));
}

#[test]
fn an_id_is_unknown_until_it_is_learnt() {
    let (ours, theirs) = (Codec::of([(Timer::SCHEMA, 1)]), Codec::of([(Timer::SCHEMA, 2)]));
    let timer = Timer { due_at: 5 };
    let bytes = encode(&theirs, &timer);

    assert_eq!(Timer::decode(&ours, &bytes), Err(CodecError::UnknownId(2)));
    ours.learn(2, Timer::SCHEMA.json).expect("the same schema");
    ours.learn(2, Timer::SCHEMA.json).expect("learning again is nothing");
    assert_eq!(Timer::decode(&ours, &bytes), Ok(timer));
}

#[test]
fn without_an_id_nothing_is_written() {
    let codec = Codec::of([]);
    let mut out = b"before".to_vec();

    let error = Timer { due_at: 5 }.encode(&codec, &mut out);

    assert_eq!(error, Err(CodecError::Unregistered("millrace.engine.Timer")));
    assert_eq!(out, b"before");
}

/// A record as an older or newer program would write it.
fn written(codec: &Codec, id: u32, schema: &str, value: Value) -> Vec<u8> {
    codec.learn(id, schema).expect("a schema");
    let schema = Avro::parse_str(schema).expect("a schema");
    let writer = GenericDatumWriter::builder(&schema).build().expect("a writer");
    let avro = writer.write_value_to_vec(value).expect("it fits");
    [&[0], &id.to_be_bytes()[..], &avro].concat()
}

fn record(fields: &[(&str, Value)]) -> Value {
    Value::Record(fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect())
}

#[test]
fn what_an_older_writer_left_out_has_its_default() {
    let codec = Codec::local();
    let schema = r#"{"type":"record","name":"Redrive","namespace":"millrace.engine","fields":[
        {"name":"topic","type":"string"}]}"#;
    let bytes = written(&codec, 1000, schema, record(&[("topic", "t".into())]));

    assert_eq!(
        Redrive::decode(&codec, &bytes),
        Ok(Redrive { topic: "t".to_owned(), drop_first: false })
    );
    for end in 5..bytes.len() {
        assert!(
            matches!(Redrive::decode(&codec, &bytes[..end]), Err(CodecError::Malformed(_))),
            "cut at {end}"
        );
    }
}

#[test]
fn what_a_newer_writer_added_is_passed_over_and_its_order_does_not_matter() {
    let codec = Codec::local();
    let schema = r#"{"type":"record","name":"Waiting","namespace":"millrace.engine","fields":[
        {"name":"since_at","type":{"type":"long","logicalType":"timestamp-millis"}},
        {"name":"because","type":["null","string"],"default":null},
        {"name":"command_type","type":"string"},
        {"name":"command_id","type":{"type":"string","logicalType":"uuid"}},
        {"name":"correlation_id","type":"string"},
        {"name":"principal","type":"string"}]}"#;
    let value = record(&[
        ("since_at", Value::TimestampMillis(9)),
        ("because", Value::Union(1, Box::new("x".into()))),
        ("command_type", "a".into()),
        ("command_id", Value::Uuid(Uuid::from_u128(1))),
        ("correlation_id", "b".into()),
        ("principal", "c".into()),
    ]);
    let bytes = written(&codec, 1000, schema, value);

    let waiting = Waiting {
        command_id: Uuid::from_u128(1),
        command_type: "a".to_owned(),
        fingerprint: None,
        correlation_id: "b".to_owned(),
        principal: "c".to_owned(),
        since_at: 9,
    };
    assert_eq!(Waiting::decode(&codec, &bytes), Ok(waiting));
}

#[test]
fn a_nested_record_of_an_older_writer_is_resolved_too() {
    let codec = Codec::local();
    let mut schema: serde_json::Value = serde_json::from_str(Handled::SCHEMA.json).expect("JSON");
    let outcome_fields = schema["fields"][2]["type"][1]["fields"].as_array_mut().expect("fields");
    outcome_fields.retain(|field| field["name"] != "detail" && field["name"] != "fingerprint");
    let value = record(&[
        ("fingerprint", Value::Union(0, Box::new(Value::Null))),
        ("received_at", Value::TimestampMillis(1)),
        (
            "outcome",
            Value::Union(
                1,
                Box::new(record(&[
                    ("command_id", Value::Uuid(outcome().command_id)),
                    ("command_type", outcome().command_type.as_str().into()),
                    ("verdict", Value::Enum(1, "REFUSED".to_owned())),
                    ("code", Value::Union(1, Box::new("out_of_stock".into()))),
                    ("aggregate", "order".into()),
                    ("aggregate_id", "1".into()),
                    ("version", Value::Long(2)),
                    ("principal", "operator".into()),
                    ("decided_at", Value::TimestampMillis(1_700_000_000_000)),
                ])),
            ),
        ),
    ]);
    let bytes = written(&codec, 1000, &schema.to_string(), value);

    let handled = Handled { fingerprint: None, received_at: 1, outcome: Some(outcome()) };
    assert_eq!(Handled::decode(&codec, &bytes), Ok(handled));
}

#[test]
fn what_can_not_be_resolved_says_so() {
    let codec = Codec::local();
    let schema = r#"{"type":"record","name":"Timer","namespace":"millrace.engine","fields":[
        {"name":"at","type":"long"}]}"#;
    let bytes = written(&codec, 1000, schema, record(&[("at", Value::Long(1))]));
    let stranger = r#"{"type":"record","name":"Stranger","fields":[{"name":"at","type":"long"}]}"#;
    let strange = written(&codec, 1001, stranger, record(&[("at", Value::Long(1))]));

    assert!(matches!(Timer::decode(&codec, &bytes), Err(CodecError::Unresolvable { .. })));
    assert!(
        matches!(Timer::decode(&codec, &strange), Err(CodecError::Unexpected { found, .. }) if found == "Stranger")
    );
}

#[test]
fn schemas_without_bounds_are_not_learnt() {
    let codec = Codec::local();
    for (schema, why) in [
        (
            r#"{"type":"record","name":"L","fields":[{"name":"next","type":["null","L"]}]}"#,
            "contains itself",
        ),
        (
            r#"{"type":"record","name":"N","fields":[{"name":"n","type":{"type":"array","items":"null"}}]}"#,
            "take no bytes",
        ),
        (r#""string""#, "not a record"),
        ("{", ""),
    ] {
        let error = codec.learn(1000, schema).expect_err("no bounds").to_string();
        assert!(error.contains(why), "{error}");
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Reading {
    at: i64,
}

static READING: Schema = Schema::foreign(
    "bench.Reading",
    r#"{"type":"record","name":"bench.Reading","fields":[{"name":"at","type":"long"}]}"#,
);

impl Record for Reading {
    const SCHEMA: &'static Schema = &READING;
}

schemas::messages! {
    /// A foreign record beside one of this crate.
    enum Mixed {
        Reading(Reading),
        Timer(Timer),
    }
}

#[test]
fn a_foreign_record_is_written_and_read_beside_others() {
    let codec = Codec::of([(&READING, 7), (Timer::SCHEMA, 8)]);

    for message in [Mixed::from(Reading { at: 1 }), Mixed::from(Timer { due_at: 2 })] {
        assert_eq!(Mixed::decode(&codec, &encode(&codec, &message)), Ok(message));
    }
    assert_eq!(
        Mixed::schemas().iter().map(|schema| schema.name).collect::<Vec<_>>(),
        ["bench.Reading", "millrace.engine.Timer"]
    );
}

#[test]
fn every_schema_is_sound_and_found_by_its_name() {
    let names: HashSet<_> = schemas::all().iter().map(|schema| schema.name).collect();
    assert_eq!(names.len(), schemas::all().len());
    let codec = Codec::local();
    for schema in schemas::all() {
        assert!(std::ptr::eq(schemas::named(schema.name).expect("known"), *schema));
        assert!(codec.id_of(schema).is_some());
    }
}

prop_compose! {
    fn any_outcome()(
        id: u128, verdict in 0..3usize, texts in prop::array::uniform4(".*"), code in prop::option::of(".*"),
        detail in prop::option::of(".*"), fingerprint in prop::option::of(".*"), version: i64, decided_at: i64,
    ) -> Outcome {
        let [command_type, aggregate, aggregate_id, principal] = texts;
        let verdict = [Verdict::Accepted, Verdict::Refused, Verdict::Failed][verdict];
        Outcome {
            command_id: Uuid::from_u128(id), command_type, verdict, code, detail, aggregate, aggregate_id, version,
            principal, fingerprint, decided_at,
        }
    }
}

prop_compose! {
    fn any_parked()(
        topic in ".*", partition: i32, offset: i64, error in ".*", received_at: i64,
        headers in prop::collection::vec((".*", prop::collection::vec(any::<u8>(), 0..9)), 0..4),
        value in prop::option::of(prop::collection::vec(any::<u8>(), 0..99)),
    ) -> Parked {
        let headers = headers.into_iter().map(|(name, value)| Header { name, value }).collect();
        Parked { topic, partition, offset, error, received_at, headers, value }
    }
}

schemas::messages! {
    enum Any { Outcome(Outcome), Parked(Parked), Handled(Handled) }
}

proptest! {
    #[test]
    fn whatever_is_written_is_read(outcome in any_outcome(), parked in any_parked(), received_at: i64) {
        let codec = Codec::local();
        let handled = Handled { fingerprint: None, received_at, outcome: Some(outcome.clone()) };
        for message in [Any::from(outcome), Any::from(parked), Any::from(handled)] {
            let bytes = encode(&codec, &message);
            prop_assert_eq!(Any::decode(&codec, &bytes), Ok(message));
        }
    }

    #[test]
    fn garbage_is_an_answer_and_no_panic(
        which in 0..8usize, garbage in prop::collection::vec(any::<u8>(), 0..99), at: usize, byte: u8,
        outcome in any_outcome(), parked in any_parked(),
    ) {
        let codec = Codec::local();
        // Two ids that are read on the slow path.
        codec.learn(1000, &Handled::SCHEMA.json.replace("\"received_at\"", "\"got_at\"")).expect("a schema");
        let longer = Parked::SCHEMA.json.replacen("\"int\"", "\"long\"", 1);
        codec.learn(1001, &longer).expect("a schema");
        let ids = [Outcome::SCHEMA, Parked::SCHEMA, Handled::SCHEMA].map(|schema| codec.id_of(schema).expect("known"));
        let id = *ids.get(which).unwrap_or(&[1000, 1001, 9999][which % 3]);
        let _ = Any::decode(&codec, &[&[0], &id.to_be_bytes()[..], &garbage].concat());
        for mut bytes in [encode(&codec, &outcome), encode(&codec, &parked)] {
            let at = at % bytes.len();
            bytes[at] = byte;
            let _ = Any::decode(&codec, &bytes);
            bytes.truncate(at);
            prop_assert!(Any::decode(&codec, &bytes).is_err());
        }
    }
}

const OLD: &str = r#"{"type":"record","name":"Kept","namespace":"test","fields":[
    {"name":"id","type":{"type":"string","logicalType":"uuid"}}, {"name":"gone","type":"int"}]}"#;
static NEW: Schema = Schema::foreign(
    "test.Kept",
    r#"{"type":"record","name":"Kept","namespace":"test","fields":[
        {"name":"id","type":{"type":"string","logicalType":"uuid"}}, {"name":"size","type":"int","default":7}]}"#,
);

#[test]
fn a_codec_that_only_reads_gives_what_todays_record_says() {
    let codec = Codec::reading(&[&NEW]).expect("a schema");
    codec.learn(5, OLD).expect("a schema");
    let id = "01900000-0000-7000-8000-000000000001";
    let written = |id: &str| [b"\0\0\0\0\x05", &[72][..], id.as_bytes(), &[2]].concat();

    let json = codec.open(&written(id)).and_then(|datum| datum.json());
    assert_eq!(json, Ok(serde_json::json!({ "id": id, "size": 7 })));

    let no_uuid = codec.open(&written(&id.replace('-', "_"))).and_then(|datum| datum.json());
    let error = no_uuid.expect_err("no UUID").to_string();
    assert!(error.contains("test.Kept: id: a UUID such as"), "{error}");
    let bytes = written(id);
    let cut_off = codec.open(&bytes[..20]).and_then(|datum| datum.json());
    let error = cut_off.expect_err("cut off").to_string();
    assert!(error.contains("test.Kept: id: byte 1: the record ends too soon"), "{error}");
}
