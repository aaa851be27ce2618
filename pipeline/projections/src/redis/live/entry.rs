//! An entry of the live stream, as Redis has it and as readers get it.

use redis::streams::StreamId;
use serde_json::Value;
use uuid::Uuid;

/// An event in the live stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The record's offset.
    pub offset: i64,
    /// The event's id.
    pub id: String,
    /// The id of the command that caused the event, directly or not.
    pub command: Option<Uuid>,
    /// The event's name without its namespace, such as `OrderPlaced`.
    pub kind: String,
    /// The id of the aggregate.
    pub key: String,
    /// The user who may see the event; `None` for events of no user (stock, claims of addresses).
    pub owner: Option<Uuid>,
    /// The aggregate's version after the event.
    pub version: i64,
    /// When the event was written.
    pub at: i64,
    /// The event's fields, for its owner.
    pub data: Value,
    /// The same with personal fields masked, for everyone else who may see it.
    pub masked: Value,
}

/// An entry, and the offset at which the stream was before it.
pub(super) fn parse(topic: &str, partition: i32, id: &StreamId) -> Option<(Entry, i64)> {
    let offset = id.id.split_once('-')?.0.parse().ok()?;
    let data: Value = serde_json::from_str(&id.get::<String>("data")?).ok()?;
    let masked = match id.get::<String>("masked") {
        Some(masked) => serde_json::from_str(&masked).ok()?,
        None => data.clone(),
    };
    let entry = Entry {
        topic: topic.to_owned(),
        partition,
        offset,
        id: id.get("id").unwrap_or_default(),
        command: id.get::<String>("command").and_then(|command| command.parse().ok()),
        kind: id.get("type")?,
        key: id.get("key")?,
        owner: id.get::<String>("owner").and_then(|owner| owner.parse().ok()),
        version: id.get("version")?,
        at: id.get("at")?,
        data,
        masked,
    };
    Some((entry, id.get("before")?))
}
