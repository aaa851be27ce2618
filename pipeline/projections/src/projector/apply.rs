//! Applies the polled records: all partitions in one step where the store can, otherwise
//! concurrently; the records of a partition in order and in batches. It writes only through the
//! projection, and moves no position ahead of the data.

use std::{
    collections::BTreeMap,
    panic::AssertUnwindSafe,
    time::{Duration, Instant, SystemTime},
};

use futures_util::{
    FutureExt as _,
    future::{join, join_all},
};
use redpanda::{
    log::{Record, TopicPartition},
    spans,
};

use super::{
    dead_letters,
    partition::{Claimed, Retry, Size, Slot},
    resources::Resources,
    turn::Projector,
};
use crate::{
    StoreError,
    clock::now_ms,
    event::unreadable,
    progress::is_shown,
    projection::{Batch, Projection},
};

/// A batch ends with the record that takes it to this many bytes, because stores bound the size of
/// a request.
const BATCH_BYTES_MAX: usize = 8 << 20;

/// How long a turn asks for schemas and begins to write batches. The rest of its records is read
/// again. It ends long before the minute after which the thread counts as stuck, even if the last
/// request and the last batch take as long as they may.
pub(super) const APPLY_MAX: Duration = Duration::from_secs(5);

/// The records of one partition that are applied in this turn.
struct Work {
    partition: TopicPartition,
    claimed: Claimed,
    records: Vec<Record>,
    /// Why the record after `records` can't be read yet.
    unreadable: Option<StoreError>,
    /// No further batch begins after this time.
    until: Instant,
}

/// A partition after its records were applied.
struct Applied {
    partition: TopicPartition,
    /// The claim and the position after the last batch that was written.
    claimed: Claimed,
    records: Vec<Record>,
    /// The error of the first batch that was not written.
    error: Option<StoreError>,
    /// Whether records are left to the next turn, because this one takes too long.
    is_cut: bool,
}

impl Projector<'_> {
    /// Applies the records of a poll.
    pub(super) fn apply(&mut self, records: &[Record]) {
        let begun = spans::is_on().then(SystemTime::now);
        let mut by_partition: BTreeMap<TopicPartition, Vec<Record>> = BTreeMap::new();
        for record in records {
            let partition =
                TopicPartition { topic: record.topic.clone(), partition: record.partition };
            by_partition.entry(partition).or_default().push(record.clone());
        }
        let until = Instant::now() + self.apply_max;
        let work = by_partition.into_iter().filter_map(|of| self.plan(of, until)).collect();
        let (projection, resources) = (self.projection, self.resources);
        let (together, alone) = split(work);
        let applied = join(
            run_together(together, projection, resources),
            join_all(alone.into_iter().map(|work| work.run(projection, resources))),
        );
        let (together, alone) = self.resources.runtime.block_on(applied);
        match together {
            Ok(applied) => applied.into_iter().for_each(|applied| self.finish(applied, begun)),
            Err((partitions, error)) => self.failed_together(&partitions, &error),
        }
        alone.into_iter().for_each(|applied| self.finish(applied, begun));
    }

    /// Plans the work for one partition. Returns `None` if the partition is not claimed or has
    /// nothing to apply.
    fn plan(&self, of: (TopicPartition, Vec<Record>), until: Instant) -> Option<Work> {
        let (partition, mut records) = of;
        let (readable, learned) = self.learn_schemas(&records, until);
        // The first record that can't be read ends this turn; those before it are applied.
        records.truncate(readable);
        let claimed = *self.slots.get(&partition)?.claimed()?;
        // The input may still deliver records from before a seek.
        records.retain(|record| record.offset >= claimed.next);
        let unreadable = learned.err();
        (!records.is_empty() || unreadable.is_some()).then_some(Work {
            partition,
            claimed,
            records,
            unreadable,
            until,
        })
    }

    /// Takes the end of the work for a partition that began at `begun`, which is known if spans are
    /// exported.
    fn finish(&mut self, applied: Applied, begun: Option<SystemTime>) {
        let Applied { partition, claimed, records, error, is_cut } = applied;
        // The input has already delivered what is left.
        self.needs_seek |= is_cut;
        let count = records.partition_point(|record| record.offset < claimed.next);
        if let Some(last) = count.checked_sub(1).and_then(|last| records.get(last)) {
            self.latest_ms = self.latest_ms.max(last.timestamp_ms);
            self.lag.applied(&partition, last.timestamp_ms);
            self.resources.metrics.applied(
                self.projection.name(),
                &partition,
                count,
                claimed.next,
                last.timestamp_ms,
            );
            let progress = &self.resources.progress;
            progress.applied(self.projection.name(), &partition, claimed.next, now_ms());
            if let Some(begun) = begun.filter(|_| is_shown(self.projection.name())) {
                spans::applied(self.projection.name(), begun, &records[..count]);
            }
        }
        match error {
            // Claimed -> Claimed, at the new position. Earlier failures no longer count.
            None => {
                if let Some(Slot::Claimed(slot)) = self.slots.get_mut(&partition) {
                    *slot = Claimed { retry: Retry::default(), ..claimed };
                }
            }
            // Claimed -> Waiting. Batches before the failed one stay applied; the next claim
            // returns the position behind them.
            Some(error) => self.failed(&partition, error, claimed.retry),
        }
    }
}

impl Work {
    /// The batch of all records.
    fn batch(&self) -> Batch<'_> {
        batch(&self.partition, &self.claimed, &self.records)
    }

    /// The partition after the batch of all records was written.
    fn applied(self) -> Applied {
        let to = self.batch().to;
        let Self { partition, mut claimed, records, unreadable, .. } = self;
        claimed.pass(to);
        Applied { partition, claimed, records, error: unreadable, is_cut: false }
    }

    /// Writes the batches one after another, up to the first that fails or is cut, or until their
    /// time is over.
    async fn run(self, projection: &dyn Projection, resources: &Resources) -> Applied {
        let end = self.batch().to;
        let Self { partition, mut claimed, records, unreadable, until } = self;
        let (mut error, mut is_cut) = (None, false);
        for records in batches(&records, claimed.retry.size == Size::Record) {
            let batch = batch(&partition, &claimed, records);
            match write(projection, &batch, resources).await {
                Ok(to) => {
                    is_cut = to < batch.to || to < end && Instant::now() >= until;
                    claimed.pass(to);
                }
                Err(failed) => error = Some(failed),
            }
            if is_cut || error.is_some() {
                break;
            }
        }
        // After a cut, the record that can't be read is not yet due.
        let error = error.or(unreadable.filter(|_| !is_cut));
        Applied { partition, claimed, records, error, is_cut }
    }
}

/// A batch of records that begin at the position of the partition.
fn batch<'a>(partition: &'a TopicPartition, claimed: &Claimed, records: &'a [Record]) -> Batch<'a> {
    Batch {
        partition,
        claim: claimed.claim,
        begin: claimed.next,
        to: records.last().map_or(claimed.next, |record| record.offset + 1),
        records,
    }
}

/// Splits work into partitions whose records may be applied in one step, and others.
fn split(work: Vec<Work>) -> (Vec<Work>, Vec<Work>) {
    let bytes: usize = work.iter().flat_map(|work| &work.records).map(bytes_of).sum();
    let (together, mut alone): (Vec<_>, Vec<_>) = work.into_iter().partition(|work| {
        bytes < BATCH_BYTES_MAX && work.claimed.retry.size == Size::Poll && !work.records.is_empty()
    });
    match together.len() {
        2.. => (together, alone),
        _ => {
            alone.extend(together);
            (Vec::new(), alone)
        }
    }
}

/// Writes the batches of all partitions in one step, or each by itself if the projection has no
/// such step. Returns the partitions with the error if the step has failed.
async fn run_together(
    work: Vec<Work>,
    projection: &dyn Projection,
    resources: &Resources,
) -> Result<Vec<Applied>, (Vec<TopicPartition>, StoreError)> {
    match write_together(&work, projection, resources).await {
        None => Ok(join_all(work.into_iter().map(|work| work.run(projection, resources))).await),
        Some(Ok(())) => Ok(work.into_iter().map(Work::applied).collect()),
        Some(Err(error)) => Err((work.into_iter().map(|work| work.partition).collect(), error)),
    }
}

/// Writes the batches of all partitions in one step. Returns `None` if there is none, or no such
/// step.
async fn write_together(
    work: &[Work],
    projection: &dyn Projection,
    resources: &Resources,
) -> Option<Result<(), StoreError>> {
    let batches: Vec<_> = work.iter().map(Work::batch).collect();
    let first = batches.first()?.records.first()?;
    let step = projection.apply_together(&batches, &resources.codec)?;
    Some(between_fault_points(step, first).await)
}

/// Writes a batch, or a dead letter if its only record can't be projected by any version. Returns
/// the position behind what was written.
async fn write(
    projection: &dyn Projection,
    batch: &Batch<'_>,
    resources: &Resources,
) -> Result<i64, StoreError> {
    let step = projection.apply(batch, &resources.codec);
    // No batch is empty.
    let written = between_fault_points(step, &batch.records[0]).await;
    match (written, batch.records) {
        // Only with a batch of one record it is known which record causes the error.
        (Err(error), [_]) if dead_letters::is_one(&error) => {
            dead_letters::write(projection, batch, &error, &resources.metrics).await?;
            Ok(batch.to)
        }
        (written, _) => written,
    }
}

/// Runs a step that writes to the store. A panic counts as an error of the record `first`, and
/// stops only the step's partitions. Nothing that the future has left in memory is used again.
async fn between_fault_points<T>(
    step: impl Future<Output = Result<T, StoreError>>,
    first: &Record,
) -> Result<T, StoreError> {
    // The mutant `position-apart` has this fault point elsewhere: between the position and the
    // rows.
    if !redpanda::mutant::is_active("position-apart") {
        redpanda::fault::point("before-store");
    }
    let written = AssertUnwindSafe(step).catch_unwind().await;
    redpanda::fault::point("after-store");
    written.unwrap_or_else(|_| {
        Err(unreadable(first, "the projection panicked; the panic is in the output of the service"))
    })
}

/// Cuts records into batches.
fn batches(records: &[Record], one_by_one: bool) -> impl Iterator<Item = &[Record]> {
    let bytes_max = if one_by_one { 0 } else { BATCH_BYTES_MAX };
    let mut rest = records;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let full = rest.iter().position(|record| {
            bytes += bytes_of(record);
            bytes >= bytes_max
        });
        let (batch, after) = rest.split_at(full.map_or(rest.len(), |last| last + 1));
        rest = after;
        (!batch.is_empty()).then_some(batch)
    })
}

fn bytes_of(record: &Record) -> usize {
    record.value.as_ref().map_or(0, |value| value.len())
}
