//! Reads the live stream from any position. Never writes.
//!
//! Every entry carries the offset at which its stream was before it, so a reader notices when
//! entries that it has not seen were cut off.

use std::{collections::BTreeMap, time::Duration};

use redis::streams::StreamReadReply;
use tokio::time::Instant;

use super::{
    entry::{Entry, parse},
    positions::Positions,
    streams::{self, id_before, live_key, parse_key},
};
use crate::{
    StoreError,
    redis::{
        connection::{Redis, failed},
        notices::Notices,
        positions::positions_key,
    },
};

/// The most entries of one stream in one read. There are some twenty streams, and many readers may
/// come back at once.
const READ_MAX: usize = 32;
/// The polling interval if a notice is lost.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The result of a read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Entries {
    /// Events are missing before `entries`: the reader must load again what it shows.
    pub reset: bool,
    /// The events, about in the order of their times, and exactly in the order of their partitions.
    pub entries: Vec<Entry>,
    /// The position after them.
    pub positions: Positions,
}

/// Reads the live stream. Clones share the connection.
#[derive(Clone)]
pub struct Live {
    redis: Redis,
    notices: Notices,
}

impl Live {
    /// Reads through this connection. `notices` wake a read that waits.
    pub fn new(redis: Redis, notices: Notices) -> Self {
        Self { redis, notices }
    }

    /// The end of the stream, for readers of new events only.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn end(&self) -> Result<Positions, StoreError> {
        let mut pipe = redis::pipe();
        for stream in streams::ALL.values() {
            pipe.hgetall(positions_key(&stream.name));
        }
        let doing = "reading the end of the live stream";
        let found: Vec<BTreeMap<String, i64>> =
            pipe.query_async(&mut self.redis.connection()).await.map_err(failed(doing))?;
        let mut positions = Positions::default();
        for (field, next) in found.into_iter().flatten() {
            // A field with a second colon is the epoch of a position.
            let Some((topic, partition)) = field.split_once(':') else { continue };
            if let Ok(partition) = partition.parse() {
                positions.set(topic, partition, next);
            }
        }
        Ok(positions)
    }

    /// The events behind `positions`. Waits up to `block` for the first.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn read(
        &self,
        positions: &Positions,
        block: Duration,
    ) -> Result<Entries, StoreError> {
        let until = Instant::now() + block;
        loop {
            // Subscribed before the read, so that an entry in between is noticed.
            let mut appended = self.notices.live();
            let read = self.read_now(positions).await?;
            if read.reset || !read.entries.is_empty() || Instant::now() >= until {
                return Ok(read);
            }
            let look = until.min(Instant::now() + LOOK_EVERY);
            // The sender lives as long as `self`.
            let _ = tokio::time::timeout_at(look, appended.changed()).await;
        }
    }

    async fn read_now(&self, positions: &Positions) -> Result<Entries, StoreError> {
        let end = self.end().await?;
        if end.is_empty() {
            return Ok(Entries { positions: positions.clone(), ..Entries::default() });
        }
        let mut read = redis::cmd("XREAD");
        read.arg("COUNT").arg(READ_MAX).arg("STREAMS");
        for (topic, partition) in end.partitions() {
            read.arg(live_key(topic, partition));
        }
        for (topic, partition) in end.partitions() {
            read.arg(id_before(positions.next(topic, partition)));
        }
        let doing = "reading the live stream";
        let reply: Option<StreamReadReply> =
            read.query_async(&mut self.redis.connection()).await.map_err(failed(doing))?;
        // Entries that were cut off before they were read are a reset: the reader continues at the
        // end, after it has loaded again what it shows.
        let cut_off = Entries { reset: true, entries: Vec::new(), positions: end };
        Ok(collect(positions, reply.unwrap_or_default()).unwrap_or(cut_off))
    }
}

/// The entries of a reply behind `positions`. Returns `None` if entries before them were cut off.
fn collect(positions: &Positions, reply: StreamReadReply) -> Option<Entries> {
    let mut positions_after = positions.clone();
    let mut read = Vec::new();
    for stream in reply.keys {
        let Some((topic, partition)) = parse_key(&stream.key) else { continue };
        let (mut expected, mut latest) = (positions.next(topic, partition), i64::MIN);
        for id in &stream.ids {
            let Some((entry, before)) = parse(topic, partition, id) else { continue };
            if before > expected {
                return None;
            }
            expected = entry.offset + 1;
            latest = latest.max(entry.at);
            positions_after.pass(&entry);
            read.push((latest, entry));
        }
    }
    // Sorted by the latest time so far, not the entry's own: a broker's clock may go back, and the
    // order of a partition must stay.
    read.sort_by_key(|(latest, _)| *latest);
    let entries = read.into_iter().map(|(_, entry)| entry).collect();
    Some(Entries { reset: false, entries, positions: positions_after })
}
