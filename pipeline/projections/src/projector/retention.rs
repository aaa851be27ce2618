//! Removes rows and documents whose retention has passed, in batches. Their age is measured against
//! the time of the latest record, never against the clock alone.
//!
//! What has versions is removed only when the whole projection has caught up. A removal concerns
//! the documents of all partitions, also of those that other members rebuild: if a document of long
//! ago were removed there before its next event is applied, that event would be a version gap.
//! Therefore each look notes the ends of all partitions, and the next one removes only if the
//! positions in the store have reached them. Then every event that was written before they were
//! noted is applied, and the processors have forgotten what ended long before that, so that no
//! later event follows it.

use std::time::Duration;

use futures_util::future::join_all;
use redpanda::log::{LogError, TopicPartition};
use schemas::chain;

use super::turn::{Projector, REMOVE_EVERY};
use crate::{
    clock,
    projection::{REMOVE_MAX, Retention},
};

/// How much longer than the processors the stores keep what has ended. A projection may be this far
/// behind the log: beyond that, the row of an event could already be removed.
const KEPT_LONGER: Duration = Duration::from_secs(30 * 24 * 3600);

/// The wait after nothing was found, which costs a store without an index of the times a look at
/// everything. Far shorter than any retention.
const LOOK_EVERY: Duration = Duration::from_secs(3600);

/// The ends of all partitions that a projection reads, also of those that other members have.
#[derive(Debug)]
pub(super) struct Ends {
    /// A time before they were requested.
    at_ms: i64,
    of: Vec<(TopicPartition, i64)>,
}

impl Projector<'_> {
    /// Removes one batch.
    pub(super) fn remove_old(&mut self) {
        let projection = self.projection.name();
        let kept_ms = (self.resources.retention + KEPT_LONGER).as_millis();
        let kept_ms = i64::try_from(kept_ms).unwrap_or(i64::MAX);
        // A record from a broker whose clock is ahead removes nothing early.
        let now_ms = self.latest_ms.min(clock::now_ms());
        let before_ms = self.complete_ms().map(|complete_ms| now_ms.min(complete_ms) - kept_ms);
        let retention = Retention { now_ms, before_ms };
        let removed = self.resources.runtime.block_on(self.projection.remove(retention));
        if !removed.as_ref().is_ok_and(|count| *count >= REMOVE_MAX) {
            match removed {
                // Nothing was looked for.
                Ok(0) if before_ms.is_none() && self.projection.removes_versions() => {}
                Ok(0) => self.remove.every = LOOK_EVERY,
                _ => self.remove.every = REMOVE_EVERY,
            }
            self.remove.restart();
            self.ends = self.read_ends();
        }
        match removed {
            Ok(0) => {}
            Ok(count) => {
                tracing::info!(projection, count, "the projection has removed expired entries")
            }
            Err(error) => {
                self.resources.metrics.failed(projection, error.kind());
                tracing::warn!(
                    projection,
                    error = chain(&error),
                    "expired entries could not be removed yet"
                );
            }
        }
    }

    /// The time up to which the store has everything of all partitions: when their ends were noted,
    /// if all positions have reached those. `None` if not, or if that is not known.
    fn complete_ms(&self) -> Option<i64> {
        let Ends { at_ms, of } = self.ends.as_ref()?;
        let (name, positions) = (self.projection.name(), self.projection.positions());
        let claims =
            join_all(of.iter().map(|(partition, _)| positions.current_claim(name, partition)));
        let claims = self.resources.runtime.block_on(claims);
        let next = claims.into_iter().map(|claim| claim.ok().flatten()?.next);
        let mut reached =
            next.zip(of).map(|(next, (_, end))| next.is_some_and(|next| next >= *end));
        reached.all(|reached| reached).then_some(*at_ms)
    }

    /// The ends of all partitions; `None` if nothing depends on them, or the log does not answer.
    fn read_ends(&mut self) -> Option<Ends> {
        if !self.projection.removes_versions() {
            return None;
        }
        let at_ms = clock::now_ms();
        match self.request_ends() {
            Ok(of) => Some(Ends { at_ms, of }),
            Err(error) => {
                let projection = self.projection.name();
                self.resources.metrics.failed(projection, "log");
                tracing::warn!(
                    projection,
                    error = chain(&error),
                    "the ends of the partitions could not be read, so nothing is removed yet"
                );
                None
            }
        }
    }

    fn request_ends(&mut self) -> Result<Vec<(TopicPartition, i64)>, LogError> {
        let mut ends = Vec::new();
        for topic in self.projection.topics() {
            for number in 0..self.input.partitions(topic)? {
                let partition = TopicPartition::new(*topic, number);
                let (_, end) = self.input.watermarks(&partition)?;
                ends.push((partition, end));
            }
        }
        Ok(ends)
    }
}
