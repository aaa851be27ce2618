//! What of an event people may see. Personal fields are masked for everyone but their owner; hashes
//! that verify a token or a password are removed for all. It writes nothing.

use redpanda::log::Record;
use schemas::{
    Codec, Message, Schema, email, notification, order,
    personal::{hide, mask},
    stock, user,
};
use serde::Serialize;
use serde_json::Value;

use crate::{
    StoreError,
    event::{event, short_name, unfit, unreadable},
};

/// The visible parts of an event.
pub(super) struct Visible {
    /// The event's name without its namespace.
    pub(super) kind: String,
    /// The aggregate's id; empty if it is a fingerprint.
    pub(super) key: String,
    /// The aggregate's version.
    pub(super) version: i64,
    /// When the event was written.
    pub(super) at: i64,
    /// The id of the command that caused the event; empty if no header says it.
    pub(super) command: String,
    /// The fields as JSON, for the owner.
    pub(super) data: String,
    /// The fields for everyone else; empty if nothing is masked.
    pub(super) masked: String,
    /// The owner's id; empty for an event of no user.
    pub(super) owner: String,
}

/// Who may see the events of a topic.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Audience {
    /// The user that the event concerns, and admins.
    Owner,
    /// Admins.
    Admins,
    /// Admins, without the key: it is the fingerprint of an address.
    AdminsWithoutKey,
}

/// A topic of the live stream.
struct Topic {
    name: &'static str,
    audience: Audience,
    schemas: fn() -> &'static [&'static Schema],
    read: fn(&Record, &Codec, Audience) -> Result<Visible, StoreError>,
}

impl Topic {
    const fn of<M: Message + Serialize>(name: &'static str, audience: Audience) -> Self {
        Self { name, audience, schemas: M::schemas, read: read::<M> }
    }
}

/// Every topic of events: a row says who may see them.
static TOPICS: &[Topic] = &[
    Topic::of::<user::Event>("user.events", Audience::Owner),
    Topic::of::<order::Event>("order.events", Audience::Owner),
    Topic::of::<notification::Event>("notification.events", Audience::Owner),
    Topic::of::<stock::Event>("stock.events", Audience::Admins),
    Topic::of::<email::Event>("email.events", Audience::AdminsWithoutKey),
];

/// The schemas of the events of a topic; none if the live stream does not show it.
pub(super) fn schemas_of(topic: &str) -> &'static [&'static Schema] {
    let found = TOPICS.iter().find(|shown| shown.name == topic);
    found.map_or(&[], |shown| (shown.schemas)())
}

/// Reads the visible parts of a record. Returns an error if the live stream does not show its
/// topic.
pub(super) fn visible(record: &Record, codec: &Codec) -> Result<Visible, StoreError> {
    match TOPICS.iter().find(|shown| shown.name == &*record.topic) {
        Some(topic) => (topic.read)(record, codec, topic.audience),
        None => Err(unfit(record, "expected a record of a topic that the live stream shows")),
    }
}

fn read<M: Message + Serialize>(
    record: &Record,
    codec: &Codec,
    audience: Audience,
) -> Result<Visible, StoreError> {
    let event = event::<M>(record, codec)?;
    let name = event.message.name();
    let mut data =
        serde_json::to_value(&event.message).map_err(|error| unreadable(record, error))?;
    hide(&mut data);
    let mut masked = data.clone();
    mask(&mut masked, name);
    let user_id = data.get("user_id").and_then(Value::as_str);
    let owner = user_id.filter(|_| audience == Audience::Owner).unwrap_or_default().to_owned();
    let key = match audience {
        Audience::Owner | Audience::Admins => event.key,
        Audience::AdminsWithoutKey => "",
    };
    Ok(Visible {
        kind: short_name(name).to_owned(),
        key: key.to_owned(),
        version: event.version,
        at: event.at,
        command: event.command.map(|command| command.to_string()).unwrap_or_default(),
        masked: if masked == data { String::new() } else { masked.to_string() },
        data: data.to_string(),
        owner,
    })
}

#[cfg(test)]
mod tests {
    use redpanda::log::Headers;
    use schemas::{
        headers,
        personal::MASK,
        user::{Role, SessionStarted, UserRegistered},
    };
    use uuid::Uuid;

    use super::*;

    fn record(codec: &Codec, event: impl Into<user::Event>) -> Record {
        let mut value = Vec::new();
        event.into().encode(codec, &mut value).expect("bytes");
        let mut headers = Headers::default();
        headers.push(headers::VERSION, "2");
        headers.push(headers::CORRELATION_ID, Uuid::from_u128(7).to_string());
        let (topic, key) = ("user.events".into(), Some("key".into()));
        Record {
            topic,
            partition: 0,
            offset: 5,
            timestamp_ms: 9,
            key,
            value: Some(value.into()),
            headers,
        }
    }

    #[test]
    fn personal_fields_are_masked_for_everyone_but_their_owner() {
        let codec = Codec::local();
        let registered = UserRegistered {
            user_id: Uuid::from_u128(1),
            email: "ada@example.org".to_owned(),
            email_fingerprint: "f1".to_owned(),
            name: "Ada".to_owned(),
            role: Role::User,
            registered_at: 3,
        };

        let seen = visible(&record(&codec, registered), &codec).expect("an entry");

        assert_eq!((&*seen.kind, seen.version, seen.at), ("UserRegistered", 2, 9));
        assert_eq!(seen.owner, Uuid::from_u128(1).to_string());
        assert_eq!(seen.command, Uuid::from_u128(7).to_string());
        assert!(seen.data.contains("ada@example.org") && seen.data.contains("Ada"));
        assert!(
            !seen.masked.contains("ada@example.org") && !seen.masked.contains("Ada"),
            "{}",
            seen.masked
        );
        assert!(seen.masked.contains(MASK) && !seen.data.contains("f1"));
    }

    #[test]
    fn hash_that_verifies_a_token_is_removed() {
        let codec = Codec::local();
        let started = SessionStarted {
            user_id: Uuid::from_u128(1),
            session_id: Uuid::from_u128(2),
            refresh_hash: "secret".to_owned(),
            started_at: 1,
            expires_at: 2,
        };

        let seen = visible(&record(&codec, started), &codec).expect("an entry");

        assert!(!seen.data.contains("secret") && seen.masked.is_empty(), "{}", seen.data);
    }

    #[test]
    fn every_topic_of_events_has_an_audience() {
        for topic in redpanda::topics::all().of_kind("events") {
            assert!(!schemas_of(&topic.name).is_empty(), "{} has no row in TOPICS", topic.name);
        }
    }
}
