//! What the projector asks of a projection: to claim a partition, and to apply what comes from it.

use futures_util::future::BoxFuture;
use redpanda::log::{Record, TopicPartition};
use schemas::{Codec, CodecError, Message, headers};

use crate::StoreError;

/// What a claim gives. Every claim has a higher epoch than all before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Whoever holds the highest epoch of a position may move it.
    pub epoch: i64,
    /// The next offset to read; `None` where there is no position, so that everything is to be
    /// built anew.
    pub next: Option<i64>,
}

/// Records of one partition that are applied together.
#[derive(Debug)]
pub struct Batch<'a> {
    /// The partition.
    pub place: &'a TopicPartition,
    /// The epoch of the claim.
    pub epoch: i64,
    /// The position in the store before.
    pub from: Option<i64>,
    /// Where reading began: `from`, or where a projection without a position starts.
    pub begin: i64,
    /// The position afterwards.
    pub to: i64,
    /// The records, in their order.
    pub records: &'a [Record],
}

/// So many rows or documents are removed at once, so that projecting does not wait for long.
pub const REMOVE_MAX: usize = 1_000;

/// What is kept, and what may be removed.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// The time of the latest record that was applied.
    pub now_ms: i64,
    /// For how long what has ended is kept. Longer than processors remember it: no event may come
    /// to what is gone, as that would be a gap.
    pub kept_ms: i64,
}

impl Retention {
    /// What ended before this is removed.
    pub fn before_ms(self) -> i64 {
        self.now_ms - self.kept_ms
    }
}

/// A read model in a store, with its position beside it.
pub trait Projection: Send + Sync {
    /// Its name; the group's is `projector.<name>`.
    fn name(&self) -> &'static str;

    /// The topics that it is made from. All have one partition count.
    fn topics(&self) -> &'static [&'static str];

    /// So many records are polled at once, so that they are applied within the group's poll
    /// interval.
    fn records_max(&self) -> usize {
        2_000
    }

    /// Where it starts without a position, in a partition that keeps `beginning..end`.
    fn start(&self, beginning: i64, _end: i64) -> i64 {
        beginning
    }

    /// Brings the store to this program's version, before anything else is asked of it. Idempotent;
    /// several instances may do it at once.
    fn prepare(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async { Ok(()) })
    }

    /// Makes the partition this owner's: whoever claimed it before can't move its position any
    /// more.
    fn claim<'a>(&'a self, place: &'a TopicPartition) -> BoxFuture<'a, Result<Claim, StoreError>>;

    /// The newest claim of a partition as the store has it; `None` where there is none any more.
    fn held<'a>(
        &'a self,
        place: &'a TopicPartition,
    ) -> BoxFuture<'a, Result<Option<Claim>, StoreError>>;

    /// Applies a batch and moves the position, or fails without harm: the same records will come
    /// again after a new claim.
    fn apply<'a>(
        &'a self,
        batch: &'a Batch<'a>,
        codec: &'a Codec,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Notes that the only record of `batch` is a dead letter and moves the position past it, in
    /// the way in which [`Projection::apply`] moves it.
    fn bury<'a>(
        &'a self,
        batch: &'a Batch<'a>,
        why: &'a str,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Removes up to [`REMOVE_MAX`] of what ended too long ago, and returns how many those were.
    /// Several owners may do it at once.
    fn remove(&self, _retention: Retention) -> BoxFuture<'_, Result<usize, StoreError>> {
        Box::pin(async { Ok(0) })
    }

    /// Throws data and positions away. Projectors that are at work notice it, and build everything
    /// anew from the log.
    fn erase(&self) -> BoxFuture<'_, Result<(), StoreError>>;
}

/// An event with what stands around it.
#[derive(Debug)]
pub(crate) struct Event<'a, M> {
    /// The aggregate's id.
    pub(crate) key: &'a str,
    /// The aggregate's version after it.
    pub(crate) version: i64,
    /// When it was written.
    pub(crate) at: i64,
    /// What it says.
    pub(crate) message: M,
}

/// Reads the events of a batch.
pub(crate) fn events<'a, M: Message>(
    batch: &Batch<'a>,
    codec: &Codec,
) -> Result<Vec<Event<'a, M>>, StoreError> {
    batch.records.iter().map(|record| event(record, codec)).collect()
}

/// Reads an event.
pub(crate) fn event<'a, M: Message>(
    record: &'a Record,
    codec: &Codec,
) -> Result<Event<'a, M>, StoreError> {
    let version = record.headers.text(headers::VERSION).and_then(|version| version.parse().ok());
    Ok(Event {
        key: key(record)?,
        version: version.ok_or_else(|| {
            unfit(record, format!("no number in its header {}", headers::VERSION))
        })?,
        at: record.timestamp_ms,
        message: message(record, codec)?
            .ok_or_else(|| unfit(record, "it has no value".to_owned()))?,
    })
}

/// A record's key.
pub(crate) fn key(record: &Record) -> Result<&str, StoreError> {
    let key = record.key.as_deref().and_then(|key| std::str::from_utf8(key).ok());
    key.ok_or_else(|| unfit(record, "no text as its key".to_owned()))
}

/// A record's value; `None` for a tombstone.
pub(crate) fn message<M: Message>(record: &Record, codec: &Codec) -> Result<Option<M>, StoreError> {
    let Some(value) = &record.value else { return Ok(None) };
    M::decode(codec, value).map(Some).map_err(|error| undecodable(record, &error))
}

/// The error of a record whose value can't be read. A newer writer's record is to be read by a
/// newer reader; one that is malformed, or of a kind that this program knows to belong elsewhere,
/// is unfit.
pub(crate) fn undecodable(record: &Record, error: &CodecError) -> StoreError {
    let foreign = match error {
        // The registry has been asked: it has no such schema.
        CodecError::UnknownId(_) | CodecError::Malformed { .. } => true,
        CodecError::Unexpected { found, .. } => schemas::named(found).is_some(),
        _ => false,
    };
    match foreign {
        true => unfit(record, error.to_string()),
        false => wrong(record, error.to_string()),
    }
}

/// The error of a record that a newer version may understand.
pub(crate) fn wrong(record: &Record, why: String) -> StoreError {
    StoreError::Record { place: place_of(record), why }
}

/// The error of a record that no version can project.
pub(crate) fn unfit(record: &Record, why: String) -> StoreError {
    StoreError::Unfit { place: place_of(record), why }
}

fn place_of(record: &Record) -> String {
    format!("{}[{}]@{}", record.topic, record.partition, record.offset)
}

/// Whether an event of version `came` is to be applied to what holds version `held`; not if that
/// has it already.
pub(crate) fn follows(what: &str, key: &str, held: i64, came: i64) -> Result<bool, StoreError> {
    if came <= held {
        return Ok(false);
    }
    if came == held + 1 {
        return Ok(true);
    }
    Err(StoreError::Gap { what: format!("{what} {key}"), held, came })
}

/// A record's name without its namespace.
pub(crate) fn short(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_next_version_follows() {
        assert_eq!(follows("order", "a", 3, 4).ok(), Some(true));
        assert_eq!(follows("order", "a", 3, 3).ok(), Some(false));
        assert_eq!(follows("order", "a", 3, 1).ok(), Some(false));
        let gap = follows("order", "a", 3, 5).expect_err("a gap");
        assert!(matches!(gap, StoreError::Gap { held: 3, came: 5, .. }), "{gap}");
    }
}
