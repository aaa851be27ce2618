//! Parked keys, and the records that wait in them.

use projections::postgres;
use serde::Serialize;
use serde_json::Value;

use super::shown::{json, sender};
use crate::{schema_versions::Versions, time};

/// A key whose records wait until it is re-driven.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ParkedKey {
    /// The topic from which the records were read.
    pub topic: String,
    /// The key.
    pub key: String,
    /// The partition of its records.
    pub partition: i32,
    /// How many records are parked, the failed one included.
    pub records: i64,
    /// The sum of the sizes of their values.
    pub bytes: i64,
    /// Since when the first one is parked.
    pub since: String,
    /// The offset of the first one, which is applied first.
    pub offset: i64,
    /// Why the first one has failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The type of the first one; empty if it names none.
    #[serde(rename = "type")]
    pub record_type: String,
    /// Who sent the first one, or caused it.
    pub sender: String,
}

/// A parked record with its content, of which personal fields are masked.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ParkedRecord {
    /// Its offset.
    pub offset: i64,
    /// When it was written.
    pub at: String,
    /// Why it has failed; missing if it only waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Its type; empty if it names none.
    #[serde(rename = "type")]
    pub record_type: String,
    /// Who sent it, or caused it.
    pub sender: String,
    /// The size of its value; missing for a tombstone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<i64>,
    /// Its headers; missing if an older version of the service has parked it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub headers: Option<Value>,
    /// Its value, as its schema says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// Why there is no value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub omitted: Option<String>,
    /// The registry's id of the schema that its value was written with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema_id: Option<u32>,
    /// The version of that schema under its subject, if the registry says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema_version: Option<u32>,
}

impl ParkedRecord {
    /// The record with the version of its schema.
    #[must_use]
    pub fn versioned(mut self, versions: &Versions) -> Self {
        let version = |id| versions.of(id, Some(&self.record_type));
        self.schema_version = self.schema_id.and_then(version);
        self
    }
}

impl From<postgres::ParkedRecord> for ParkedRecord {
    fn from(it: postgres::ParkedRecord) -> Self {
        let is_known = it.headers.is_some();
        Self {
            offset: it.offset,
            at: time::text(it.received_at),
            error: it.error,
            record_type: it.record_type,
            sender: sender(it.principal),
            bytes: it.bytes,
            headers: json(it.headers),
            schema_id: it.schema_id,
            schema_version: None,
            value: json(it.value),
            omitted: if is_known { it.omitted } else { Some("it is not known".to_owned()) },
        }
    }
}

impl From<postgres::ParkedKey> for ParkedKey {
    fn from(it: postgres::ParkedKey) -> Self {
        Self {
            topic: it.topic,
            key: it.key,
            partition: it.partition,
            records: it.records,
            bytes: it.bytes,
            since: time::text(it.since),
            offset: it.offset,
            error: it.error,
            record_type: it.record_type,
            sender: sender(it.principal),
        }
    }
}
