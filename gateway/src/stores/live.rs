//! The live stream for one watcher: from which position it goes on, and what of it may be seen.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use projections::{
    StoreError,
    redis::{Live, LiveBatch, LiveEntry, Positions},
};
use serde_json::json;

use super::PAUSE;
use crate::{
    reads::{Seen, Watch},
    time,
};

/// One look at the live stream; ends early when something comes.
const LOOK: Duration = Duration::from_secs(10);

/// What `watch` may see after `position`, or from now on.
pub(super) async fn seen(
    live: Live,
    watch: Watch,
    position: Option<String>,
) -> Result<BoxStream<'static, Seen>, StoreError> {
    let end = live.end().await?;
    let (positions, first) = match position.map(|position| position.parse::<Positions>()) {
        None => {
            let position = end.to_string();
            (end, Some(Seen::Begin { position }))
        }
        Some(Ok(positions)) if issued(&positions, &end) => (positions, None),
        // What the client knows is unknown: no gateway has given this position out, or the log has
        // been lost since.
        Some(_) => {
            let position = end.to_string();
            (end, Some(Seen::Reset { position }))
        }
    };
    let live = Arc::new(live);
    let batches = stream::unfold(positions, move |positions| {
        let live = live.clone();
        async move {
            let batch = loop {
                match live.read(&positions, LOOK).await {
                    Ok(batch) => break batch,
                    Err(error) => tracing::warn!(%error, "the live stream could not be read"),
                }
                tokio::time::sleep(PAUSE).await;
            };
            let seen = shown(watch, positions, &batch);
            Some((stream::iter(seen), batch.positions))
        }
    });
    Ok(stream::iter(first).chain(batches.flatten()).boxed())
}

/// Whether a gateway can have given out `positions`: no partition is one that the stream does not
/// have, and none is ahead of it.
fn issued(positions: &Positions, end: &Positions) -> bool {
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

/// What a watcher may see of a batch. Each event has the position after it, so that a client that
/// comes back misses none and sees none twice.
fn shown(watch: Watch, mut positions: Positions, batch: &LiveBatch) -> Vec<Seen> {
    let mut seen = Vec::new();
    if batch.reset {
        positions = batch.positions.clone();
        seen.push(Seen::Reset { position: positions.to_string() });
    }
    for entry in &batch.entries {
        positions.pass(entry);
        let data = match watch {
            Watch::Own(user) if entry.owner == Some(user) => &entry.data,
            Watch::Own(_) => continue,
            Watch::All => &entry.masked,
        };
        seen.push(Seen::Event {
            position: positions.to_string(),
            kind: entry.kind.clone(),
            data: event(entry, data),
        });
    }
    seen
}

fn event(entry: &LiveEntry, data: &serde_json::Value) -> serde_json::Value {
    json!({
        "id": entry.id,
        "type": entry.kind,
        "aggregate": entry.topic.split('.').next().unwrap_or_default(),
        "key": entry.key,
        "version": entry.version,
        "at": time::text(entry.at),
        "data": data,
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
            kind: "NameChanged".into(),
            key: "k".into(),
            owner,
            version: 1,
            at: 0,
            data: json!({ "name": "Ada" }),
            masked: json!({ "name": "***" }),
        }
    }

    #[test]
    fn a_position_ahead_of_the_stream_or_of_another_partition_was_never_issued() {
        let at = |text: &str| text.parse::<Positions>().expect("positions");
        let end = at("order.events:0=17,1=0;user.events:3=4");
        for fine in ["order.events:0=17,1=0;user.events:3=4", "order.events:0=3", ""] {
            assert!(issued(&at(fine), &end), "{fine}");
        }
        for wrong in [
            "order.events:0=18,1=0;user.events:3=4",
            "order.events:0=17,1=9223372036854775807",
            "order.events:2=0",
            "order.events:-1=0",
            "stock.events:0=0",
        ] {
            assert!(!issued(&at(wrong), &end), "{wrong}");
        }
        assert!(!issued(&at("order.events:0=1"), &at("")), "the stream has been lost");
    }

    #[test]
    fn users_see_their_own_and_admins_all_but_names() {
        let ada = Uuid::from_u128(1);
        let entries = vec![entry(4, Some(ada)), entry(5, Some(Uuid::from_u128(2))), entry(6, None)];
        let batch = LiveBatch { entries, ..LiveBatch::default() };

        let own = shown(Watch::Own(ada), Positions::default(), &batch);
        let all = shown(Watch::All, Positions::default(), &batch);

        let [Seen::Event { position, data, .. }] = own.as_slice() else {
            panic!("one event: {own:?}")
        };
        assert_eq!((position.as_str(), &data["data"]["name"]), ("user.events:0=5", &json!("Ada")));
        assert_eq!(all.len(), 3);
        assert!(!format!("{all:?}").contains("Ada"));
    }
}
