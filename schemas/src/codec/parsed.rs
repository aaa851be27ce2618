//! A schema in the form that apache-avro works with, parsed once for the life of the process.
//!
//! A parsed schema is never freed, because apache-avro's readers and writers borrow it. There are
//! as many of them as schemas in the program, plus those that a codec learns: the versions in the
//! registry.

use std::sync::{LazyLock, OnceLock};

use apache_avro::{
    Schema as Avro, error::Details, reader::datum::GenericDatumReader, schema::ResolvedSchema,
    writer::datum::GenericDatumWriter,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{bounds, bytes::Rest, plain::Plain};
#[cfg(feature = "tools")]
use crate::json::Converter;
use crate::{
    all::all,
    error::Cause,
    schema::{Deprecated, FOREIGN, Schema},
};

/// A writer's schema that is no record.
#[derive(Debug, thiserror::Error)]
#[error("it is not a record")]
struct NoRecord;

/// A value that its type does not take.
#[derive(Debug, thiserror::Error)]
#[error("a value has not the form that its type asks for")]
struct WrongForm;

/// A schema that values can be written and read with.
pub(crate) struct Parsed {
    avro: &'static Avro,
    writer: GenericDatumWriter<'static>,
    reader: GenericDatumReader<'static>,
    /// The canonical form: schemas with the same one write the same bytes.
    canonical: String,
    /// The schema's mark of deprecation.
    pub(crate) deprecated: Option<Deprecated>,
    plain: OnceLock<Result<Plain, Cause>>,
    #[cfg(feature = "tools")]
    converter: OnceLock<Converter>,
}

impl Parsed {
    /// Parses `json` for the life of the process. Everything else is derived from this one parse.
    ///
    /// # Errors
    /// If it is no Avro schema, or its values have no bound.
    pub(crate) fn leak(json: &str) -> Result<Self, Cause> {
        let json = serde_json::from_str(json)?;
        Self::keep(parse(&json)?, &json)
    }

    /// The same for the schema of a record that another program writes, with the record's full
    /// name. Nothing is kept of a schema that is refused, because it may be asked for again and
    /// again.
    ///
    /// The defaults of its fields are removed before. A writer's defaults are never used, and
    /// apache-avro checks each of them with the defaults inside it: a schema of 4 KB could keep it
    /// busy for days.
    ///
    /// # Errors
    /// As for [`leak`](Self::leak), and if it is no record.
    pub(super) fn leak_writer(json: &str) -> Result<(String, Self), Cause> {
        let mut json = serde_json::from_str(json)?;
        remove_defaults(&mut json);
        let avro = parse(&json)?;
        let Avro::Record(record) = &avro else { return Err(NoRecord.into()) };
        let name = record.name.fully_qualified_name(None).to_string();
        Ok((name, Self::keep(avro, &json)?))
    }

    fn keep(avro: Avro, json: &Value) -> Result<Self, Cause> {
        let avro: &'static Avro = Box::leak(Box::new(avro));
        // Human readable means that a UUID is written as the string that its schema asks for. It
        // changes nothing else that these schemas use.
        Ok(Self {
            avro,
            writer: GenericDatumWriter::builder(avro).human_readable(true).build()?,
            reader: GenericDatumReader::builder(avro).human_readable(true).build()?,
            canonical: avro.canonical_form(),
            deprecated: Deprecated::of(json),
            plain: OnceLock::new(),
            #[cfg(feature = "tools")]
            converter: OnceLock::new(),
        })
    }

    /// The parsed form of a schema: of this crate, kept from the first call on; of a foreign one,
    /// parsed anew.
    pub(crate) fn of(schema: &Schema) -> Result<&'static Self, Cause> {
        static OWN: LazyLock<Vec<OnceLock<Result<Parsed, Cause>>>> =
            LazyLock::new(|| all().iter().map(|_| OnceLock::new()).collect());
        if schema.index == FOREIGN {
            return Self::leak(schema.json).map(|parsed| &*Box::leak(Box::new(parsed)));
        }
        OWN[schema.index].get_or_init(|| Self::leak(schema.json)).as_ref().map_err(Clone::clone)
    }

    /// Whether `self` and `other` write the same bytes for the same value.
    pub(crate) fn same_bytes(&self, other: &Self) -> bool {
        self.canonical == other.canonical
    }

    /// Appends `value`.
    pub(crate) fn write<T: Serialize>(&self, value: &T, out: &mut Vec<u8>) -> Result<(), Cause> {
        self.writer.write_ser(out, value)?;
        Ok(())
    }

    /// Reads a value that this schema wrote and that takes all of `bytes`.
    ///
    /// # Errors
    /// If `bytes` are no such value. The error holds no part of the value.
    pub(crate) fn read<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, Cause> {
        let mut rest = Rest(bytes);
        let value = self.reader.read_deser(&mut rest).map_err(|error| match error.details() {
            // The text of a type's own error may print the value: a string that is no UUID.
            Details::DeserializeValue(_) => Cause::from(WrongForm),
            _ => Cause::from(error),
        })?;
        rest.end()?;
        Ok(value)
    }

    /// The same schema without logical types.
    pub(super) fn plain(&self) -> Result<&Plain, Cause> {
        self.plain.get_or_init(|| Plain::of(self.avro)).as_ref().map_err(Clone::clone)
    }

    /// A converter of its values to JSON and back.
    #[cfg(feature = "tools")]
    pub(crate) fn converter(&self) -> &Converter {
        self.converter.get_or_init(|| Converter::of(self.avro))
    }
}

/// The schema, if its values have bounds.
fn parse(json: &Value) -> Result<Avro, Cause> {
    apache_avro::util::max_allocation_bytes(bounds::ALLOCATION_BYTES_MAX);
    let avro = Avro::parse(json)?;
    bounds::check(&avro, ResolvedSchema::try_from(&avro)?.get_names())?;
    Ok(avro)
}

/// Removes the default of every field.
fn remove_defaults(schema: &mut Value) {
    match schema {
        Value::Array(parts) => parts.iter_mut().for_each(remove_defaults),
        Value::Object(parts) => {
            if let Some(Value::Array(fields)) = parts.get_mut("fields") {
                for field in fields.iter_mut().filter_map(Value::as_object_mut) {
                    field.remove("default");
                }
            }
            parts.values_mut().for_each(remove_defaults);
        }
        _ => {}
    }
}
