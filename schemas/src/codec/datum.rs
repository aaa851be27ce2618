//! A value whose writer's schema is known, and the ways to read it.

use std::{borrow::Cow, fmt};

use serde::de::DeserializeOwned;

use super::known::{Known, Learnt, Reader, Use, Watch};
use crate::{
    error::{Cause, CodecError},
    schema::Schema,
};

/// A record of this name is not known to this program.
#[derive(Debug, thiserror::Error)]
#[error("no record of this name is known here")]
struct UnknownName;

/// A value whose writer's schema is known, and that is not read yet.
pub struct Datum<'a> {
    pub(super) id: u32,
    pub(super) avro: &'a [u8],
    pub(super) writer: Writer,
    pub(super) watch: Option<&'a Watch>,
}

/// The schema that a value was written with.
pub(super) enum Writer {
    /// A schema of this program.
    Known(Known),
    /// A schema of another program.
    Learnt(&'static Learnt),
}

impl Datum<'_> {
    /// The full name of the record.
    pub fn name(&self) -> &str {
        match &self.writer {
            Writer::Known(known) => known.reader.schema.name,
            Writer::Learnt(learnt) => &learnt.name,
        }
    }

    /// The id of the writer's schema.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Whether this program reads it as a record of `schema`.
    pub fn is(&self, schema: &'static Schema) -> bool {
        self.reader().is_some_and(|reader| std::ptr::eq(reader.schema, schema))
    }

    /// Reads it as the record that [`is`](Self::is) names.
    ///
    /// # Errors
    /// If the bytes are malformed, or the reader's schema can't read what the writer wrote.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, CodecError> {
        let (reader, bytes) = self.resolved()?;
        let value = reader.parsed.read(&bytes).map_err(|cause| match bytes {
            Cow::Borrowed(_) => self.malformed(cause),
            Cow::Owned(_) => self.unresolvable(cause),
        })?;
        reader.report(self.watch, Use::Read);
        Ok(value)
    }

    /// The error for a record whose type is not one of `expected`.
    pub fn unexpected(&self, expected: &[&'static Schema]) -> CodecError {
        CodecError::Unexpected {
            expected: expected.iter().map(|schema| schema.name).collect(),
            found: self.name().to_owned(),
        }
    }

    /// The schema of this program, and the bytes as that schema would have written them: the bytes
    /// themselves if both schemas write the same, and else bytes of the resolved value.
    pub(super) fn resolved(&self) -> Result<(Reader, Cow<'_, [u8]>), CodecError> {
        let reader = self.reader().ok_or_else(|| self.unresolvable(UnknownName))?;
        let Some(learnt) = self.of_another_version() else {
            return Ok((reader, Cow::Borrowed(self.avro)));
        };
        let from = learnt.writer.plain().map_err(|cause| self.unresolvable(cause))?;
        let to = reader.parsed.plain().map_err(|cause| self.unresolvable(cause))?;
        let value = from.read(self.avro).map_err(|cause| self.malformed(cause))?;
        let bytes = to.write(value).map_err(|cause| self.unresolvable(cause))?;
        Ok((reader, Cow::Owned(bytes)))
    }

    /// The writer's schema, if it is of another version than the reader's and writes other bytes.
    pub(super) fn of_another_version(&self) -> Option<&'static Learnt> {
        let Writer::Learnt(learnt) = self.writer else { return None };
        let reader = learnt.reader?;
        (!learnt.writer.same_bytes(reader.parsed)).then_some(learnt)
    }

    fn reader(&self) -> Option<Reader> {
        match &self.writer {
            Writer::Known(known) => Some(known.reader),
            Writer::Learnt(learnt) => learnt.reader,
        }
    }

    pub(super) fn malformed(&self, cause: impl Into<Cause>) -> CodecError {
        CodecError::Malformed { name: Some(self.name().to_owned()), cause: cause.into() }
    }

    fn unresolvable(&self, cause: impl Into<Cause>) -> CodecError {
        CodecError::Unresolvable { name: self.name().to_owned(), cause: cause.into() }
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
