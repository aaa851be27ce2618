//! The operator's desk as admins see it: dead letters, parked keys, and what operators have done.
//! Plain data: this module reads no store and decides nothing.

use projections::postgres::{self, KeyCursor, ParkedSelection, RecordCursor};
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
    /// Who sent it: a user's id, `operator`, or `anonymous` for a client that was not logged in.
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
    /// The first `limit` parked keys of a selection, by topic and key. The page has a next one if
    /// the selection has more.
    fn selected_keys<'a>(
        &'a self,
        selection: &'a ParkedSelection,
        limit: usize,
    ) -> Read<'a, Page<ParkedKey>>;
    /// What operators have done, newest first.
    fn actions(&self, cursor: Option<RecordCursor>, limit: usize) -> Read<'_, Page<Action>>;
}

/// The sender as admins see it. The fingerprint of an address or a token is shown to nobody.
fn shown(principal: String) -> String {
    let is_fingerprint =
        principal.len() >= 32 && principal.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_fingerprint { "anonymous".to_owned() } else { principal }
}

impl From<postgres::DeadLetter> for DeadLetter {
    fn from(it: postgres::DeadLetter) -> Self {
        // Keys of these topics are fingerprints of addresses. A parked one is shown all the same: a
        // re-drive has to name it.
        let key = it.key.filter(|_| !it.topic.starts_with("email."));
        Self {
            topic: it.topic,
            partition: it.partition,
            offset: it.offset,
            dead_offset: it.dead_offset,
            at: time::text(it.at),
            error: it.error,
            record_type: it.record_type,
            key,
            sender: it.principal.map(shown),
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
            sender: shown(it.principal),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprint_of_an_address_is_shown_to_nobody() {
        let fingerprint = "0a".repeat(32);
        let letter = |topic: &str, key: &str, principal: &str| {
            DeadLetter::from(postgres::DeadLetter {
                topic: topic.into(),
                partition: 0,
                offset: None,
                dead_offset: 0,
                at: 0,
                error: String::new(),
                record_type: String::new(),
                key: Some(key.into()),
                principal: Some(principal.into()),
                bytes: None,
            })
        };
        let claim = letter("email.followups", &fingerprint, &fingerprint);
        assert_eq!((claim.key, claim.sender.as_deref()), (None, Some("anonymous")));
        let id = Uuid::from_u128(1).to_string();
        let order = letter("order.commands", &id, &id);
        assert_eq!((order.key.as_deref(), order.sender.as_deref()), (Some(&*id), Some(&*id)));
        assert_eq!(letter("order.commands", &id, "operator").sender.as_deref(), Some("operator"));
    }
}
