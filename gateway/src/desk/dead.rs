//! Dead letters: records that could not be processed.

use std::fmt;

use projections::postgres;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::shown::{json, sender};
use crate::{record_place::RecordPlace, schema_versions::Versions, time};

/// The id of a dead letter, as text: `<topic>:<partition>:<offset of the dead letter>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadId {
    /// The topic from which the record was read.
    pub topic: String,
    /// The partition of its topic.
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
    /// Parses an id; `None` if the text is invalid.
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
    /// The partition of its topic.
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
    /// The registry's id of the schema that its value was written with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema_id: Option<u32>,
    /// The version of that schema under its subject, if the registry says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema_version: Option<u32>,
}

impl DeadContent {
    /// The content with the version of its schema.
    #[must_use]
    pub fn versioned(mut self, versions: &Versions) -> Self {
        let version = |id| versions.of(id, Some(&self.letter.record_type));
        self.schema_version = self.schema_id.and_then(version);
        self
    }

    /// The content with its personal fields: only for who has given a reason.
    #[must_use]
    pub fn revealed(self) -> Self {
        Self { value: self.personal.or(self.value), personal: None, ..self }
    }
}

impl From<postgres::DeadLetter> for DeadLetter {
    fn from(it: postgres::DeadLetter) -> Self {
        // A parked key is shown although it names an address: a re-drive has to name it.
        let key = it.key.filter(|key| !postgres::names_address(&it.topic, key));
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
            sender: it.principal.map(sender),
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
            schema_id: it.schema_id,
            schema_version: None,
            omitted: if is_kept { it.omitted } else { Some("it is not kept any more".to_owned()) },
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
