//! Records of older and newer writers, resolved to this program's schemas.

use apache_avro::{Schema as Avro, types::Value, writer::datum::GenericDatumWriter};
use schemas::{
    Codec, CodecError, Message as _, Outcome, Record as _, chain,
    engine::{Handled, Redrive, Timer, Waiting},
};
use uuid::Uuid;

use crate::{encode, outcome};

/// A record of an older or newer program.
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
fn field_that_an_older_writer_lacks_gets_its_default() {
    let codec = Codec::local();
    let schema = r#"{"type":"record","name":"Redrive","namespace":"millrace.engine","fields":[
        {"name":"topic","type":"string"}]}"#;
    let bytes = written(&codec, 1000, schema, record(&[("topic", "t".into())]));

    assert_eq!(
        Redrive::decode(&codec, &bytes),
        Ok(Redrive { topic: "t".to_owned(), drop_first: false, reason: None, first_offset: None })
    );
    for end in 5..bytes.len() {
        assert!(
            matches!(Redrive::decode(&codec, &bytes[..end]), Err(CodecError::Malformed { .. })),
            "cut at {end}"
        );
    }
}

#[test]
fn field_that_a_newer_writer_added_is_ignored_in_any_order() {
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
fn nested_record_of_an_older_writer_is_resolved() {
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
fn record_without_a_required_field_is_unresolvable() {
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

/// Errors are stored in dead letters and outcomes, and logged, where nothing is masked.
#[test]
fn errors_hold_no_part_of_a_record() {
    let codec = Codec::local();
    let schema = r#"{"type":"record","name":"Redrive","namespace":"millrace.engine","fields":[
        {"name":"topic","type":{"type":"record","name":"P","fields":[
            {"name":"s","type":"string"}]}}]}"#;
    let secret = record(&[("s", "ada@example.org".into())]);
    let bytes = written(&codec, 1000, schema, record(&[("topic", secret)]));
    let error = Redrive::decode(&codec, &bytes).expect_err("a record for a string");
    let text = chain(&error);
    assert!(matches!(error, CodecError::Unresolvable { .. }) && !text.contains("ada"), "{text}");

    let mut bytes = encode(&codec, &outcome());
    bytes[6..42].copy_from_slice(b"ada@example.org ada@example.org ada@");
    let error = Outcome::decode(&codec, &bytes).expect_err("no UUID");
    let text = chain(&error);
    assert!(matches!(error, CodecError::Malformed { .. }) && !text.contains('@'), "{text}");
}
