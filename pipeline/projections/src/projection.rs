//! What the projector's loop needs of a projection and of the store that it writes to.
//!
//! It declares the traits and their plain data, and never calls a store itself. A projection is
//! usually not written against [`Projection`] but against the `Model` trait of its store, for
//! example in [`crate::mongo`].

use std::time::Duration;

use futures_util::future::BoxFuture;
use redpanda::log::{Record, TopicPartition};
use schemas::{Codec, Schema};

use crate::StoreError;

/// A claim of a partition. Its epoch is higher than that of every claim before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Only the owner of the highest epoch may move the position.
    pub epoch: i64,
    /// The position in the store: the next offset to read. `None` means that there is none, so the
    /// projection has to be rebuilt.
    pub next: Option<i64>,
}

/// Records of one partition that are applied together.
#[derive(Debug)]
pub struct Batch<'a> {
    /// The partition.
    pub partition: &'a TopicPartition,
    /// The claim under which the batch is written. The position in the store must still equal it.
    pub claim: Claim,
    /// The offset at which reading began: the position, or where a projection without one starts.
    pub begin: i64,
    /// The position after the batch.
    pub to: i64,
    /// The records, in their order.
    pub records: &'a [Record],
}

/// The most rows or documents that [`Projection::remove`] removes at once, so that records do not
/// wait for long.
pub const REMOVE_MAX: usize = 1_000;

/// What may be removed.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// The time of the latest record that was applied, from which the retention of what has no
    /// versions counts.
    pub now_ms: i64,
    /// What has versions and ended before this time is removed: the processors have forgotten it,
    /// and every event that was written before they did is applied. `None` while that is not known,
    /// because an event for something that was removed would be a gap.
    pub before_ms: Option<i64>,
}

/// The part of a store that keeps positions and dead letters of projections, beside their data.
pub trait PositionStore: Send + Sync {
    /// Claims a partition for the caller: from now on no earlier owner can move its position.
    fn claim<'a>(
        &'a self,
        projection: &'a str,
        partition: &'a TopicPartition,
    ) -> BoxFuture<'a, Result<Claim, StoreError>>;

    /// Reads the newest claim of a partition; `None` if the store has none.
    fn current_claim<'a>(
        &'a self,
        projection: &'a str,
        partition: &'a TopicPartition,
    ) -> BoxFuture<'a, Result<Option<Claim>, StoreError>>;

    /// Writes the only record of `batch` as a dead letter and moves the position past it, under the
    /// same condition as [`Projection::apply`].
    fn write_dead_letter<'a>(
        &'a self,
        projection: &'a str,
        batch: &'a Batch<'a>,
        why: &'a str,
    ) -> BoxFuture<'a, Result<(), StoreError>>;
}

/// A read model in a store, with its position beside it.
pub trait Projection: Send + Sync {
    /// The projection's name; its group is `<service>.projector.<name>`.
    fn name(&self) -> &'static str;

    /// The topics that it reads. All have one partition count.
    fn topics(&self) -> &'static [&'static str];

    /// The schemas of the records that it reads.
    fn schemas(&self) -> Vec<&'static Schema>;

    /// The store of its positions.
    fn positions(&self) -> &dyn PositionStore;

    /// The most records of one poll, few enough to be applied within the group's poll interval.
    fn records_max(&self) -> usize {
        2_000
    }

    /// The least time from one poll with records to the next. Where each poll costs the store much
    /// more than each record, a longer time makes fewer of them.
    fn pace(&self) -> Duration {
        Duration::ZERO
    }

    /// Whether it reads values. If it does not, a record whose schema is unknown is applied like
    /// any other.
    fn reads_values(&self) -> bool {
        true
    }

    /// The offset at which it starts without a position, in a partition that keeps
    /// `beginning..end`.
    fn start(&self, beginning: i64, _end: i64) -> i64 {
        beginning
    }

    /// Migrates the store to what this program expects. The projector calls it first. Idempotent;
    /// several instances may call it at once.
    fn prepare(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async { Ok(()) })
    }

    /// Called under a claim of a partition that has records and no position, before the first one
    /// is read. Until the position reaches `end`, where the partition ends now, the store has a
    /// state of long ago. Readers must be able to notice that where another store has the present
    /// one.
    fn begin_rebuild<'a>(
        &'a self,
        _partition: &'a TopicPartition,
        _claim: Claim,
        _end: i64,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async { Ok(()) })
    }

    /// Applies a batch, moves the position behind it and returns that. A projection whose records
    /// may take long returns an earlier position when its turn takes too long: the records behind
    /// it are read again. After an error it has changed nothing that a second application of the
    /// same records would not repair: they are read again under a new claim.
    fn apply<'a>(
        &'a self,
        batch: &'a Batch<'a>,
        codec: &'a Codec,
    ) -> BoxFuture<'a, Result<i64, StoreError>>;

    /// Applies whole batches of different partitions in one step. After an error the caller claims
    /// all of their partitions again and applies each by itself. Returns `None` if the store does
    /// not gain from it.
    fn apply_together<'a>(
        &'a self,
        _batches: &'a [Batch<'a>],
        _codec: &'a Codec,
    ) -> Option<BoxFuture<'a, Result<(), StoreError>>> {
        None
    }

    /// Whether [`Projection::remove`] removes something whose events must follow each other.
    fn removes_versions(&self) -> bool {
        false
    }

    /// Removes up to [`REMOVE_MAX`] rows or documents whose retention has passed, and returns their
    /// number. Several owners may call it at once.
    fn remove(&self, _retention: Retention) -> BoxFuture<'_, Result<usize, StoreError>> {
        Box::pin(async { Ok(0) })
    }

    /// Deletes data and positions. Running projectors notice it and rebuild everything from the
    /// log.
    fn erase(&self) -> BoxFuture<'_, Result<(), StoreError>>;
}
