//! Learns the schemas of other writers before their records are applied. Only the projection, which
//! reads the record, decides that a record is unfit.

use std::time::Instant;

use redpanda::log::Record;
use schemas::CodecError;

use super::turn::Projector;
use crate::{StoreError, event::unreadable};

impl Projector<'_> {
    /// Learns the schemas of all records. Returns how many records can be read, counted from the
    /// first, and the error of the next one if not all can. After `until` it asks the registry for
    /// no further schema: a registry that does not answer takes seconds for each request, and all
    /// partitions of a turn would wait for theirs one after another.
    pub(super) fn learn_schemas(
        &self,
        records: &[Record],
        until: Instant,
    ) -> (usize, Result<(), StoreError>) {
        if !self.projection.reads_values() {
            return (records.len(), Ok(()));
        }
        for (readable, record) in records.iter().enumerate() {
            if let Err(error) = self.learn_schema(record, until) {
                return (readable, Err(error));
            }
        }
        (records.len(), Ok(()))
    }

    fn learn_schema(&self, record: &Record, until: Instant) -> Result<(), StoreError> {
        let codec = &self.resources.codec;
        let Some(Err(CodecError::UnknownId(id))) =
            record.value.as_ref().map(|value| codec.open(value))
        else {
            return Ok(());
        };
        let doing = "asking the registry for a schema";
        if Instant::now() >= until {
            return Err(StoreError::failed(doing, "earlier requests took the time of this turn"));
        }
        let schema =
            (self.resources.schema_by_id)(id).map_err(|error| StoreError::failed(doing, error))?;
        match schema {
            Some(schema) => codec.learn(id, &schema).map_err(|error| unreadable(record, error)),
            // The projection finds that no version can read the record.
            None => Ok(()),
        }
    }
}
