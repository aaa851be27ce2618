//! A schema without its logical types, which turns what other versions wrote into what the reader
//! would have written.
//!
//! The bytes are the same without logical types, and apache-avro does not resolve between a logical
//! type and the type below it. Every reader's own path is in `parsed`.

use apache_avro::{
    Schema as Avro,
    error::Details,
    reader::datum::GenericDatumReader,
    schema::{
        ArraySchema, InnerDecimalSchema, MapSchema, RecordSchema, ResolvedSchema, UnionSchema,
        UuidSchema,
    },
    types::Value,
    writer::datum::GenericDatumWriter,
};

use super::bytes::Rest;
use crate::error::Cause;

/// A schema without logical types. It lives as long as the process.
pub(super) struct Plain {
    avro: &'static Avro,
    names: ResolvedSchema<'static>,
    writer: GenericDatumWriter<'static>,
    reader: GenericDatumReader<'static>,
}

impl Plain {
    /// The same schema without logical types.
    pub(super) fn of(schema: &Avro) -> Result<Self, Cause> {
        let avro: &'static Avro = Box::leak(Box::new(without_logical_types(schema)?));
        Ok(Self {
            avro,
            names: ResolvedSchema::try_from(avro)?,
            writer: GenericDatumWriter::builder(avro).build()?,
            reader: GenericDatumReader::builder(avro).build()?,
        })
    }

    /// Reads a value that this schema wrote and that takes all of `bytes`.
    pub(super) fn read(&self, bytes: &[u8]) -> Result<Value, Cause> {
        let mut rest = Rest(bytes);
        let value = self.reader.read_value(&mut rest)?;
        rest.end()?;
        Ok(value)
    }

    /// Resolves a value of another version to this schema, and writes it.
    ///
    /// # Errors
    /// If the value can't be resolved. The error holds no part of the value.
    pub(super) fn write(&self, value: Value) -> Result<Vec<u8>, Cause> {
        let resolved = value.resolve_with_names(self.avro, self.names.get_names());
        let resolved = resolved.map_err(|error| Unresolved::of(&error))?;
        Ok(self.writer.write_value_to_vec(resolved)?)
    }
}

/// Why a value does not match this schema. The texts of apache-avro print the value, which may be
/// personal, and errors are stored in dead letters and outcomes, and logged.
#[derive(Debug, thiserror::Error)]
enum Unresolved {
    #[error("field {0} was not written, and has no default")]
    Missing(String),
    #[error("a union has no branch for the value that was written")]
    Branch,
    #[error("an enum has neither the symbol that was written nor a default")]
    Symbol,
    #[error("a fixed has {read} bytes, and {written} were written")]
    Size { read: usize, written: usize },
    #[error("a value that was written does not match its type in the schema")]
    Type,
}

impl Unresolved {
    fn of(error: &apache_avro::Error) -> Self {
        match error.details() {
            Details::GetField(name) => Self::Missing(name.clone()),
            Details::FindUnionVariant { .. } => Self::Branch,
            Details::GetEnumDefault { .. } => Self::Symbol,
            Details::CompareFixedSizes { size, n } => Self::Size { read: *size, written: *n },
            _ => Self::Type,
        }
    }
}

fn without_logical_types(schema: &Avro) -> Result<Avro, apache_avro::Error> {
    Ok(match schema {
        Avro::Date | Avro::TimeMillis => Avro::Int,
        Avro::TimeMicros
        | Avro::TimestampMillis
        | Avro::TimestampMicros
        | Avro::TimestampNanos
        | Avro::LocalTimestampMillis
        | Avro::LocalTimestampMicros
        | Avro::LocalTimestampNanos => Avro::Long,
        Avro::BigDecimal | Avro::Uuid(UuidSchema::Bytes) => Avro::Bytes,
        Avro::Uuid(UuidSchema::String) => Avro::String,
        Avro::Duration(fixed) | Avro::Uuid(UuidSchema::Fixed(fixed)) => Avro::Fixed(fixed.clone()),
        Avro::Decimal(decimal) => match &decimal.inner {
            InnerDecimalSchema::Bytes => Avro::Bytes,
            InnerDecimalSchema::Fixed(fixed) => Avro::Fixed(fixed.clone()),
        },
        Avro::Array(array) => {
            let items = Box::new(without_logical_types(&array.items)?);
            Avro::Array(ArraySchema { items, ..array.clone() })
        }
        Avro::Map(map) => {
            let types = Box::new(without_logical_types(&map.types)?);
            Avro::Map(MapSchema { types, ..map.clone() })
        }
        Avro::Union(union) => {
            let branches = union.variants().iter().map(without_logical_types);
            Avro::Union(UnionSchema::new(branches.collect::<Result<_, _>>()?)?)
        }
        Avro::Record(record) => {
            let mut fields = record.fields.clone();
            for field in &mut fields {
                field.schema = without_logical_types(&field.schema)?;
            }
            Avro::Record(RecordSchema { fields, ..record.clone() })
        }
        plain => plain.clone(),
    })
}
