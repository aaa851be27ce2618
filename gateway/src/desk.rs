//! The operator's desk as admins see it: dead letters, parked keys, and what operators have done.
//! Plain data: this module reads no store and decides nothing.

use projections::postgres::{self, KeyCursor, RecordCursor};
use serde::Serialize;
use uuid::Uuid;

use crate::{
    reads::{Page, Read},
    time,
};

/// A record that could not be processed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DeadLetter {
    /// The topic from which the record was read.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// Its offset, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<i64>,
    /// The offset of the dead letter, in the same partition of `<topic>.dead`.
    pub dead_offset: i64,
    /// When the dead letter was written.
    pub at: String,
    /// Why the record could not be processed.
    pub error: String,
    /// The record's type; empty if it names none.
    #[serde(rename = "type")]
    pub record_type: String,
    /// The record's key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Who sent it: a user, an operator, or the fingerprint of an address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sender: Option<String>,
    /// The size of its value, if the dead letter has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<i64>,
}

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

/// What an operator has done with a parked key.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Action {
    /// When.
    pub at: String,
    /// Who: a user, or `operator` for a command that was written without the gateway.
    pub who: String,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The topic of the parked records.
    pub topic: String,
    /// Their key.
    pub key: String,
    /// The command.
    pub command: Uuid,
    /// How many records are no longer parked.
    pub released: i32,
    /// The offset of the record that was given up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dropped_offset: Option<i64>,
    /// The offset of the record that has failed again and is still parked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parked_from: Option<i64>,
}

/// The part of [`crate::reads::Reads`] that the desk needs.
pub trait DeskReads: Send + Sync {
    /// Dead letters, newest first.
    fn dead_letters(
        &self,
        cursor: Option<RecordCursor>,
        limit: usize,
    ) -> Read<'_, Page<DeadLetter>>;
    /// Parked keys, by topic and key.
    fn parked_keys(&self, cursor: Option<KeyCursor>, limit: usize) -> Read<'_, Page<ParkedKey>>;
    /// What operators have done, newest first.
    fn actions(&self, cursor: Option<RecordCursor>, limit: usize) -> Read<'_, Page<Action>>;
}

impl From<postgres::DeadLetter> for DeadLetter {
    fn from(it: postgres::DeadLetter) -> Self {
        Self {
            topic: it.topic,
            partition: it.partition,
            offset: it.offset,
            dead_offset: it.dead_offset,
            at: time::text(it.at),
            error: it.error,
            record_type: it.record_type,
            key: it.key,
            sender: it.principal,
            bytes: it.bytes,
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
            sender: it.principal,
        }
    }
}

impl From<postgres::Action> for Action {
    fn from(it: postgres::Action) -> Self {
        Self {
            at: time::text(it.at),
            who: it.principal,
            reason: it.reason,
            topic: it.topic,
            key: it.key,
            command: it.command_id,
            released: it.released,
            dropped_offset: it.dropped_offset,
            parked_from: it.parked_from,
        }
    }
}
