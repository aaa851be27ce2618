//! The operator's desk as admins see it: dead letters, parked keys, and what operators have done.
//! Plain data: this module reads no store and decides nothing.

use std::fmt;

use projections::postgres::{self, KeyCursor, ParkedSelection, RecordCursor};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::{
    answers::{Page, Read},
    record_place::RecordPlace,
    time,
};

/// Which dead letter is meant, as text: `<topic>:<partition>:<offset of the dead letter>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadId {
    /// The topic from which the record was read.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// The offset of the dead letter.
    pub dead_offset: i64,
}

impl fmt::Display for DeadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.topic, self.partition, self.dead_offset)
    }
}

impl DeadId {
    /// Parses an id; `None` if the text is none.
    pub fn parse(text: &str) -> Option<Self> {
        let RecordPlace { topic, partition, offset } = RecordPlace::parse(text)?;
        Some(Self { topic, partition, dead_offset: offset })
    }
}

/// A record that could not be processed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DeadLetter {
    /// The id under which its content is read.
    pub id: String,
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
    /// The command that has sent it again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resent_by: Option<Uuid>,
}

/// A dead letter with its content.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DeadContent {
    /// The dead letter.
    #[serde(flatten)]
    pub letter: DeadLetter,
    /// The record's key, also where admins don't see it: a command that sends it again has it.
    #[serde(skip)]
    pub key: Option<String>,
    /// Its headers; missing if its content is not kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub headers: Option<Value>,
    /// Its value, as its schema says, with personal fields masked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// The same with its personal fields, if it has any.
    #[serde(skip)]
    pub personal: Option<Value>,
    /// Why there is no value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub omitted: Option<String>,
}

impl DeadContent {
    /// The content with its personal fields: only for who has given a reason.
    #[must_use]
    pub fn revealed(self) -> Self {
        Self { value: self.personal.or(self.value), personal: None, ..self }
    }
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
}

/// What an operator has done.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Action {
    /// When.
    pub at: String,
    /// Who: a user, or `operator` for a command that was written without the gateway.
    pub who: String,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The topic of the parked records or of the dead letter.
    pub topic: String,
    /// Their key; for a dead letter, its id.
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
    /// The offset of the dead letter whose personal fields were read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revealed_offset: Option<i64>,
    /// The offset of the dead letter that was sent again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resent_offset: Option<i64>,
    /// The offset of the parked record that was edited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub edited_offset: Option<i64>,
    /// Its value before, with personal fields masked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// The value with which it was applied, with personal fields masked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

/// The part of [`crate::reads::Reads`] that the desk needs.
pub trait DeskReads: Send + Sync {
    /// Dead letters, newest first.
    fn dead_letters(
        &self,
        cursor: Option<RecordCursor>,
        limit: usize,
    ) -> Read<'_, Page<DeadLetter>>;
    /// A dead letter with its content.
    fn dead_letter<'a>(&'a self, id: &'a DeadId) -> Read<'a, Option<DeadContent>>;
    /// Parked keys, by topic and key.
    fn parked_keys(&self, cursor: Option<KeyCursor>, limit: usize) -> Read<'_, Page<ParkedKey>>;
    /// The first `limit` parked keys of a selection, by topic and key. The page has a next one if
    /// the selection has more.
    fn selected_keys<'a>(
        &'a self,
        selection: &'a ParkedSelection,
        limit: usize,
    ) -> Read<'a, Page<ParkedKey>>;
    /// The parked records of a key, in their order.
    fn parked_records<'a>(
        &'a self,
        topic: &'a str,
        key: &'a str,
        after: Option<i64>,
        limit: usize,
    ) -> Read<'a, Page<ParkedRecord>>;
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
        let (topic, partition, dead_offset) = (it.topic, it.partition, it.dead_offset);
        let id = DeadId { topic: topic.clone(), partition, dead_offset }.to_string();
        Self {
            id,
            topic,
            partition,
            offset: it.offset,
            dead_offset,
            at: time::text(it.at),
            error: it.error,
            record_type: it.record_type,
            key,
            sender: it.principal.map(shown),
            bytes: it.bytes,
            resent_by: it.resent_by,
        }
    }
}

impl From<postgres::DeadContent> for DeadContent {
    fn from(it: postgres::DeadContent) -> Self {
        let is_kept = it.headers.is_some();
        Self {
            key: it.letter.key.clone(),
            letter: it.letter.into(),
            headers: json(it.headers),
            value: json(it.value),
            personal: json(it.personal),
            omitted: if is_kept { it.omitted } else { Some("it is not kept any more".to_owned()) },
        }
    }
}

/// JSON that a projection has written.
fn json(text: Option<String>) -> Option<Value> {
    text.and_then(|text| serde_json::from_str(&text).ok())
}

impl From<postgres::ParkedRecord> for ParkedRecord {
    fn from(it: postgres::ParkedRecord) -> Self {
        let is_known = it.headers.is_some();
        Self {
            offset: it.offset,
            at: time::text(it.received_at),
            error: it.error,
            record_type: it.record_type,
            sender: shown(it.principal),
            bytes: it.bytes,
            headers: json(it.headers),
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
            sender: shown(it.principal),
        }
    }
}

impl From<postgres::Action> for Action {
    fn from(it: postgres::Action) -> Self {
        let dead_id = it.resent.map(|(partition, dead_offset)| {
            DeadId { topic: it.topic.clone(), partition, dead_offset }.to_string()
        });
        Self {
            at: time::text(it.at),
            who: it.principal,
            reason: it.reason,
            topic: it.topic,
            key: dead_id.unwrap_or(it.key),
            command: it.command_id,
            released: it.released,
            dropped_offset: it.dropped_offset,
            parked_from: it.parked_from,
            revealed_offset: it.revealed_offset,
            resent_offset: it.resent.map(|(_, dead_offset)| dead_offset),
            edited_offset: it.edited_offset,
            before: json(it.value_before),
            after: json(it.value_after),
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
                resent_by: None,
            })
        };
        let claim = letter("email.followups", &fingerprint, &fingerprint);
        assert_eq!((claim.key, claim.sender.as_deref()), (None, Some("anonymous")));
        let id = Uuid::from_u128(1).to_string();
        let order = letter("order.commands", &id, &id);
        assert_eq!((order.key.as_deref(), order.sender.as_deref()), (Some(&*id), Some(&*id)));
        assert_eq!(letter("order.commands", &id, "operator").sender.as_deref(), Some("operator"));
    }

    #[test]
    fn id_of_a_dead_letter_is_parsed_from_its_own_text_and_from_no_other() {
        let id = DeadId { topic: "order.commands".into(), partition: 2, dead_offset: 17 };
        assert_eq!(DeadId::parse(&id.to_string()).as_ref(), Some(&id));
        assert_eq!(DeadId::parse("order.commands%3A2%3A17"), Some(id));
        for text in ["", "order.commands", "order.commands:2", "order.commands:2:x", "a:1:2:"] {
            assert_eq!(DeadId::parse(text), None, "{text}");
        }
    }
}
