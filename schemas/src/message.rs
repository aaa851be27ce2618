//! What a type must implement to be the value of a record on a topic.
//!
//! The generated types implement it. A test or a benchmark may bring its own records: derive serde,
//! implement [`Record`] with a [`Schema::foreign`], and list several of them in `messages!`. How
//! values become bytes is the codec's part.

use std::fmt::Debug;

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    codec::{Codec, Datum},
    error::CodecError,
    schema::Schema,
};

/// The value of a record: one record type, or one of several.
pub trait Message: Sized + Clone + Debug + PartialEq + Send + Sync + 'static {
    /// The schemas of all records that this type can be.
    fn schemas() -> &'static [&'static Schema];

    /// The full name of the record that this value is.
    fn name(&self) -> &'static str;

    /// Appends this value to `out` in the Confluent wire format: a zero byte, the schema id in four
    /// bytes big endian, and Avro's binary encoding.
    ///
    /// # Errors
    /// If the codec has no id for the schema, or the value does not fit it. `out` is then
    /// unchanged.
    fn encode(&self, codec: &Codec, out: &mut Vec<u8>) -> Result<(), CodecError>;

    /// Reads a value in the wire format. It must take all of `bytes`.
    ///
    /// # Errors
    /// If the bytes are malformed, their schema is unknown, or they are another record.
    fn decode(codec: &Codec, bytes: &[u8]) -> Result<Self, CodecError> {
        Self::from_datum(&codec.open(bytes)?)
    }

    /// Reads a value whose schema has been looked up.
    ///
    /// # Errors
    /// As for [`decode`](Self::decode).
    fn from_datum(datum: &Datum<'_>) -> Result<Self, CodecError>;
}

/// A message that is always the same record.
pub trait Record:
    Message + Serialize + DeserializeOwned + Clone + Debug + PartialEq + Send + Sync + 'static
{
    /// The record's schema. Serde must call the type by the record's simple name.
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
            const SCHEMA: &'static $crate::Schema = $crate::all::own($name);
        }
    };
}

pub(crate) use record;

/// A message that has no value: the follow-ups of an aggregate that takes none, for example.
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
/// The records must differ. Serde serializes the enum as the record in it, so that JSON for people
/// needs no extra level.
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
            fn serialize<S: $crate::__serde::Serializer>(
                &self,
                serializer: S,
            ) -> Result<S::Ok, S::Error> {
                match self {
                    $(Self::$variant(record) => {
                        $crate::__serde::Serialize::serialize(record, serializer)
                    })+
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

            fn encode(
                &self,
                codec: &$crate::Codec,
                out: &mut Vec<u8>,
            ) -> Result<(), $crate::CodecError> {
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
