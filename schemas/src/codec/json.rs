//! A value as JSON, read and written with this program's schema but without a type for it.

use serde_json::Value;

use super::{Codec, datum::Datum};
use crate::{edited::unknown, error::CodecError, json::Misfit};

/// JSON that was read and may not be written.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
struct Unwritable(Vec<Misfit>);

impl Datum<'_> {
    /// The value as JSON, as this program's record of its name.
    ///
    /// # Errors
    /// If the bytes are malformed, or the reader's schema can't read what the writer wrote.
    pub fn json(&self) -> Result<Value, CodecError> {
        if let Some(learnt) = self.of_another_version() {
            // The converter's error names the path and the byte, which resolution does not.
            let read = learnt.writer.converter().to_json(self.avro);
            read.map_err(|error| self.malformed(error))?;
        }
        let (reader, bytes) = self.resolved()?;
        let converter = reader.parsed.converter();
        let json = converter.to_json(&bytes).map_err(|error| self.malformed(error))?;
        // A value that may not be written is malformed too: a string that is no UUID, for example.
        match converter.to_avro(&json) {
            Ok(_) => Ok(json),
            Err(misfits) => Err(self.malformed(Unwritable(misfits))),
        }
    }
}

impl Codec {
    /// The value of the record called `name` in the wire format.
    ///
    /// # Errors
    /// Everything that does not fit its schema; or that this codec writes no such record.
    pub(crate) fn write_json(&self, name: &str, json: &Value) -> Result<Vec<u8>, Vec<Misfit>> {
        let known = self.by_id.iter().find(|known| known.reader.schema.name == name);
        let known = known.ok_or_else(|| unknown(name))?;
        let avro = known.reader.parsed.converter().to_avro(json)?;
        Ok([&[0], &known.id.to_be_bytes()[..], &avro].concat())
    }
}
