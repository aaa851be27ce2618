//! Reads the live stream: all events of the last while, of every context, from any position. Never
//! writes.
//!
//! There is one capped Redis stream for each partition. A position is the next offset of each of
//! them. Every entry knows the offset that the stream stood at before it, so a reader notices when
//! entries that it has not seen were cut off.

use std::{collections::BTreeMap, fmt, str::FromStr, time::Duration};

use redis::streams::{StreamId, StreamReadReply};
use serde_json::Value;
use tokio::time::Instant;
use uuid::Uuid;

use super::{Notices, Redis, failed, live_key, positions_key};
use crate::{StoreError, sets};

/// Entries of one stream that are read at once.
const READ_MAX: usize = 256;
/// Looks itself so often, in case a notice was lost.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Where a reader stands: the next offset of each partition of each topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Positions(BTreeMap<(String, i32), i64>);

impl Positions {
    /// Moves past `entry`.
    pub fn pass(&mut self, entry: &Entry) {
        let next = self.0.entry((entry.topic.clone(), entry.partition)).or_default();
        *next = (*next).max(entry.offset + 1);
    }

    fn next(&self, topic: &str, partition: i32) -> i64 {
        self.0.get(&(topic.to_owned(), partition)).copied().unwrap_or(0)
    }
}

impl fmt::Display for Positions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut topic = None;
        for ((name, partition), next) in &self.0 {
            match topic {
                Some(before) if before == name => f.write_str(",")?,
                Some(_) => write!(f, ";{name}:")?,
                None => write!(f, "{name}:")?,
            }
            topic = Some(name);
            write!(f, "{partition}={next}")?;
        }
        Ok(())
    }
}

/// A text that no [`Positions`] were written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a position")]
pub struct NotAPosition;

impl FromStr for Positions {
    type Err = NotAPosition;

    fn from_str(text: &str) -> Result<Self, NotAPosition> {
        let mut positions = BTreeMap::new();
        for part in text.split(';').filter(|part| !part.is_empty()) {
            let (topic, rest) = part.split_once(':').ok_or(NotAPosition)?;
            for one in rest.split(',') {
                let (partition, next) = one.split_once('=').ok_or(NotAPosition)?;
                let next =
                    next.parse::<i64>().ok().filter(|next| *next >= 0).ok_or(NotAPosition)?;
                positions
                    .insert((topic.to_owned(), partition.parse().map_err(|_| NotAPosition)?), next);
            }
        }
        Ok(Self(positions))
    }
}

/// An event in the live stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The record's place in it.
    pub offset: i64,
    /// The event's id.
    pub id: String,
    /// The event's name without its namespace, such as `OrderPlaced`.
    pub kind: String,
    /// The id of the aggregate.
    pub key: String,
    /// The user whose event it is; `None` where it is nobody's own (stock, claims of addresses).
    pub owner: Option<Uuid>,
    /// The aggregate's version after it.
    pub version: i64,
    /// When it was written.
    pub at: i64,
    /// What it says, for its owner.
    pub data: Value,
    /// The same with personal fields masked, for everyone else who may see it.
    pub masked: Value,
}

/// What a read of the live stream gives.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// Events are missing before `entries`: what was shown must be read anew.
    pub reset: bool,
    /// The events, about in the order of their times, and exactly in the order of their partitions.
    pub entries: Vec<Entry>,
    /// Where to read on.
    pub positions: Positions,
}

/// Reads the live stream. Clones share the connection.
#[derive(Clone)]
pub struct Live {
    redis: Redis,
    notices: Notices,
}

impl Live {
    /// Reads over this connection; `notices` tell when there is more.
    pub fn new(redis: Redis, notices: Notices) -> Self {
        Self { redis, notices }
    }

    /// Where the stream stands now: for those who want only what is to come.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn end(&self) -> Result<Positions, StoreError> {
        let mut pipe = redis::pipe();
        for (projection, _) in sets::LIVE {
            pipe.hgetall(positions_key(projection));
        }
        let doing = "reading the end of the live stream";
        let found: Vec<BTreeMap<String, i64>> =
            pipe.query_async(&mut self.redis.connection()).await.map_err(failed(doing))?;
        let mut positions = Positions::default();
        for (field, next) in found.into_iter().flatten() {
            // The epochs stand beside the positions.
            let Some((topic, partition)) = field.split_once(':') else { continue };
            if let Ok(partition) = partition.parse() {
                positions.0.insert((topic.to_owned(), partition), next);
            }
        }
        Ok(positions)
    }

    /// What has come after `positions`; waits up to `block` for something to come.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn read(&self, positions: &Positions, block: Duration) -> Result<Batch, StoreError> {
        let until = Instant::now() + block;
        loop {
            let mut news = self.notices.live();
            let batch = self.read_now(positions).await?;
            if batch.reset || !batch.entries.is_empty() || Instant::now() >= until {
                return Ok(batch);
            }
            let look = until.min(Instant::now() + LOOK_EVERY);
            // The sender lives as long as `self`.
            let _ = tokio::time::timeout_at(look, news.changed()).await;
        }
    }

    async fn read_now(&self, positions: &Positions) -> Result<Batch, StoreError> {
        let end = self.end().await?;
        if end.0.is_empty() {
            return Ok(Batch { positions: positions.clone(), ..Batch::default() });
        }
        let mut read = redis::cmd("XREAD");
        read.arg("COUNT").arg(READ_MAX).arg("STREAMS");
        for (topic, partition) in end.0.keys() {
            read.arg(live_key(topic, *partition));
        }
        for (topic, partition) in end.0.keys() {
            read.arg(after(positions.next(topic, *partition)));
        }
        let doing = "reading the live stream";
        let reply: Option<StreamReadReply> =
            read.query_async(&mut self.redis.connection()).await.map_err(failed(doing))?;
        let mut positions_after = positions.clone();
        let mut read = Vec::new();
        for stream in reply.unwrap_or_default().keys {
            let Some((topic, partition)) =
                stream.key.strip_prefix("live:").and_then(|key| key.rsplit_once(':'))
            else {
                continue;
            };
            let Ok(partition) = partition.parse() else { continue };
            let (mut expected, mut latest) = (positions.next(topic, partition), i64::MIN);
            for id in &stream.ids {
                let Some((entry, before)) = entry(topic, partition, id) else { continue };
                if before > expected {
                    // Cut off before it was read. What is left is told after the reader has caught
                    // up otherwise.
                    return Ok(Batch { reset: true, entries: Vec::new(), positions: end });
                }
                expected = entry.offset + 1;
                latest = latest.max(entry.at);
                positions_after.pass(&entry);
                read.push((latest, entry));
            }
        }
        // A broker's clock may go back: the order of a partition stays.
        read.sort_by_key(|(latest, _)| *latest);
        let entries = read.into_iter().map(|(_, entry)| entry).collect();
        Ok(Batch { reset: false, entries, positions: positions_after })
    }
}

/// The id of the entry for `offset`. Redis has no entry `0-0`.
pub(crate) fn entry_id(offset: i64) -> String {
    if offset == 0 { "0-1".to_owned() } else { format!("{offset}-0") }
}

/// An id that stands before the entry for `next` and behind all earlier ones.
fn after(next: i64) -> String {
    if next <= 0 { "0-0".to_owned() } else { format!("{}-1", next - 1) }
}

/// An entry, and the offset that the stream stood at before it.
fn entry(topic: &str, partition: i32, id: &StreamId) -> Option<(Entry, i64)> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_read_back_from_their_text() {
        let text = "order.events:0=17,1=0;user.events:3=4";
        let positions: Positions = text.parse().expect("positions");
        assert_eq!(positions.to_string(), text);
        assert_eq!(positions.next("order.events", 0), 17);
        assert_eq!(positions.next("order.events", 2), 0);
        assert_eq!("order.events".parse::<Positions>(), Err(NotAPosition));
        assert_eq!("order.events:0=x".parse::<Positions>(), Err(NotAPosition));
    }

    #[test]
    fn ids_stand_in_the_order_of_offsets() {
        assert_eq!(
            (entry_id(0), entry_id(1), entry_id(7)),
            ("0-1".into(), "1-0".into(), "7-0".into())
        );
        assert_eq!((after(0), after(1), after(8)), ("0-0".into(), "0-1".into(), "7-1".into()));
    }
}
