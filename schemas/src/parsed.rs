//! Schemas in the form that apache-avro works with, parsed once for the life of the process.
//!
//! A parsed schema is never freed, because apache-avro's readers and writers borrow it. There are
//! as many of them as there are schemas in the program, plus what a codec learns: the versions in
//! the registry.

use std::{
    collections::HashMap,
    io::{self, Read},
    sync::{LazyLock, OnceLock},
};

use apache_avro::{
    Schema as Avro,
    reader::datum::GenericDatumReader,
    schema::{Name, NamesRef, ResolvedSchema},
    writer::datum::GenericDatumWriter,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value as Json;

use crate::{
    json::Converter,
    schema::{Deprecated, FOREIGN, Schema, all},
};

/// The longest string, byte string or array that is allocated because a record's bytes claim that
/// it is there. Records are far smaller: the broker takes 1 MiB, and dead letters a little more.
const ALLOCATION_BYTES_MAX: usize = 16 << 20;

/// A schema that values can be written and read with.
pub(crate) struct Parsed {
    json: Box<str>,
    name: Option<String>,
    writer: GenericDatumWriter<'static>,
    reader: GenericDatumReader<'static>,
    /// The canonical form: equal ones mean equal bytes.
    canonical: String,
    /// What it says of its end.
    pub(crate) deprecated: Option<Deprecated>,
    plain: OnceLock<Result<Plain, String>>,
    converter: OnceLock<Result<Converter, String>>,
}

/// The same schema without logical types, for resolution: the bytes are the same, and apache-avro
/// does not resolve between a logical type and the type below it.
struct Plain {
    avro: &'static Avro,
    names: ResolvedSchema<'static>,
    writer: GenericDatumWriter<'static>,
    reader: GenericDatumReader<'static>,
}

impl Parsed {
    /// Parses `json` for good.
    pub(crate) fn leak(json: &str) -> Result<Self, String> {
        apache_avro::util::max_allocation_bytes(ALLOCATION_BYTES_MAX);
        let avro = Avro::parse_str(json).map_err(text)?;
        let names = ResolvedSchema::try_from(&avro).map_err(text)?;
        if parts(&avro, names.get_names(), &mut HashMap::new()) > PARTS_MAX {
            return Err(format!("each of its values has more than {PARTS_MAX} parts"));
        }
        bounded(&avro, names.get_names(), &mut Vec::new())?;
        drop(names);
        let canonical = avro.canonical_form();
        let avro: &'static Avro = Box::leak(Box::new(avro));
        let name = match avro {
            Avro::Record(record) => Some(record.name.fully_qualified_name(None).to_string()),
            _ => None,
        };
        // Human readable means that a UUID is written as the string that the schema says it is; to
        // nothing else that is in use here does it make a difference.
        Ok(Self {
            json: json.into(),
            name,
            writer: GenericDatumWriter::builder(avro).human_readable(true).build().map_err(text)?,
            reader: GenericDatumReader::builder(avro).human_readable(true).build().map_err(text)?,
            canonical,
            deprecated: Deprecated::of(json),
            plain: OnceLock::new(),
            converter: OnceLock::new(),
        })
    }

    /// The parsed form of a schema of this crate, or a new one of a foreign schema.
    pub(crate) fn of(schema: &Schema) -> Result<&'static Self, String> {
        static OWN: LazyLock<Vec<OnceLock<Result<Parsed, String>>>> =
            LazyLock::new(|| all().iter().map(|_| OnceLock::new()).collect());
        if schema.index == FOREIGN {
            return Self::leak(schema.json).map(|parsed| &*Box::leak(Box::new(parsed)));
        }
        OWN[schema.index].get_or_init(|| Self::leak(schema.json)).as_ref().map_err(Clone::clone)
    }

    /// The full name, if it is a record.
    pub(crate) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Whether `self` and `other` write the same bytes for the same value.
    pub(crate) fn same_bytes(&self, other: &Self) -> bool {
        self.canonical == other.canonical
    }

    /// Appends `value`.
    pub(crate) fn write<T: Serialize>(&self, value: &T, out: &mut Vec<u8>) -> Result<(), String> {
        self.writer.write_ser(out, value).map(drop).map_err(text)
    }

    /// Reads what this schema wrote; all of `bytes`.
    pub(crate) fn read<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, String> {
        let mut rest = Rest(bytes);
        let value = self.reader.read_deser(&mut rest).map_err(text)?;
        rest.end().map(|()| value)
    }

    /// Turns what this schema wrote into what `reader` would have written. The outer error is one
    /// of the bytes, the inner one of the schemas.
    pub(crate) fn translate(
        &self,
        bytes: &[u8],
        reader: &Self,
    ) -> Result<Result<Vec<u8>, String>, String> {
        let (from, to) = (self.plain()?, reader.plain()?);
        let mut rest = Rest(bytes);
        let value = from.reader.read_value(&mut rest).map_err(text)?;
        rest.end()?;
        let resolved = value.resolve_with_names(to.avro, to.names.get_names());
        Ok(resolved.and_then(|value| to.writer.write_value_to_vec(value)).map_err(text))
    }

    /// For values as JSON.
    pub(crate) fn converter(&self) -> Result<&Converter, String> {
        let converter = || Converter::new(&self.json, &[]).map_err(|error| error.to_string());
        self.converter.get_or_init(converter).as_ref().map_err(Clone::clone)
    }

    fn plain(&self) -> Result<&Plain, String> {
        self.plain.get_or_init(|| Plain::leak(&self.json)).as_ref().map_err(Clone::clone)
    }
}

impl Plain {
    fn leak(json: &str) -> Result<Self, String> {
        let mut json: Json = serde_json::from_str(json).map_err(|error| error.to_string())?;
        strip(&mut json);
        let avro: &'static Avro = Box::leak(Box::new(Avro::parse(&json).map_err(text)?));
        Ok(Self {
            avro,
            names: ResolvedSchema::try_from(avro).map_err(text)?,
            writer: GenericDatumWriter::builder(avro).build().map_err(text)?,
            reader: GenericDatumReader::builder(avro).build().map_err(text)?,
        })
    }
}

/// Takes all logical types out.
fn strip(json: &mut Json) {
    match json {
        Json::Object(object) => {
            object.remove("logicalType");
            for key in ["type", "items", "values", "fields"] {
                object.get_mut(key).into_iter().for_each(strip);
            }
        }
        Json::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it stands in map_err")]
fn text(error: apache_avro::Error) -> String {
    error.to_string()
}

/// Refuses schemas whose values have no bound but the stack or the clock: those that contain
/// themselves, and arrays of what takes no bytes.
fn bounded<'a>(
    schema: &'a Avro,
    names: &NamesRef<'a>,
    within: &mut Vec<&'a Name>,
) -> Result<(), String> {
    match schema {
        Avro::Ref { name } if within.contains(&name) => Err(format!("{name} contains itself")),
        Avro::Record(record) => {
            within.push(&record.name);
            record.fields.iter().try_for_each(|field| bounded(&field.schema, names, within))?;
            within.pop();
            Ok(())
        }
        Avro::Array(array) if is_empty(&array.items, names) => {
            Err("it has an array whose items take no bytes".to_owned())
        }
        Avro::Array(array) => bounded(&array.items, names, within),
        Avro::Map(map) => bounded(&map.types, names, within),
        Avro::Union(union) => {
            union.variants().iter().try_for_each(|branch| bounded(branch, names, within))
        }
        _ => Ok(()),
    }
}

/// How many parts a value of a schema may have at least. Records in records multiply: 40 small
/// ones, each with two fields of the next one, make a trillion.
const PARTS_MAX: u64 = 1 << 16;

/// How many parts every value of `schema` has at least: fields, and their fields.
fn parts<'a>(schema: &'a Avro, names: &NamesRef<'a>, known: &mut HashMap<&'a Name, u64>) -> u64 {
    match schema {
        Avro::Ref { name } => match known.get(name) {
            Some(count) => *count,
            None => names.get(name).map_or(1, |schema| parts(schema, names, known)),
        },
        Avro::Record(record) => {
            if let Some(count) = known.get(&record.name) {
                return *count;
            }
            // One that contains itself ends here; `bounded` refuses it.
            known.insert(&record.name, 1);
            let fields = record.fields.iter().map(|field| parts(&field.schema, names, known));
            let count = fields.fold(1, u64::saturating_add);
            known.insert(&record.name, count);
            count
        }
        // Items and branches are there only if bytes say so, and are bounded by them; but each is a
        // type of its own.
        Avro::Array(array) => parts(&array.items, names, known),
        Avro::Map(map) => parts(&map.types, names, known),
        Avro::Union(union) => {
            let branches = union.variants().iter().map(|branch| parts(branch, names, known));
            branches.max().unwrap_or(1)
        }
        _ => 1,
    }
}

/// Whether values of `schema` take no bytes. A schema that contains itself has been refused by
/// then, or takes some.
fn is_empty(schema: &Avro, names: &NamesRef<'_>) -> bool {
    match schema {
        Avro::Null => true,
        Avro::Fixed(fixed) => fixed.size == 0,
        Avro::Record(record) => record.fields.iter().all(|field| is_empty(&field.schema, names)),
        Avro::Ref { name } => names.get(name).is_some_and(|schema| is_empty(schema, names)),
        _ => false,
    }
}

/// The bytes that have not been read yet.
///
/// apache-avro takes the end of its input in the middle of a value for a null when it says
/// `UnexpectedEof`, so this says something else.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn end(&self) -> Result<(), String> {
        match self.0.len() {
            0 => Ok(()),
            count => Err(format!("{count} bytes too many")),
        }
    }
}

impl Read for Rest<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }

    fn read_exact(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        let Some((now, later)) = self.0.split_at_checked(buffer.len()) else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the record ends too soon"));
        };
        buffer.copy_from_slice(now);
        self.0 = later;
        Ok(())
    }
}
