//! How values of a type are written, logical types apart, and the names of a union's branches. It
//! reads and writes no values.

use std::collections::HashMap;

use apache_avro::{
    Schema as Avro,
    schema::{FixedSchema, InnerDecimalSchema, Name, RecordSchema, UnionSchema, UuidSchema},
};

/// The named types that a schema may refer to.
pub(super) type Names<'a> = HashMap<Name, &'a Avro>;

/// How a value is written, whatever its logical type.
pub(super) enum Kind<'a> {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Uuid,
    Fixed(&'a FixedSchema),
    Enum(&'a [String]),
    Array(&'a Avro),
    Map(&'a Avro),
    Union(&'a UnionSchema),
    Record(&'a RecordSchema),
}

/// The kind of a type.
pub(super) fn kind<'a>(names: &Names<'a>, schema: &'a Avro) -> Kind<'a> {
    match schema {
        // A converter resolves all names when it is created, so each of them is known.
        Avro::Ref { name } => names.get(name).map_or(Kind::Null, |schema| kind(names, schema)),
        Avro::Null => Kind::Null,
        Avro::Boolean => Kind::Boolean,
        Avro::Int | Avro::Date | Avro::TimeMillis => Kind::Int,
        Avro::Long
        | Avro::TimeMicros
        | Avro::TimestampMillis
        | Avro::TimestampMicros
        | Avro::TimestampNanos
        | Avro::LocalTimestampMillis
        | Avro::LocalTimestampMicros
        | Avro::LocalTimestampNanos => Kind::Long,
        Avro::Float => Kind::Float,
        Avro::Double => Kind::Double,
        Avro::Bytes | Avro::BigDecimal | Avro::Uuid(UuidSchema::Bytes) => Kind::Bytes,
        Avro::String => Kind::String,
        Avro::Uuid(UuidSchema::String) => Kind::Uuid,
        Avro::Decimal(decimal) => match &decimal.inner {
            InnerDecimalSchema::Bytes => Kind::Bytes,
            InnerDecimalSchema::Fixed(fixed) => Kind::Fixed(fixed),
        },
        Avro::Fixed(fixed) | Avro::Duration(fixed) | Avro::Uuid(UuidSchema::Fixed(fixed)) => {
            Kind::Fixed(fixed)
        }
        Avro::Enum(symbols) => Kind::Enum(&symbols.symbols),
        Avro::Array(array) => Kind::Array(&array.items),
        Avro::Map(map) => Kind::Map(&map.types),
        Avro::Union(union) => Kind::Union(union),
        Avro::Record(record) => Kind::Record(record),
    }
}

/// The name of a union's branch in Avro's JSON encoding.
pub(super) fn branch_name(names: &Names<'_>, schema: &Avro) -> String {
    let named = |name: &Name| name.to_string();
    match (schema, kind(names, schema)) {
        (Avro::Ref { name }, _) => named(name),
        (_, Kind::Null) => "null".to_owned(),
        (_, Kind::Boolean) => "boolean".to_owned(),
        (_, Kind::Int) => "int".to_owned(),
        (_, Kind::Long) => "long".to_owned(),
        (_, Kind::Float) => "float".to_owned(),
        (_, Kind::Double) => "double".to_owned(),
        (_, Kind::Bytes) => "bytes".to_owned(),
        (_, Kind::String | Kind::Uuid) => "string".to_owned(),
        (_, Kind::Array(_)) => "array".to_owned(),
        (_, Kind::Map(_)) => "map".to_owned(),
        (_, Kind::Union(_)) => "union".to_owned(),
        (_, Kind::Fixed(_) | Kind::Enum(_) | Kind::Record(_)) => {
            schema.name().map(named).unwrap_or_default()
        }
    }
}
