//! What operators have done.

use projections::postgres;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::{dead::DeadId, shown::json};
use crate::time;

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
    /// Their key, unless it is the fingerprint of an e-mail address; for a dead letter, its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The command.
    pub command: Uuid,
    /// The number of records that are no longer parked.
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

impl From<postgres::Action> for Action {
    fn from(it: postgres::Action) -> Self {
        let dead_id = it.resent.map(|(partition, dead_offset)| {
            DeadId { topic: it.topic.clone(), partition, dead_offset }.to_string()
        });
        // The record of an action about a dead letter has the letter's id or its key.
        let own_key = Some(it.key)
            .filter(|key| it.revealed_offset.is_some() || !postgres::names_address(&it.topic, key));
        Self {
            at: time::text(it.at),
            who: it.principal,
            reason: it.reason,
            topic: it.topic,
            key: dead_id.or(own_key),
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

    fn action(topic: &str, key: &str) -> postgres::Action {
        postgres::Action {
            processor: "user".into(),
            partition: 0,
            offset: 0,
            at: 0,
            topic: topic.into(),
            key: key.into(),
            command_id: Uuid::from_u128(1),
            principal: "ada".into(),
            reason: None,
            released: 1,
            dropped_offset: None,
            parked_from: None,
            revealed_offset: None,
            resent: None,
            edited_offset: None,
            value_before: None,
            value_after: None,
        }
    }

    #[test]
    fn fingerprint_of_an_address_is_not_the_key_of_an_action() {
        let fingerprint = "0a".repeat(32);
        let shown = |action: postgres::Action| Action::from(action).key;
        assert_eq!(shown(action("email.followups", &fingerprint)), None);
        assert_eq!(shown(action("order.followups", "o-1")).as_deref(), Some("o-1"));
        // The id of a dead letter names no address.
        let id = "email.followups:0:17";
        let revealed =
            postgres::Action { revealed_offset: Some(17), ..action("email.followups", id) };
        assert_eq!(shown(revealed).as_deref(), Some(id));
        let resent =
            postgres::Action { resent: Some((0, 17)), ..action("email.followups", &fingerprint) };
        assert_eq!(shown(resent).as_deref(), Some(id));
    }
}
