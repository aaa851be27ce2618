//! What a type has to say of itself to be written to a topic.
//!
//! The generated types do so already; a test or a benchmark may bring records of its own: derive
//! serde, implement [`Record`] with a [`Schema::foreign`], and list several in `messages!`.

use std::fmt::Debug;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    codec::{Codec, Datum},
    error::CodecError,
    generated,
};

/// The schema of a record, as it is registered: subject = full name, no references.
#[derive(Debug, PartialEq, Eq)]
pub struct Schema {
    /// The full name of the record, which is the subject.
    pub name: &'static str,
    /// The schema with all types that it uses, with docs and other attributes.
    pub json: &'static str,
    /// Its place in [`all`], so that a codec finds it without hashing.
    pub(crate) index: usize,
}

/// What a schema says of its end: `"deprecated": {"since": "2026-11-25", "successor":
/// "millrace.order.Placed"}`. Records of it can be written and read as before; whoever still does
/// is told where to go.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deprecated {
    /// From which day on it should not be used any more, `YYYY-MM-DD`.
    pub since: String,
    /// The full name of the record that takes its place.
    pub successor: String,
}

impl Deprecated {
    /// What the attribute of `schema` says; `None` where it has none that can be read.
    pub(crate) fn of(schema: &str) -> Option<Self> {
        #[derive(Deserialize)]
        struct Marked {
            deprecated: Option<Deprecated>,
        }
        serde_json::from_str::<Marked>(schema).ok()?.deprecated
    }
}

/// The place of schemas that are not in [`all`].
pub(crate) const FOREIGN: usize = usize::MAX;

impl Schema {
    /// The schema of a record that is not in [`all`], such as a benchmark's own. Made known to a
    /// codec by [`Codec::of`].
    pub const fn foreign(name: &'static str, json: &'static str) -> Self {
        Self { name, json, index: FOREIGN }
    }

    /// A schema of this crate.
    pub(crate) const fn own(name: &'static str, json: &'static str) -> Self {
        let mut index = 0;
        while !same(generated::NAMES[index], name) {
            index += 1;
        }
        Self { name, json, index }
    }
}

/// `a == b`, at compile time.
const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    let mut index = a.len();
    // From behind, where names differ first.
    while index > 0 {
        index -= 1;
        if a[index] != b[index] {
            return false;
        }
    }
    true
}

/// Every schema of this crate that a record on a topic can have, in the order of their names.
pub fn all() -> &'static [&'static Schema] {
    &generated::ALL
}

/// The schema of this crate with this full name.
pub fn named(name: &str) -> Option<&'static Schema> {
    all().binary_search_by(|schema| schema.name.cmp(name)).ok().map(|index| all()[index])
}

/// Something that can be the value of a record: one record, or one of several.
pub trait Message: Sized + Clone + Debug + PartialEq + Send + Sync + 'static {
    /// The schemas of every record that this type can be.
    fn schemas() -> &'static [&'static Schema];

    /// The full name of the record that this value is.
    fn name(&self) -> &'static str;

    /// Appends this value to `out` in the Confluent wire format: a zero byte, the schema's id in
    /// four bytes big endian, and Avro's binary encoding. On an error `out` is as it was.
    fn encode(&self, codec: &Codec, out: &mut Vec<u8>) -> Result<(), CodecError>;

    /// Reads a value in the wire format; the whole of `bytes` must be the value.
    fn decode(codec: &Codec, bytes: &[u8]) -> Result<Self, CodecError> {
        Self::from_datum(&codec.open(bytes)?)
    }

    /// Reads a value whose schema has been looked up.
    fn from_datum(datum: &Datum<'_>) -> Result<Self, CodecError>;
}

/// A message that is always the same record.
pub trait Record:
    Message + Serialize + DeserializeOwned + Clone + Debug + PartialEq + Send + Sync + 'static
{
    /// The record's schema. Its record has the same simple name as the type has for serde.
    const SCHEMA: &'static Schema;
}

impl<T: Record> Message for T {
    fn schemas() -> &'static [&'static Schema] {
        const { &[T::SCHEMA] }
    }

    fn name(&self) -> &'static str {
        T::SCHEMA.name
    }

    fn encode(&self, codec: &Codec, out: &mut Vec<u8>) -> Result<(), CodecError> {
        codec.write(T::SCHEMA, self, out)
    }

    fn from_datum(datum: &Datum<'_>) -> Result<Self, CodecError> {
        if !datum.is(T::SCHEMA) {
            return Err(datum.unexpected(Self::schemas()));
        }
        datum.read()
    }
}

/// Makes a generated type a [`Record`] of the schema that was generated with it.
macro_rules! record {
    ($record:ident, $name:literal) => {
        impl $crate::Record for $record {
            const SCHEMA: &'static $crate::Schema = {
                static SCHEMA: $crate::Schema =
                    $crate::Schema::own($name, include_str!(concat!("json/", $name, ".json")));
                &SCHEMA
            };
        }
    };
}

pub(crate) use record;

/// A message that there is none of: what an aggregate without follow-ups, say, takes as follow-ups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Never {}

impl Message for Never {
    fn schemas() -> &'static [&'static Schema] {
        &[]
    }

    fn name(&self) -> &'static str {
        match *self {}
    }

    fn encode(&self, _codec: &Codec, _out: &mut Vec<u8>) -> Result<(), CodecError> {
        match *self {}
    }

    fn from_datum(datum: &Datum<'_>) -> Result<Self, CodecError> {
        Err(datum.unexpected(&[]))
    }
}

/// Defines an enum with a variant for each of several records, which is a [`Message`]:
///
/// ```
/// schemas::messages! {
///     /// What an operator's tool reads.
///     pub enum Either {
///         Outcome(schemas::Outcome),
///         Redrive(schemas::engine::Redrive),
///     }
/// }
/// ```
///
/// The records must be different ones. Serde writes the record that it is, so that JSON can be made
/// of it for people.
#[macro_export]
macro_rules! messages {
    (
        $(#[$attribute:meta])*
        $visibility:vis enum $name:ident { $($variant:ident($record:ty)),+ $(,)? }
    ) => {
        $(#[$attribute])*
        #[derive(Clone, Debug, PartialEq)]
        #[allow(clippy::large_enum_variant, clippy::derive_partial_eq_without_eq)]
        $visibility enum $name {
            $(
                #[doc = concat!("A [`", stringify!($variant), "`](", stringify!($record), ").")]
                $variant($record),
            )+
        }

        $(
            impl From<$record> for $name {
                fn from(record: $record) -> Self {
                    Self::$variant(record)
                }
            }
        )+

        impl $crate::__serde::Serialize for $name {
            fn serialize<S: $crate::__serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self {
                    $(Self::$variant(record) => $crate::__serde::Serialize::serialize(record, serializer),)+
                }
            }
        }

        impl $crate::Message for $name {
            fn schemas() -> &'static [&'static $crate::Schema] {
                const { &[$(<$record as $crate::Record>::SCHEMA),+] }
            }

            fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => <$record as $crate::Record>::SCHEMA.name,)+
                }
            }

            fn encode(&self, codec: &$crate::Codec, out: &mut Vec<u8>) -> Result<(), $crate::CodecError> {
                match self {
                    $(Self::$variant(record) => $crate::Message::encode(record, codec, out),)+
                }
            }

            fn from_datum(datum: &$crate::Datum<'_>) -> Result<Self, $crate::CodecError> {
                $(
                    if datum.is(<$record as $crate::Record>::SCHEMA) {
                        return datum.read().map(Self::$variant);
                    }
                )+
                Err(datum.unexpected(<Self as $crate::Message>::schemas()))
            }
        }
    };
}
