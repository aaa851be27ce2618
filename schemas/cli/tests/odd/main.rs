//! Compiles the Rust that `schemas generate` makes from odd schemas, and reads and writes records
//! with it.
//!
//! The schemas in `avro` have names of Rust's keywords and prelude, of the items of the crate
//! `schemas`, and of each other, and they use every type that is generated. `generated` is the
//! generator's output; a test of `src/generate.rs` compares the two, and writes it anew with
//! `SCHEMAS_GOLDEN=write`. This file has what generated code expects at the root of its crate. It
//! never reads the project's own schemas.

// Most of the generated code is compiled and not used.
#![allow(dead_code, unreachable_pub)]

mod generated;

use std::{collections::BTreeMap, path::Path, process::Command};

pub use generated::*;
pub use schemas::{
    Cause, Codec, CodecError, Datum, Deprecated, Message, Never, Record, Schema, Use, messages,
};
use schemas::{json::Converter, split};
use serde_json::{Map, Value, json};

use generated::{ROUND_TRIPS, table::SCHEMAS};

mod schema {
    //! The table of the crate `schemas`, for schemas that are not its own.

    use crate::{Schema, generated::table::SCHEMAS};

    macro_rules! entry {
        ($folder:literal, $name:literal) => {
            $crate::Schema::foreign($name, include_str!(concat!("json/", $name, ".json")))
        };
    }

    pub(crate) const fn numbered<const COUNT: usize>(table: [Schema; COUNT]) -> [Schema; COUNT] {
        table
    }

    pub(crate) const fn own(name: &str) -> &'static Schema {
        let mut index = 0;
        while !is_same(SCHEMAS[index].name.as_bytes(), name.as_bytes()) {
            index += 1;
        }
        &SCHEMAS[index]
    }

    const fn is_same(a: &[u8], b: &[u8]) -> bool {
        let mut index = 0;
        while index < a.len() && index < b.len() && a[index] == b[index] {
            index += 1;
        }
        index == a.len() && index == b.len()
    }

    pub(crate) use entry;
}

mod message {
    //! The macro `record!` of the crate `schemas`, for its table in this crate.

    macro_rules! record {
        ($record:ident, $name:literal) => {
            impl $crate::Record for $record {
                const SCHEMA: &'static $crate::Schema = $crate::schema::own($name);
            }
        };
    }

    pub(crate) use record;
}

mod tests {
    //! The part of the crate's tests that generated code names.

    use crate::{Codec, CodecError, Record, Schema};

    pub(crate) struct RoundTrip {
        pub(crate) schema: &'static Schema,
        pub(crate) run: fn(&Codec, &[u8]) -> Result<Vec<u8>, CodecError>,
    }

    impl RoundTrip {
        pub(crate) const fn of<R: Record>() -> Self {
            Self { schema: R::SCHEMA, run: run::<R> }
        }
    }

    fn run<R: Record>(codec: &Codec, bytes: &[u8]) -> Result<Vec<u8>, CodecError> {
        let mut out = Vec::new();
        R::decode(codec, bytes)?.encode(codec, &mut out)?;
        Ok(out)
    }
}

/// A codec of all odd schemas.
fn codec() -> Codec {
    Codec::of(SCHEMAS.iter().zip(1..))
}

fn text(json: &Value) -> String {
    json.as_str().expect("a text").to_owned()
}

/// A value of `schema`, as JSON. Optional and empty parts are present if `is_full`.
fn value(schema: &Value, types: &mut BTreeMap<String, Value>, is_full: bool) -> Value {
    let object = match schema {
        Value::Array(branches) if is_full => return value(&branches[1], types, is_full),
        Value::Array(_) => return Value::Null,
        Value::Object(object) => object,
        name => {
            return match text(name).as_str() {
                "boolean" => is_full.into(),
                "int" => i32::MIN.into(),
                "long" => i64::MAX.into(),
                "bytes" => "\u{0}\u{ff}".into(),
                "string" => "\u{1f33e} grain".into(),
                name => value(&types[name].clone(), types, is_full),
            };
        }
    };
    let name = || format!("{}.{}", text(&object["namespace"]), text(&object["name"]));
    match text(&object["type"]).as_str() {
        "record" => {
            types.insert(name(), schema.clone());
            let fields = object["fields"].as_array().expect("fields").iter();
            let one = |field: &Value| (text(&field["name"]), value(&field["type"], types, is_full));
            Value::Object(fields.map(one).collect::<Map<_, _>>())
        }
        "enum" => {
            types.insert(name(), schema.clone());
            let symbols = object["symbols"].as_array().expect("symbols");
            symbols[if is_full { symbols.len() - 1 } else { 0 }].clone()
        }
        // A type that the items define is defined even if there are no items.
        "array" => {
            let item = value(&object["items"], types, is_full);
            if is_full { json!([item, item]) } else { json!([]) }
        }
        "map" => {
            let item = value(&object["values"], types, is_full);
            if is_full { json!({ "key": item }) } else { json!({}) }
        }
        "string" if object["logicalType"] == "uuid" => {
            "01900000-0000-7000-8000-000000000001".into()
        }
        kind => value(&json!(kind), types, is_full),
    }
}

#[test]
fn every_odd_record_is_read_and_written_by_its_type() {
    let codec = codec();
    assert_eq!(ROUND_TRIPS.len(), SCHEMAS.len());
    for tests::RoundTrip { schema, run } in &ROUND_TRIPS {
        let converter = Converter::new(schema.json, &[]).expect("a schema");
        let json: Value = serde_json::from_str(schema.json).expect("JSON");
        for is_full in [true, false] {
            let value = value(&json, &mut BTreeMap::new(), is_full);
            let avro = converter.to_avro(&value).expect(schema.name);
            let id = codec.id_of(schema).expect("an id");
            let bytes = [&[0], &id.to_be_bytes()[..], &avro].concat();

            let written = run(&codec, &bytes);

            assert_eq!(written, Ok(bytes.clone()), "{}: {value}", schema.name);
            assert_eq!(split(&bytes), Ok((id, avro.as_slice())));
        }
    }
}

#[test]
fn enums_of_odd_records_read_only_their_own_records() {
    let codec = codec();
    let event = order::Event::from(order::S { s: 1 });
    let mut bytes = Vec::new();
    event.encode(&codec, &mut bytes).expect("written");
    assert_eq!(order::Event::decode(&codec, &bytes), Ok(event));
    assert!(order::Command::decode(&codec, &bytes).is_err());

    assert_eq!(order::Word::Level12.as_str(), "LEVEL12");
    assert_eq!(order::Word::BD.as_str(), "B__D");
    assert_eq!(order::Try { r#try: "it".to_owned(), ..every_field() }.r#try, "it");
}

/// A record whose fields are keywords.
fn every_field() -> order::Try {
    let schema = <order::Try as Record>::SCHEMA;
    let json: Value = serde_json::from_str(schema.json).expect("JSON");
    serde_json::from_value(value(&json, &mut BTreeMap::new(), true))
        .expect("fields by their names in Avro")
}

#[test]
fn lint_finds_nothing_wrong_with_odd_schemas() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/odd");
    let mut command = Command::new(env!("CARGO_BIN_EXE_schemas"));
    let output = command.args(["lint", "--folder"]).arg(folder).output().expect("the command runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
