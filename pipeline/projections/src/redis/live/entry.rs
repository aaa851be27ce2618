//! An entry of the live stream, as Redis has it and as readers get it.

use redis::streams::StreamId;
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
    /// The event's fields as JSON, for its owner. Most readers may see few events, so this is not
    /// parsed here.
    pub data: String,
    /// The same with personal fields masked, for everyone else who may see it; `None` if nothing is
    /// masked.
    pub masked: Option<String>,
}

/// An entry, and the offset at which the stream was before it.
pub(super) fn parse(topic: &str, partition: i32, id: &StreamId) -> Option<(Entry, i64)> {
    let offset = id.id.split_once('-')?.0.parse().ok()?;
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
        data: id.get("data")?,
        masked: id.get("masked"),
    };
    Some((entry, id.get("before")?))
}
