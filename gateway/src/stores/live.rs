//! The live stream of one client: at which position it begins, and which events it may contain. It
//! never writes to Redis.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use projections::{
    StoreError,
    redis::{Live, LiveEntries, LiveEntry, Positions},
};
use schemas::chain;
use serde_json::json;

use crate::{
    reads::{StreamItem, StreamScope},
    time,
};

/// How long one read waits for new events.
const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// The pause after a failed read.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// How often a client that sees none of the events gets its position all the same. Otherwise it
/// would reconnect with one that the stream has removed since, and learn that it has missed events.
const POSITION_INTERVAL: Duration = Duration::from_secs(30);

/// The items of `scope` after `position`, or from now on.
pub(super) async fn items(
    live: Live,
    scope: StreamScope,
    position: Option<String>,
) -> Result<BoxStream<'static, StreamItem>, StoreError> {
    let (positions, first) = beginning(position, live.end().await?);
    let live = Arc::new(live);
    // With the time at which the client last got a position.
    let reads = stream::unfold((positions, Instant::now()), move |(positions, sent_at)| {
        let live = live.clone();
        async move {
            let read = loop {
                match live.read(&positions, READ_TIMEOUT).await {
                    Ok(read) => break read,
                    Err(error) => {
                        tracing::warn!(error = chain(&error), "the live stream could not be read")
                    }
                }
                tokio::time::sleep(RETRY_INTERVAL).await;
            };
            let mut items = visible(scope, positions, &read);
            items.extend(position_alone(&items, &read, sent_at.elapsed()));
            let sent_at = if items.is_empty() { sent_at } else { Instant::now() };
            Some((stream::iter(items), (read.positions, sent_at)))
        }
    });
    Ok(stream::iter(first).chain(reads.flatten()).boxed())
}

/// Where a stream begins that ends at `end`, and the item that says so to the client.
fn beginning(position: Option<String>, end: Positions) -> (Positions, Option<StreamItem>) {
    match position.map(|position| position.parse::<Positions>()) {
        None => {
            let position = end.to_string();
            (end, Some(StreamItem::Position { position }))
        }
        Some(Ok(positions)) if is_issued(&positions, &end) => (positions, None),
        // No gateway has issued this position, or the stream was lost since then. So it is unknown
        // what the client has seen.
        Some(_) => {
            let position = end.to_string();
            (end, Some(StreamItem::Reset { position }))
        }
    }
}

/// The position after a read of which the client sees nothing, if the last one is old.
fn position_alone(items: &[StreamItem], read: &LiveEntries, age: Duration) -> Option<StreamItem> {
    let is_due = items.is_empty() && !read.entries.is_empty() && age >= POSITION_INTERVAL;
    is_due.then(|| StreamItem::Position { position: read.positions.to_string() })
}

/// Whether a gateway can have issued `positions`: the stream has all their partitions, and none is
/// ahead of its end.
fn is_issued(positions: &Positions, end: &Positions) -> bool {
    let offsets = |positions: &Positions| -> BTreeMap<(String, String), i64> {
        let text = positions.to_string();
        let topics = text.split(';').filter_map(|topic| topic.split_once(':'));
        let partitions = topics.flat_map(|(topic, partitions)| {
            partitions.split(',').filter_map(move |partition| {
                let (partition, next) = partition.split_once('=')?;
                Some(((topic.to_owned(), partition.to_owned()), next.parse().ok()?))
            })
        });
        partitions.collect()
    };
    let end = offsets(end);
    offsets(positions)
        .iter()
        .all(|(partition, next)| end.get(partition).is_some_and(|end| next <= end))
}

/// The items of a read that a client may see. Each event has the position after it, so that a
/// client that reconnects misses none and gets none twice.
fn visible(scope: StreamScope, mut positions: Positions, read: &LiveEntries) -> Vec<StreamItem> {
    let mut items = Vec::new();
    if read.reset {
        positions = read.positions.clone();
        items.push(StreamItem::Reset { position: positions.to_string() });
    }
    for entry in &read.entries {
        positions.pass(entry);
        let fields = match scope {
            StreamScope::Own(user) if entry.owner == Some(user) => &entry.data,
            StreamScope::Own(_) => continue,
            StreamScope::All => entry.masked.as_ref().unwrap_or(&entry.data),
        };
        match serde_json::from_str(fields) {
            Ok(fields) => items.push(StreamItem::Event {
                position: positions.to_string(),
                kind: entry.kind.clone(),
                data: event(entry, &fields),
            }),
            Err(error) => {
                let (topic, offset) = (&entry.topic, entry.offset);
                tracing::warn!(topic, offset, error = chain(&error), "an entry is no JSON");
            }
        }
    }
    items
}

fn event(entry: &LiveEntry, fields: &serde_json::Value) -> serde_json::Value {
    json!({
        "id": entry.id,
        "type": entry.kind,
        "aggregate": entry.topic.split('.').next().unwrap_or_default(),
        "key": entry.key,
        "version": entry.version,
        "at": time::text(entry.at),
        "command": entry.command,
        "data": fields,
    })
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn entry(offset: i64, owner: Option<Uuid>) -> LiveEntry {
        LiveEntry {
            topic: "user.events".into(),
            partition: 0,
            offset,
            id: String::new(),
            command: Some(Uuid::from_u128(9)),
            kind: "NameChanged".into(),
            key: "k".into(),
            owner,
            version: 1,
            at: 0,
            data: json!({ "name": "Ada" }).to_string(),
            masked: Some(json!({ "name": "***" }).to_string()),
        }
    }

    #[test]
    fn position_ahead_of_the_stream_or_of_an_unknown_partition_is_not_issued() {
        let at = |text: &str| text.parse::<Positions>().expect("positions");
        let end = at("order.events:0=17,1=0;user.events:3=4");
        for fine in ["order.events:0=17,1=0;user.events:3=4", "order.events:0=3", ""] {
            assert!(is_issued(&at(fine), &end), "{fine}");
        }
        for wrong in [
            "order.events:0=18,1=0;user.events:3=4",
            "order.events:0=17,1=9223372036854775807",
            "order.events:2=0",
            "order.events:-1=0",
            "stock.events:0=0",
        ] {
            assert!(!is_issued(&at(wrong), &end), "{wrong}");
        }
        assert!(!is_issued(&at("order.events:0=1"), &at("")), "the stream was lost");
    }

    #[test]
    fn stream_begins_with_a_reset_after_a_position_that_was_not_issued() {
        let end: Positions = "order.events:0=17".parse().expect("positions");
        let reset = StreamItem::Reset { position: end.to_string() };
        let long = format!("order.events:0=1;{}", "x".repeat(2_048));
        let foreign = "\u{e9}:0=1;order.events:0=1".to_owned();
        for wrong in ["42".to_owned(), "\u{fffd}".to_owned(), foreign, long] {
            let begun = beginning(Some(wrong.clone()), end.clone());
            assert_eq!(begun, (end.clone(), Some(reset.clone())), "{wrong}");
        }
        let issued = "order.events:0=3";
        let begun = beginning(Some(issued.to_owned()), end);
        assert_eq!(begun, (issued.parse().expect("positions"), None));
    }

    #[test]
    fn users_see_their_own_events_and_admins_all_with_masked_names() {
        let ada = Uuid::from_u128(1);
        let entries = vec![entry(4, Some(ada)), entry(5, Some(Uuid::from_u128(2))), entry(6, None)];
        let read = LiveEntries { entries, ..LiveEntries::default() };

        let own = visible(StreamScope::Own(ada), Positions::default(), &read);
        let all = visible(StreamScope::All, Positions::default(), &read);

        let [StreamItem::Event { position, data, .. }] = own.as_slice() else {
            panic!("one event: {own:?}")
        };
        assert_eq!((position.as_str(), &data["data"]["name"]), ("user.events:0=5", &json!("Ada")));
        assert_eq!(data["command"], json!(Uuid::from_u128(9)));
        assert_eq!(all.len(), 3);
        assert!(!format!("{all:?}").contains("Ada"));
    }

    #[test]
    fn client_that_sees_no_event_gets_its_position_now_and_then() {
        let positions: Positions = "user.events:0=7".parse().expect("positions");
        let read = |entries| LiveEntries { entries, positions: positions.clone(), reset: false };
        let (others, nothing) = (read(vec![entry(6, None)]), read(Vec::new()));

        let found = position_alone(&[], &others, POSITION_INTERVAL);

        assert!(
            matches!(&found, Some(StreamItem::Position { position }) if position == "user.events:0=7"),
            "{found:?}"
        );
        let early = POSITION_INTERVAL - Duration::from_millis(1);
        assert!(position_alone(&[], &others, early).is_none());
        assert!(position_alone(&[], &nothing, POSITION_INTERVAL).is_none(), "it has not moved");
        let seen = [StreamItem::Reset { position: String::new() }];
        assert!(position_alone(&seen, &others, POSITION_INTERVAL).is_none(), "it has one");
    }

    #[test]
    fn event_without_masked_fields_is_the_same_for_admins_and_one_that_is_no_json_is_left_out() {
        let plain = LiveEntry { masked: None, ..entry(4, None) };
        let broken = LiveEntry { masked: Some("{".into()), ..entry(5, None) };
        let entries = vec![plain, broken, entry(6, None)];
        let read = LiveEntries { entries, ..LiveEntries::default() };

        let all = visible(StreamScope::All, Positions::default(), &read);

        let [StreamItem::Event { data: first, .. }, StreamItem::Event { position, data, .. }] =
            all.as_slice()
        else {
            panic!("two events: {all:?}")
        };
        assert_eq!((&first["data"]["name"], &data["data"]["name"]), (&json!("Ada"), &json!("***")));
        assert_eq!(position, "user.events:0=7");
    }
}
