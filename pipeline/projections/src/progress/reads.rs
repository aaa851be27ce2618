//! Which projections have applied the records of a trace, and when: from the steps that are kept,
//! and for what they do not say, from the positions in the stores. Never writes.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use redpanda::log::TopicPartition;
use schemas::chain;

use super::{Step, Steps, is_shown};
use crate::{
    Projection, StoreError, catalog,
    deadline::{READ_MAX, within},
    postgres::{Reads, TraceEntry},
    settings::Stores,
};

/// How long after a record steps are searched for it. A projection that took longer has a time only
/// by chance.
const SEARCHED_MS: i64 = 30_000;
/// By how much the clock of a projector may be behind that of the record's writer.
const SKEW_MS: i64 = 2_000;
/// The most positions that are read for one trace.
const POSITIONS_MAX: usize = 100;

/// Since when a projection has applied a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// At the latest at this time, in milliseconds since 1970, by the clock of the projector.
    By(i64),
    /// It has, but it is not kept when.
    Unknown,
    /// It has not.
    NotYet,
}

/// A projection that reads the topic of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The projection's name.
    pub projection: &'static str,
    /// Since when it has applied the record, or has noted it as a dead letter.
    pub since: Since,
}

/// Reads which projections have applied records.
pub struct WhoApplied {
    /// Those that project more than a trace. Only their positions are read.
    projections: Vec<Box<dyn Projection>>,
    postgres: Reads,
}

/// A position: the index of a projection, and a partition.
type ProjectionPartition = (usize, TopicPartition);

impl WhoApplied {
    /// Reads from these stores.
    pub fn new(stores: &Stores, postgres: Reads) -> Self {
        let mut projections = catalog::all(stores);
        projections.retain(|projection| is_shown(projection.name()));
        Self { projections, postgres }
    }

    /// For each entry the projections that read its topic. One whose store does not answer is left
    /// out where no step says it.
    ///
    /// # Errors
    /// When PostgreSQL does not answer.
    pub async fn applied(&self, entries: &[TraceEntry]) -> Result<Vec<Vec<Applied>>, StoreError> {
        let times: BTreeSet<_> = entries.iter().map(|entry| entry.at_ms).collect();
        let steps = self.postgres.progress(&spans(times)).await?;
        let asked = entries.iter().flat_map(|entry| {
            let unknown = self.partitions(entry).filter(|at| by(&steps, self, at, entry).is_none());
            unknown.collect::<Vec<_>>()
        });
        let asked: BTreeSet<ProjectionPartition> = asked.collect();
        let positions = self.positions(asked.into_iter().take(POSITIONS_MAX)).await;
        let of = |entry: &TraceEntry| {
            let applied = self.partitions(entry).filter_map(|at| {
                let since = match by(&steps, self, &at, entry) {
                    Some(at_ms) => Since::By(at_ms),
                    None if *positions.get(&at)? > entry.offset => Since::Unknown,
                    None => Since::NotYet,
                };
                Some(Applied { projection: self.projections[at.0].name(), since })
            });
            applied.collect()
        };
        Ok(entries.iter().map(of).collect())
    }

    /// The positions that a record has to be compared with.
    fn partitions(&self, entry: &TraceEntry) -> impl Iterator<Item = ProjectionPartition> {
        let TraceEntry { topic, partition, .. } = entry;
        let reading = self.projections.iter().enumerate();
        let reading = reading.filter(|(_, it)| it.topics().contains(&topic.as_str()));
        let partition = TopicPartition { topic: topic.as_str().into(), partition: *partition };
        reading.map(move |(index, _)| (index, partition.clone()))
    }

    /// The next offsets in the stores; 0 where there is none. Those that can't be read are left
    /// out.
    async fn positions(
        &self,
        partitions: impl Iterator<Item = ProjectionPartition>,
    ) -> BTreeMap<ProjectionPartition, i64> {
        let read = partitions.map(async |at: ProjectionPartition| {
            let projection = &self.projections[at.0];
            let claim = projection.positions().current_claim(projection.name(), &at.1);
            match within(READ_MAX, "reading a position", claim).await {
                Ok(claim) => Some((at, claim.and_then(|claim| claim.next).unwrap_or(0))),
                Err(error) => {
                    let error = chain(&error);
                    tracing::warn!(error, "a trace is shown without a position");
                    None
                }
            }
        });
        join_all(read).await.into_iter().flatten().collect()
    }
}

/// The time of the first step that has a record.
fn by(
    steps: &Steps,
    all: &WhoApplied,
    at: &ProjectionPartition,
    entry: &TraceEntry,
) -> Option<i64> {
    let key = (all.projections[at.0].name().to_owned(), at.1.clone());
    first_behind(steps.get(&key)?, entry.offset)
}

/// The time of the first step that has the record at `offset`.
pub(super) fn first_behind(steps: &[Step], offset: i64) -> Option<i64> {
    steps.iter().filter(|step| step.next > offset).map(|step| step.at_ms).min()
}

/// The times in which steps are searched: around each of `times`, without overlap.
pub(super) fn spans(times: BTreeSet<i64>) -> Vec<(i64, i64)> {
    let mut spans: Vec<(i64, i64)> = Vec::new();
    for at_ms in times {
        let (begin, searched) = (at_ms - SKEW_MS, at_ms + SEARCHED_MS);
        match spans.last_mut() {
            Some((_, end)) if *end >= begin => *end = searched,
            _ => spans.push((begin, searched)),
        }
    }
    spans
}
