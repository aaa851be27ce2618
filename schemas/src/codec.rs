//! Values to bytes and back, in the Confluent wire format: a zero byte, the id of the writer's
//! schema, Avro.
//!
//! Where the writer's schema is the reader's, serde writes and reads Avro directly; what an older
//! or newer writer wrote is resolved to the reader's schema first. A codec does no I/O: an id that
//! it does not know is an answer, after which the caller asks the registry and lets it learn.

use std::{
    collections::HashMap,
    fmt,
    sync::{PoisonError, RwLock},
};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    error::CodecError,
    parsed::Parsed,
    schema::{Deprecated, FOREIGN, Schema, all, named},
};

/// The bytes before Avro's.
const PREFIX: usize = 5;

/// The schema id and the Avro bytes of a value in the wire format.
///
/// # Errors
/// When it does not begin as such a value does.
pub fn split(bytes: &[u8]) -> Result<(u32, &[u8]), CodecError> {
    let Some((&[magic, a, b, c, d], avro)) = bytes.split_first_chunk::<PREFIX>() else {
        let length = bytes.len();
        return Err(CodecError::Malformed(format!("{length} bytes are too few for a schema id")));
    };
    if magic != 0 {
        return Err(CodecError::Malformed(format!("it begins with byte {magic} instead of 0")));
    }
    Ok((u32::from_be_bytes([a, b, c, d]), avro))
}

/// Writes and reads values. One serves a whole process, in an `Arc`.
pub struct Codec {
    /// By the place in [`all`].
    own: Vec<Option<Entry>>,
    /// Those that are not in [`all`]; few.
    foreign: Vec<Entry>,
    /// All of these by id, sorted.
    by_id: Vec<(u32, Entry)>,
    /// What records of these names are read as, whatever this program would read them as.
    readers: Vec<(&'static Schema, &'static Parsed)>,
    /// What other writers write.
    learnt: RwLock<HashMap<u32, &'static Learnt>>,
    /// Who wants to know of records that should not be any more.
    watch: Option<Box<Watch>>,
}

/// What was done with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// It was written.
    Written,
    /// It was read.
    Read,
}

type Watch = dyn Fn(&'static Schema, &'static Deprecated, Use) + Send + Sync;

/// A schema of this program under the id that it writes with.
#[derive(Clone, Copy)]
struct Entry {
    id: u32,
    schema: &'static Schema,
    parsed: &'static Parsed,
}

/// A schema that someone else writes with. Kept for ever, as all parsed schemas are.
struct Learnt {
    name: String,
    writer: Parsed,
    /// What this program reads it as: a record of the same name.
    reader: Option<(&'static Schema, &'static Parsed)>,
}

impl Codec {
    /// A codec that knows schemas of this crate under these ids. Names that are not in [`all`] are
    /// passed over: they are of newer programs.
    pub fn new(ids: impl IntoIterator<Item = (&'static str, u32)>) -> Self {
        Self::of(ids.into_iter().filter_map(|(name, id)| Some((named(name)?, id))))
    }

    /// A codec that knows these schemas, [foreign](Schema::foreign) ones too, under these ids.
    ///
    /// # Panics
    /// If the JSON of a schema is not an Avro schema: the program is wrong, and a test of it would
    /// show.
    pub fn of(ids: impl IntoIterator<Item = (&'static Schema, u32)>) -> Self {
        let mut codec = Self {
            own: vec![None; all().len()],
            foreign: Vec::new(),
            by_id: Vec::new(),
            readers: Vec::new(),
            learnt: RwLock::default(),
            watch: None,
        };
        for (schema, id) in ids {
            let parsed = match Parsed::of(schema) {
                Ok(parsed) => parsed,
                Err(why) => panic!("the schema of {} is wrong: {why}", schema.name),
            };
            let entry = Entry { id, schema, parsed };
            codec.by_id.push((id, entry));
            match codec.own.get_mut(schema.index) {
                Some(place) => *place = Some(entry),
                None => codec.foreign.push(entry),
            }
        }
        codec.by_id.sort_by_key(|(id, _)| *id);
        codec
    }

    /// A codec that writes nothing, and reads records as these schemas say. It has to
    /// [learn](Self::learn) every id.
    ///
    /// # Errors
    /// When one of them can't be used.
    pub fn reading(schemas: &[&'static Schema]) -> Result<Self, CodecError> {
        let reader = |schema: &&'static Schema| match Parsed::of(schema) {
            Ok(parsed) => Ok((*schema, parsed)),
            Err(why) => Err(CodecError::Unresolvable { name: schema.name.to_owned(), why }),
        };
        Ok(Self { readers: schemas.iter().map(reader).collect::<Result<_, _>>()?, ..Self::of([]) })
    }

    /// The same codec, which tells `watch` of each record of a deprecated schema that it has
    /// written or read.
    #[must_use]
    pub fn watched(
        self,
        watch: impl Fn(&'static Schema, &'static Deprecated, Use) + Send + Sync + 'static,
    ) -> Self {
        Self { watch: Some(Box::new(watch)), ..self }
    }

    /// A codec of all schemas of this crate with made-up ids from 1, for tests without a registry.
    pub fn local() -> Self {
        Self::of(all().iter().copied().zip(1..))
    }

    /// Makes known what the writer's schema under `id` is, so that its records can be read.
    pub fn learn(&self, id: u32, writer_schema_json: &str) -> Result<(), CodecError> {
        let unresolvable = |why| CodecError::Unresolvable { name: format!("schema id {id}"), why };
        if self.entry_by_id(id).is_some() || self.read_learnt(id).is_some() {
            return Ok(());
        }
        let writer = Parsed::leak(writer_schema_json).map_err(unresolvable)?;
        let name =
            writer.name().ok_or_else(|| unresolvable("it is not a record".to_owned()))?.to_owned();
        let reader = self.schema_named(&name).map_err(unresolvable)?;
        let learnt = Box::leak(Box::new(Learnt { name, writer, reader }));
        self.learnt.write().unwrap_or_else(PoisonError::into_inner).insert(id, learnt);
        Ok(())
    }

    /// The id that records of `schema` are written with.
    pub fn id_of(&self, schema: &Schema) -> Option<u32> {
        self.entry(schema).map(|entry| entry.id)
    }

    /// Looks up the writer's schema of a value, so that one can see which record it is before
    /// reading it.
    pub fn open<'a>(&'a self, bytes: &'a [u8]) -> Result<Datum<'a>, CodecError> {
        let ((id, avro), watch) = (split(bytes)?, self.watch.as_deref());
        if let Some(entry) = self.entry_by_id(id) {
            return Ok(Datum { id, avro, of: Of::Known(entry), watch });
        }
        let learnt = self.read_learnt(id).ok_or(CodecError::UnknownId(id))?;
        Ok(Datum { id, avro, of: Of::Learnt(learnt), watch })
    }

    pub(crate) fn write<T: Serialize>(
        &self,
        schema: &'static Schema,
        value: &T,
        out: &mut Vec<u8>,
    ) -> Result<(), CodecError> {
        let entry = self.entry(schema).ok_or(CodecError::Unregistered(schema.name))?;
        let start = out.len();
        out.push(0);
        out.extend_from_slice(&entry.id.to_be_bytes());
        entry.parsed.write(value, out).map_err(|why| {
            out.truncate(start);
            CodecError::Unwritable { name: schema.name, why }
        })?;
        tell(self.watch.as_deref(), schema, entry.parsed, Use::Written);
        Ok(())
    }

    fn entry(&self, schema: &Schema) -> Option<Entry> {
        if schema.index == FOREIGN {
            return self.foreign.iter().find(|entry| std::ptr::eq(entry.schema, schema)).copied();
        }
        self.own[schema.index]
    }

    fn entry_by_id(&self, id: u32) -> Option<Entry> {
        self.by_id.binary_search_by_key(&id, |(id, _)| *id).ok().map(|index| self.by_id[index].1)
    }

    fn read_learnt(&self, id: u32) -> Option<&'static Learnt> {
        self.learnt.read().unwrap_or_else(PoisonError::into_inner).get(&id).copied()
    }

    /// The schema that records named `name` are read with. Reading needs no id of its own.
    fn schema_named(
        &self,
        name: &str,
    ) -> Result<Option<(&'static Schema, &'static Parsed)>, String> {
        if let Some(reader) = self.readers.iter().find(|(schema, _)| schema.name == name) {
            return Ok(Some(*reader));
        }
        if let Some(entry) = self.foreign.iter().find(|entry| entry.schema.name == name) {
            return Ok(Some((entry.schema, entry.parsed)));
        }
        named(name).map(|schema| Ok((schema, Parsed::of(schema)?))).transpose()
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

/// A value whose writer's schema is known, and that is still to be read.
pub struct Datum<'a> {
    id: u32,
    avro: &'a [u8],
    of: Of,
    watch: Option<&'a Watch>,
}

enum Of {
    Known(Entry),
    Learnt(&'static Learnt),
}

impl Datum<'_> {
    /// The full name of the record.
    pub fn name(&self) -> &str {
        match &self.of {
            Of::Known(entry) => entry.schema.name,
            Of::Learnt(learnt) => &learnt.name,
        }
    }

    /// The id of the writer's schema.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Whether it is read as a record of `schema`.
    pub fn is(&self, schema: &'static Schema) -> bool {
        let own = match &self.of {
            Of::Known(entry) => Some(entry.schema),
            Of::Learnt(learnt) => learnt.reader.map(|(schema, _)| schema),
        };
        own.is_some_and(|own| std::ptr::eq(own, schema))
    }

    /// Reads it as the record that [`is`](Self::is) says it is.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, CodecError> {
        let value = self.value()?;
        match &self.of {
            Of::Known(Entry { schema, parsed, .. })
            | Of::Learnt(Learnt { reader: Some((schema, parsed)), .. }) => {
                tell(self.watch, schema, parsed, Use::Read);
            }
            Of::Learnt(_) => {}
        }
        Ok(value)
    }

    /// What it says as JSON, once it is read as this program's record of its name, without a type
    /// for it.
    pub fn json(&self) -> Result<Value, CodecError> {
        let malformed = |why| CodecError::Malformed(format!("{}: {why}", self.name()));
        let unresolvable = |why| CodecError::Unresolvable { name: self.name().to_owned(), why };
        let (reader, translated) = match &self.of {
            Of::Known(entry) => (entry.parsed, None),
            Of::Learnt(Learnt { reader: None, .. }) => {
                return Err(unresolvable("no record of this name is known here".to_owned()));
            }
            Of::Learnt(Learnt { writer, reader: Some((_, reader)), .. })
                if writer.same_bytes(reader) =>
            {
                (*reader, None)
            }
            Of::Learnt(Learnt { writer, reader: Some((_, reader)), .. }) => {
                // It knows the place where bytes are wrong.
                let sound = writer.converter().map_err(unresolvable)?.to_json(self.avro);
                sound.map_err(|error| malformed(error.to_string()))?;
                let bytes = writer
                    .translate(self.avro, reader)
                    .map_err(malformed)?
                    .map_err(unresolvable)?;
                (*reader, Some(bytes))
            }
        };
        let converter = reader.converter().map_err(unresolvable)?;
        let json = converter.to_json(translated.as_deref().unwrap_or(self.avro));
        let json = json.map_err(|error| malformed(error.to_string()))?;
        // What may not be written is not sound either: a string that should be a UUID.
        match converter.to_avro(&json) {
            Ok(_) => Ok(json),
            Err(misfits) => {
                let misfits: Vec<_> = misfits.iter().map(ToString::to_string).collect();
                Err(malformed(misfits.join("; ")))
            }
        }
    }

    fn value<T: DeserializeOwned>(&self) -> Result<T, CodecError> {
        let malformed = |why| CodecError::Malformed(format!("{}: {why}", self.name()));
        match &self.of {
            Of::Known(entry) => entry.parsed.read(self.avro).map_err(malformed),
            Of::Learnt(Learnt { name, writer, reader }) => {
                let unresolvable = |why| CodecError::Unresolvable { name: name.clone(), why };
                let Some((_, reader)) = reader else {
                    return Err(unresolvable("no record of this name is known here".to_owned()));
                };
                if writer.same_bytes(reader) {
                    return reader.read(self.avro).map_err(malformed);
                }
                let bytes = writer
                    .translate(self.avro, reader)
                    .map_err(malformed)?
                    .map_err(unresolvable)?;
                reader.read(&bytes).map_err(unresolvable)
            }
        }
    }

    /// The error that says that it does not belong among `expected`.
    pub fn unexpected(&self, expected: &[&'static Schema]) -> CodecError {
        CodecError::Unexpected {
            expected: expected.iter().map(|schema| schema.name).collect(),
            found: self.name().to_owned(),
        }
    }
}

fn tell(watch: Option<&Watch>, schema: &'static Schema, parsed: &'static Parsed, what: Use) {
    if let (Some(watch), Some(deprecated)) = (watch, &parsed.deprecated) {
        watch(schema, deprecated, what);
    }
}

impl fmt::Debug for Datum<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Datum")
            .field("id", &self.id)
            .field("name", &self.name())
            .finish_non_exhaustive()
    }
}
