//! Claims partitions: the hand-over from one owner to the next.
//!
//! The group alone can't prevent two owners: a paused member learns only after the pause that its
//! partitions were reassigned. Therefore the store decides. A claim raises the epoch of the
//! position, and every write of a batch requires the epoch and the position that its owner last
//! saw. Between the claim of a new owner and the last write of the former one there are two orders:
//!
//! - **The write comes first.** It moves the position. The claim returns the position after it, so
//!   the new owner reads on from there.
//! - **The claim comes first.** The epoch is higher than that of the write, so the store refuses
//!   the write ([`crate::StoreError::Lost`]) and nothing of it is visible.
//!
//! In both orders each record is applied once.
//!
//! A partition without a position gets one before its first record is read: where the projection
//! starts. If it were stored only with the first batch, an owner that had read nothing would leave
//! none behind, and a projection that starts at the log's end would miss the records that were
//! written between its first and its next claim.
//!
//! A claim never waits for the former owner itself. In PostgreSQL, which locks the position, it
//! waits for that owner's open transaction, whose length the server bounds.

use std::time::Instant;

use futures_util::future::join_all;
use redpanda::log::{LogError, TopicPartition};

use super::{
    partition::{Claimed, Retry, Slot},
    turn::Projector,
};
use crate::{clock::now_ms, projection::Claim};

impl Projector<'_> {
    /// Claims all partitions that are due, concurrently.
    pub(super) fn claim_due(&mut self) -> Result<(), LogError> {
        let now = Instant::now();
        let due: Vec<(TopicPartition, Retry)> = self
            .slots
            .iter()
            .filter_map(|(partition, slot)| match slot {
                Slot::Waiting { until, retry } if *until <= now => {
                    Some((partition.clone(), *retry))
                }
                _ => None,
            })
            .collect();
        if due.is_empty() {
            return Ok(());
        }
        let (name, positions) = (self.projection.name(), self.projection.positions());
        let claims = join_all(due.iter().map(|(partition, _)| positions.claim(name, partition)));
        let claims = self.resources.runtime.block_on(claims);
        for ((partition, retry), claim) in due.into_iter().zip(claims) {
            match claim {
                Ok(claim) => self.begin(partition, claim, retry)?,
                // Waiting -> Waiting. Whether the store has raised the epoch is unknown and does
                // not matter: the next claim raises it again.
                Err(error) => self.failed(&partition, error, retry),
            }
        }
        // Claimed -> Waiting where it fails.
        self.store_moved_positions();
        Ok(())
    }

    /// Begins to read a partition under a new claim.
    fn begin(
        &mut self,
        partition: TopicPartition,
        claim: Claim,
        retry: Retry,
    ) -> Result<(), LogError> {
        let next = match claim.next {
            Some(next) => next,
            None => match self.rebuild_from(&partition) {
                Ok((start, end)) => {
                    if start < end {
                        let begun = self.projection.begin_rebuild(&partition, claim, end);
                        // Waiting -> Waiting. The next claim finds no position either.
                        if let Err(error) = self.resources.runtime.block_on(begun) {
                            self.failed(&partition, error, retry);
                            return Ok(());
                        }
                    }
                    self.lag.rebuilt(&partition, now_ms());
                    start
                }
                // Waiting -> Waiting. The claim stays unused.
                Err(error) => {
                    self.wait_after_failure(&partition, retry.after_failure());
                    return self.tolerate(Err(error));
                }
            },
        };
        self.resources.metrics.position(self.projection.name(), &partition, next);
        // Waiting -> Claimed. `retry` is kept until a batch is applied: a partition that was
        // claimed again because of one record still looks for that record.
        self.slots.insert(partition, Slot::Claimed(Claimed { claim, next, retry }));
        // The input may still read this partition from a position before the claim.
        self.needs_seek = true;
        Ok(())
    }
}
