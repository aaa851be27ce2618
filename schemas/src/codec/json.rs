//! A value as JSON, read with this program's schema but without a type for it.

use serde_json::Value;

use super::datum::Datum;
use crate::{error::CodecError, json::Misfit};

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
