//! What operators see: dead letters, parked records, and who has re-driven parked keys. It is read
//! from the topics of dead letters and of operations; nothing here re-drives a key.
//!
//! - `changes`: what the records of a batch change
//! - `sql`: writes rows
//! - `reads`, `keys`: what the gateway reads
//!
//! Each service has a projection of its own topics, as for outcomes, so that none waits for
//! another. The rows have no version: only the transaction that moves the position past a record
//! writes what it says.

mod changes;
mod keys;
mod reads;
mod sql;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::LazyLock};

use deadpool_postgres::Transaction;
use redpanda::topics;
use schemas::{Codec, Message as _, Schema, engine};

pub use keys::{KeyCursor, ParkedKey, ParkedRecord, ParkedSelection};
pub use reads::{Action, DeadContent, DeadLetter, RecordCursor};

use super::{
    error::failed,
    model::{Model, Removal},
};
use crate::{
    StoreError,
    event::records,
    projection::{Batch, Retention},
    redis::{Redis, publish_operations},
};
use changes::Changes;

const DAY_MS: i64 = 24 * 3_600_000;
/// How long a dead letter is kept: as long as its topic keeps it.
const DEAD_LETTERS_KEPT_MS: i64 = 28 * DAY_MS;
/// The range of offsets of a topic's partition whose dead letters are kept: at most so many rows.
const DEAD_LETTERS_KEPT_MAX: i64 = 10_000;
/// The range of offsets of a topic's partition whose dead letters are kept with their content.
const CONTENTS_KEPT_MAX: i64 = 1_000;
/// How long the read model keeps who has re-driven a key. The topic keeps it forever.
const ACTIONS_KEPT_MS: i64 = 365 * DAY_MS;

/// The topics that a service owns and operators watch.
pub(crate) struct OperationsSource {
    /// The service.
    processor: String,
    /// The projection's name.
    name: String,
    topics: Vec<&'static str>,
    erasure: Vec<String>,
}

/// The tables.
const TABLES: [&str; 3] = ["operations_dead_letters", "operations_parked", "operations_actions"];

/// The sources, by their owner.
static SOURCES: LazyLock<BTreeMap<&str, OperationsSource>> = LazyLock::new(|| {
    let mut sources: BTreeMap<&str, OperationsSource> = BTreeMap::new();
    for topic in topics::all().iter().filter(|topic| is_watched(topic)) {
        let new = || OperationsSource::new(&topic.owner);
        let source = sources.entry(&topic.owner).or_insert_with(new);
        source.topics.push(&topic.name);
    }
    sources
});

fn is_watched(topic: &topics::Topic) -> bool {
    topic.is_dead() || topic.name.ends_with(".operations")
}

impl OperationsSource {
    /// What a service owns that operators watch; `None` if it owns nothing of this.
    pub(crate) fn of(service: &str) -> Option<&'static Self> {
        SOURCES.get(service)
    }

    fn new(owner: &str) -> Self {
        let erasure = |table| format!("DELETE FROM {table} WHERE processor = '{owner}'");
        Self {
            processor: owner.to_owned(),
            name: format!("{owner}-operations"),
            topics: Vec::new(),
            erasure: TABLES.map(erasure).into(),
        }
    }
}

/// The projection of one service's dead letters and operations.
pub(crate) struct Operations {
    source: &'static OperationsSource,
    redis: Redis,
}

impl Operations {
    /// The projection of what a service owns that notifies over `redis`.
    pub(crate) fn new(source: &'static OperationsSource, redis: &Redis) -> Self {
        Self { source, redis: redis.clone() }
    }
}

const REMOVE_DEAD_LETTERS: &str = "DELETE FROM operations_dead_letters WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM operations_dead_letters WHERE at < $1 ORDER BY at LIMIT $2))";
const REMOVE_ACTIONS: &str = "DELETE FROM operations_actions WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM operations_actions WHERE at < $1 ORDER BY at LIMIT $2))";

impl Model for Operations {
    const WRITING: &'static str = "writing what operators see";
    type Changes<'a> = Changes;
    type Written = ();

    fn name(&self) -> &'static str {
        &self.source.name
    }

    fn topics(&self) -> &'static [&'static str] {
        &self.source.topics
    }

    fn schemas() -> &'static [&'static Schema] {
        engine::Event::schemas()
    }

    fn erasure(&self) -> Vec<&'static str> {
        self.source.erasure.iter().map(String::as_str).collect()
    }

    fn decode(batches: &[Batch<'_>], codec: &Codec) -> Result<Changes, StoreError> {
        let mut changes = Changes::default();
        for record in records(batches) {
            changes.add(record, codec)?;
        }
        Ok(changes)
    }

    async fn write(
        &self,
        transaction: &Transaction<'_>,
        changes: &Self::Changes<'_>,
    ) -> Result<(), StoreError> {
        let failed = failed(Self::WRITING);
        let processor = &self.source.processor;
        sql::dead_letters(transaction, processor, &changes.dead).await.map_err(&failed)?;
        sql::keys(transaction, processor, &changes.keys).await.map_err(&failed)?;
        sql::actions(transaction, processor, &changes.actions).await.map_err(&failed)
    }

    fn committed(&self, _changes: &Self::Changes<'_>, (): ()) {
        publish_operations(&self.redis);
    }

    /// Old rows of all services. Parked records stay until they are released: the engine bounds
    /// their number.
    fn removals(retention: Retention) -> Vec<Removal> {
        let before_ms = |kept_ms| retention.now_ms - kept_ms;
        vec![
            Removal { sql: REMOVE_DEAD_LETTERS, before_ms: before_ms(DEAD_LETTERS_KEPT_MS) },
            Removal { sql: REMOVE_ACTIONS, before_ms: before_ms(ACTIONS_KEPT_MS) },
        ]
    }
}
