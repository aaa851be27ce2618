//! Values to bytes and back, in the Confluent wire format: a zero byte, the id of the writer's
//! schema, Avro.
//!
//! If the writer's schema is the reader's, serde writes and reads Avro directly. A record of
//! another version is first resolved to the reader's schema. A codec does no I/O: for an id that it
//! does not know it returns [`CodecError::UnknownId`]; the caller asks the registry and lets the
//! codec learn the schema.

mod bounds;
mod bytes;
mod datum;
#[cfg(feature = "tools")]
mod json;
mod known;
mod parsed;
mod plain;

use std::{
    collections::HashMap,
    fmt,
    sync::{PoisonError, RwLock},
};

use serde::Serialize;

pub use bytes::split;
pub use datum::Datum;
use datum::Writer;
pub use known::Use;
use known::{Known, Learnt, Reader, Watch};
use parsed::Parsed;

use crate::{
    all::{all, named},
    error::{Cause, CodecError},
    schema::{Deprecated, FOREIGN, Schema},
};

/// Writes and reads values. One codec serves a whole process, in an `Arc`.
pub struct Codec {
    /// The schemas of [`all`] that it writes with, by their position there.
    own: Vec<Option<Known>>,
    /// The foreign schemas that it writes with; few.
    foreign: Vec<Known>,
    /// All of these, sorted by id.
    by_id: Vec<Known>,
    /// The schemas that records are read with, in place of this program's own.
    readers: Option<Vec<Reader>>,
    /// The schemas of other writers, by id.
    learnt: RwLock<HashMap<u32, &'static Learnt>>,
    /// The callback for records of deprecated schemas.
    watch: Option<Box<Watch>>,
}

impl Codec {
    /// A codec that knows schemas of this crate under these ids. It ignores names that are not in
    /// [`all`]: they belong to newer programs.
    pub fn new(ids: impl IntoIterator<Item = (&'static str, u32)>) -> Self {
        Self::of(ids.into_iter().filter_map(|(name, id)| Some((named(name)?, id))))
    }

    /// A codec that knows these schemas under these ids; [foreign](Schema::foreign) ones too.
    ///
    /// # Panics
    /// If the JSON of a schema is no Avro schema: the program is wrong, and any test of it shows
    /// that.
    pub fn of(ids: impl IntoIterator<Item = (&'static Schema, u32)>) -> Self {
        let mut codec = Self {
            own: vec![None; all().len()],
            foreign: Vec::new(),
            by_id: Vec::new(),
            readers: None,
            learnt: RwLock::default(),
            watch: None,
        };
        for (schema, id) in ids {
            let parsed = match Parsed::of(schema) {
                Ok(parsed) => parsed,
                Err(cause) => panic!("the schema of {} is wrong: {cause}", schema.name),
            };
            let known = Known { id, reader: Reader { schema, parsed } };
            codec.by_id.push(known);
            match codec.own.get_mut(schema.index) {
                Some(entry) => *entry = Some(known),
                None => codec.foreign.push(known),
            }
        }
        codec.by_id.sort_by_key(|known| known.id);
        codec
    }

    /// A codec that writes nothing, and reads records with these schemas and no others. It must
    /// [learn](Self::learn) every id.
    ///
    /// # Errors
    /// If one of the schemas is no Avro schema, or its values have no bound.
    pub fn reading(schemas: &[&'static Schema]) -> Result<Self, CodecError> {
        let reader = |schema: &&'static Schema| match Parsed::of(schema) {
            Ok(parsed) => Ok(Reader { schema, parsed }),
            Err(cause) => Err(CodecError::Unresolvable { name: schema.name.to_owned(), cause }),
        };
        let readers = schemas.iter().map(reader).collect::<Result<_, _>>()?;
        Ok(Self { readers: Some(readers), ..Self::of([]) })
    }

    /// The same codec, which calls `watch` for each record of a deprecated schema that it has
    /// written or read.
    #[must_use]
    pub fn watched(
        self,
        watch: impl Fn(&'static Schema, &'static Deprecated, Use) + Send + Sync + 'static,
    ) -> Self {
        Self { watch: Some(Box::new(watch)), ..self }
    }

    /// A codec of all schemas of this crate with ids from 1, for tests without a registry.
    pub fn local() -> Self {
        Self::of(all().iter().copied().zip(1..))
    }

    /// Adds the writer's schema under `id`, so that its records can be read. A known id stays as it
    /// is.
    ///
    /// # Errors
    /// If it is no Avro schema, no record, or its values have no bound.
    pub fn learn(&self, id: u32, writer_schema_json: &str) -> Result<(), CodecError> {
        let unresolvable =
            |cause| CodecError::Unresolvable { name: format!("schema id {id}"), cause };
        if self.known(id).is_some() || self.learnt(id).is_some() {
            return Ok(());
        }
        let (name, writer) = Parsed::leak_writer(writer_schema_json).map_err(unresolvable)?;
        let reader = self.reader_of(&name).map_err(unresolvable)?;
        let learnt = Box::leak(Box::new(Learnt { name, writer, reader }));
        self.learnt.write().unwrap_or_else(PoisonError::into_inner).insert(id, learnt);
        Ok(())
    }

    /// The id that records of `schema` are written with; `None` if the codec has none.
    pub fn id_of(&self, schema: &Schema) -> Option<u32> {
        self.writer_of(schema).map(|known| known.id)
    }

    /// Looks up the writer's schema of a value, so that the caller can see which record it is
    /// before reading it.
    ///
    /// # Errors
    /// If the bytes are not in the wire format, or the codec does not know the schema id.
    pub fn open<'a>(&'a self, bytes: &'a [u8]) -> Result<Datum<'a>, CodecError> {
        let (id, avro) = split(bytes)?;
        let writer = match self.known(id) {
            Some(known) => Writer::Known(known),
            None => Writer::Learnt(self.learnt(id).ok_or(CodecError::UnknownId(id))?),
        };
        Ok(Datum { id, avro, writer, watch: self.watch.as_deref() })
    }

    pub(crate) fn write<T: Serialize>(
        &self,
        schema: &'static Schema,
        value: &T,
        out: &mut Vec<u8>,
    ) -> Result<(), CodecError> {
        let known = self.writer_of(schema).ok_or(CodecError::Unregistered(schema.name))?;
        let start = out.len();
        out.push(0);
        out.extend_from_slice(&known.id.to_be_bytes());
        known.reader.parsed.write(value, out).map_err(|cause| {
            out.truncate(start);
            CodecError::Unwritable { name: schema.name, cause }
        })?;
        known.reader.report(self.watch.as_deref(), Use::Written);
        Ok(())
    }

    fn writer_of(&self, schema: &Schema) -> Option<Known> {
        if schema.index == FOREIGN {
            let mut foreign = self.foreign.iter();
            return foreign.find(|known| std::ptr::eq(known.reader.schema, schema)).copied();
        }
        self.own[schema.index]
    }

    fn known(&self, id: u32) -> Option<Known> {
        self.by_id.binary_search_by_key(&id, |known| known.id).ok().map(|index| self.by_id[index])
    }

    fn learnt(&self, id: u32) -> Option<&'static Learnt> {
        self.learnt.read().unwrap_or_else(PoisonError::into_inner).get(&id).copied()
    }

    /// The schema that records called `name` are read with. Reading needs no id of its own.
    fn reader_of(&self, name: &str) -> Result<Option<Reader>, Cause> {
        if let Some(readers) = &self.readers {
            return Ok(readers.iter().find(|reader| reader.schema.name == name).copied());
        }
        if let Some(known) = self.foreign.iter().find(|known| known.reader.schema.name == name) {
            return Ok(Some(known.reader));
        }
        let Some(schema) = named(name) else { return Ok(None) };
        Ok(Some(Reader { schema, parsed: Parsed::of(schema)? }))
    }
}

impl fmt::Debug for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let learnt = self.learnt.read().unwrap_or_else(PoisonError::into_inner).len();
        f.debug_struct("Codec")
            .field("known", &self.by_id.len())
            .field("learnt", &learnt)
            .finish_non_exhaustive()
    }
}
