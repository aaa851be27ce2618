//! Every schema, working or released, with values made at random from the schema itself.
//!
//! The values are written by apache-avro's `Value` path, and read and written again by the
//! generated types, so that a type that does not fit its schema shows here.

use std::{fs, path::Path};

use apache_avro::{
    Schema as Avro, schema::ResolvedSchema, types::Value, writer::datum::GenericDatumWriter,
};
use proptest::prelude::*;
use uuid::Uuid;

use crate::{Codec, CodecError, Message, Schema, all, generated::AGAIN, json::Converter, named};

pub(crate) type Again = fn(&Codec, &[u8]) -> Result<Vec<u8>, CodecError>;

/// Reads `bytes` as an `M` and writes that.
pub(crate) fn again<M: Message>(codec: &Codec, bytes: &[u8]) -> Result<Vec<u8>, CodecError> {
    let mut out = Vec::new();
    M::decode(codec, bytes)?.encode(codec, &mut out)?;
    Ok(out)
}

/// Numbers that look random (xorshift64*).
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
            other => panic!("make values of {other:?} here too"),
        }
    }

    /// A record of the schema in the wire format.
    fn record(&mut self, json: &str, id: u32) -> Vec<u8> {
        let schema = Avro::parse_str(json).expect("a schema");
        let names = ResolvedSchema::try_from(&schema).expect("self-contained");
        let value = self.value(&schema, &names);
        let writer = GenericDatumWriter::builder(&schema).build().expect("a writer");
        [&[0], &id.to_be_bytes()[..], &writer.write_value_to_vec(value).expect("it fits")].concat()
    }
}

/// Name, version and text of everything that was released.
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

/// Where `schema` stands among all.
fn again_of(schema: &Schema) -> Again {
    AGAIN[schema.index]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_type_reads_and_writes_what_its_schema_says(seed in 1..u64::MAX) {
        let codec = Codec::local();
        let mut numbers = Numbers(seed);
        for schema in all() {
            let bytes = numbers.record(schema.json, codec.id_of(schema).expect("local has all"));

            let again = again_of(schema)(&codec, &bytes);

            prop_assert_eq!(again, Ok(bytes), "{}", schema.name);
        }
    }

    #[test]
    fn every_released_version_is_still_readable(seed in 1..u64::MAX) {
        let codec = Codec::local();
        let mut numbers = Numbers(seed);
        for (id, (name, path, json)) in (1000..).zip(released()) {
            let schema = named(&name).expect("what was released never goes away");
            codec.learn(id, &json).expect("a schema");
            let bytes = numbers.record(&json, id);

            let again = again_of(schema)(&codec, &bytes);

            prop_assert!(again.is_ok(), "{path}: {again:?}");
            let json = codec.open(&bytes).and_then(|datum| datum.json());
            prop_assert!(json.is_ok(), "{path}: {json:?}");
        }
    }

    #[test]
    fn as_json_every_record_is_read_and_written_again_as_the_same_bytes(seed in 1..u64::MAX) {
        let mut numbers = Numbers(seed);
        for schema in all() {
            let bytes = numbers.record(schema.json, 1);
            let converter = Converter::new(schema.json, &[]).expect("a schema");

            let json = converter.to_json(&bytes[5..]).expect("sound");

            prop_assert_eq!(converter.to_avro(&json), Ok(bytes[5..].to_vec()), "{}: {}", schema.name, json);
        }
    }

    #[test]
    fn garbage_is_an_answer_for_every_type(seed in 1..u64::MAX, at: usize, byte: u8) {
        let codec = Codec::local();
        let mut numbers = Numbers(seed);
        for schema in all() {
            let mut bytes = numbers.record(schema.json, codec.id_of(schema).expect("local has all"));
            let at = at % bytes.len();
            bytes[at] = byte;
            let _ = again_of(schema)(&codec, &bytes);
            prop_assert!(again_of(schema)(&codec, &bytes[..at]).is_err());
        }
    }
}
