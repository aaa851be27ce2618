//! The bytes of records, written out.

use apache_avro::{Schema as Avro, types::Value, writer::datum::GenericDatumWriter};
use schemas::{Codec, Message as _, Metadata, Outcome, Record as _, engine::Parked};
use uuid::Uuid;

use crate::{encode, outcome, parked};

#[test]
fn outcome_is_written_as_these_bytes() {
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
fn uuid_within_an_option_is_written_as_text() {
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

/// apache-avro's `Value` path is an independent way to the same bytes.
#[test]
fn serde_path_and_value_path_write_the_same_bytes() {
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
