//! Every schema, working and released, with random values of the schema.
//!
//! apache-avro's `Value` path writes the values; the generated types read them and write them
//! again. A type that does not fit its schema fails here. `as_json` converts the values to JSON.

#[cfg(feature = "tools")]
mod as_json;

use std::{fs, path::Path};

use apache_avro::{
    Schema as Avro, schema::ResolvedSchema, types::Value, writer::datum::GenericDatumWriter,
};
use proptest::prelude::*;
use uuid::Uuid;

use crate::{Codec, CodecError, Record, Schema, generated::ROUND_TRIPS, named};

/// A schema, and a function that reads a value as its type and writes it again.
pub(crate) struct RoundTrip {
    schema: &'static Schema,
    run: fn(&Codec, &[u8]) -> Result<Vec<u8>, CodecError>,
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

/// Pseudorandom numbers (xorshift64*).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() >> 32) as usize % end
    }

    fn text(&mut self) -> String {
        (0..self.below(9)).filter_map(|_| char::from_u32(self.below(0x2ff) as u32)).collect()
    }

    /// A value of `schema`.
    fn value(&mut self, schema: &Avro, names: &ResolvedSchema<'_>) -> Value {
        match schema {
            Avro::Ref { name } => self.value(names.get_names()[name], names),
            Avro::Null => Value::Null,
            Avro::Boolean => Value::Boolean(self.below(2) == 0),
            Avro::Int => Value::Int(self.next() as i32),
            Avro::Long => Value::Long(self.next() as i64),
            Avro::TimestampMillis => Value::TimestampMillis(self.next() as i64),
            Avro::Bytes => Value::Bytes((0..self.below(9)).map(|_| self.next() as u8).collect()),
            Avro::String => Value::String(self.text()),
            Avro::Uuid(_) => Value::Uuid(Uuid::from_u64_pair(self.next(), self.next())),
            Avro::Enum(symbols) => {
                let index = self.below(symbols.symbols.len());
                Value::Enum(index as u32, symbols.symbols[index].clone())
            }
            Avro::Array(array) => {
                Value::Array((0..self.below(4)).map(|_| self.value(&array.items, names)).collect())
            }
            Avro::Map(map) => Value::Map([(self.text(), self.value(&map.types, names))].into()),
            Avro::Union(union) => {
                let index = self.below(union.variants().len());
                Value::Union(index as u32, Box::new(self.value(&union.variants()[index], names)))
            }
            Avro::Record(record) => Value::Record(
                record
                    .fields
                    .iter()
                    .map(|field| (field.name.clone(), self.value(&field.schema, names)))
                    .collect(),
            ),
            other => panic!("no schema has used {other:?} so far: add it here"),
        }
    }

    /// A record of the schema, in the wire format.
    fn record(&mut self, json: &str, id: u32) -> Vec<u8> {
        let schema = Avro::parse_str(json).expect("a schema");
        let names = ResolvedSchema::try_from(&schema).expect("self-contained");
        let value = self.value(&schema, &names);
        let writer = GenericDatumWriter::builder(&schema).build().expect("a writer");
        [&[0], &id.to_be_bytes()[..], &writer.write_value_to_vec(value).expect("it fits")].concat()
    }
}

/// The name, the path and the text of every released version.
fn released() -> Vec<(String, String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("released");
    let entries =
        |path: &Path| fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    entries(&root)
        .filter(|path| path.is_dir())
        .flat_map(|folder| {
            let name = folder.file_name().expect("a name").to_string_lossy().into_owned();
            entries(&folder)
                .map(move |path| {
                    let text = fs::read_to_string(&path).expect("a file");
                    (name.clone(), path.display().to_string(), text)
                })
                .collect::<Vec<_>>()
        })
        .collect()
}

/// The round trip of a schema.
fn round_trip(schema: &Schema) -> fn(&Codec, &[u8]) -> Result<Vec<u8>, CodecError> {
    ROUND_TRIPS[schema.index].run
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_type_reads_and_writes_records_of_its_schema(seed in 1..u64::MAX) {
        let codec = Codec::local();
        let mut numbers = Numbers(seed);
        for RoundTrip { schema, run } in &ROUND_TRIPS {
            let bytes = numbers.record(schema.json, codec.id_of(schema).expect("local has all"));

            let again = run(&codec, &bytes);

            prop_assert_eq!(again, Ok(bytes), "{}", schema.name);
        }
    }

    #[test]
    fn every_released_version_is_still_readable(seed in 1..u64::MAX) {
        let codec = Codec::local();
        let mut numbers = Numbers(seed);
        for (id, (name, path, json)) in (1000..).zip(released()) {
            let schema = named(&name).expect("a released schema stays");
            codec.learn(id, &json).expect("a schema");
            let bytes = numbers.record(&json, id);

            let again = round_trip(schema)(&codec, &bytes);

            prop_assert!(again.is_ok(), "{path}: {again:?}");
        }
    }

    #[test]
    fn damaged_bytes_never_panic_and_truncated_ones_are_errors(seed in 1..u64::MAX, at: usize, byte: u8) {
        let codec = Codec::local();
        let mut numbers = Numbers(seed);
        for RoundTrip { schema, run } in &ROUND_TRIPS {
            let mut bytes = numbers.record(schema.json, codec.id_of(schema).expect("local has all"));
            let at = at % bytes.len();
            bytes[at] = byte;
            let _ = run(&codec, &bytes);
            prop_assert!(run(&codec, &bytes[..at]).is_err());
        }
    }
}
