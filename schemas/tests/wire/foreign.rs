//! Schemas that are not this crate's, and the table of those that are.

use std::collections::HashSet;

use schemas::{Codec, Message as _, Record, Schema, engine::Timer};
use serde::{Deserialize, Serialize};

use crate::encode;

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
fn foreign_record_is_written_and_read_beside_others() {
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
fn every_schema_is_valid_and_found_by_its_name() {
    let names: HashSet<_> = schemas::all().iter().map(|schema| schema.name).collect();
    assert_eq!(names.len(), schemas::all().len());
    let codec = Codec::local();
    for schema in schemas::all() {
        assert!(std::ptr::eq(schemas::named(schema.name).expect("known"), *schema));
        assert!(codec.id_of(schema).is_some());
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
fn reading_codec_returns_old_records_as_json_of_the_new_schema() {
    let codec = Codec::reading(&[&NEW]).expect("a schema");
    codec.learn(5, OLD).expect("a schema");
    let id = "01900000-0000-7000-8000-000000000001";
    let written = |id: &str| [b"\0\0\0\0\x05", &[72][..], id.as_bytes(), &[2]].concat();

    let json = codec.open(&written(id)).and_then(|datum| datum.json());
    assert_eq!(json, Ok(serde_json::json!({ "id": id, "size": 7 })));

    let no_uuid = codec.open(&written(&id.replace('-', "_"))).and_then(|datum| datum.json());
    let error = no_uuid.expect_err("no UUID").to_string();
    assert!(error.contains("test.Kept: id: a UUID such as"), "{error}");
    assert!(!error.contains("01900000_"), "the value is in {error}");
    let bytes = written(id);
    let cut_off = codec.open(&bytes[..20]).and_then(|datum| datum.json());
    let error = cut_off.expect_err("cut off").to_string();
    assert!(error.contains("test.Kept: id: byte 1: the record ends too soon"), "{error}");
}

#[test]
fn reading_codec_reads_no_record_with_a_schema_of_this_program() {
    let codec = Codec::reading(&[&NEW]).expect("a schema");
    codec.learn(6, Timer::SCHEMA.json).expect("a schema");
    let bytes = encode(&Codec::of([(Timer::SCHEMA, 6)]), &Timer { due_at: 1 });

    let json = codec.open(&bytes).and_then(|datum| datum.json());

    let error = json.expect_err("its file is gone").to_string();
    assert!(error.contains("no record of this name is known here"), "{error}");
}
