//! Rebuilds: where a projection without a position starts, and how a running projector notices that
//! its position was erased. It deletes nothing: only an operator, or a loss of data in the store,
//! removes a position.

use std::time::Duration;

use futures_util::future::join_all;
use redpanda::log::{LogError, TopicPartition};

use super::{partition::Retry, turn::Projector};
use crate::StoreError;

impl Projector<'_> {
    /// Returns the offset from which a partition without a position is read, and where the
    /// partition ends now.
    pub(super) fn rebuild_from(
        &mut self,
        partition: &TopicPartition,
    ) -> Result<(i64, i64), LogError> {
        let (beginning, end) = self.input.watermarks(partition)?;
        let name = self.projection.name();
        tracing::info!(projection = name, %partition, "no position: rebuilding from the log");
        Ok((self.projection.start(beginning, end), end))
    }

    /// Compares every claim with the store, and stops the partitions whose claim was replaced or
    /// erased.
    pub(super) fn compare_claims(&mut self) {
        let (name, positions) = (self.projection.name(), self.projection.positions());
        let current =
            join_all(self.slots.iter().filter_map(|(partition, slot)| {
                let own = slot.claimed()?.claim;
                Some(async move {
                    (partition.clone(), own, positions.current_claim(name, partition).await)
                })
            }));
        for (partition, own, current) in self.resources.runtime.block_on(current) {
            match current {
                // The next write reports it.
                Err(_) => {}
                Ok(Some(current)) if current == own => {}
                // Claimed -> Waiting. Another owner has a newer claim.
                Ok(Some(current)) if current.epoch > own.epoch => {
                    let position = format!("{name} {partition}");
                    self.failed(&partition, StoreError::Lost { position }, Retry::default());
                }
                // Claimed -> Waiting. The position is not the one that this member knows: it was
                // erased, and a new claim finds none and rebuilds, or it has moved in a step that
                // failed.
                Ok(_) => {
                    tracing::info!(projection = name, %partition, "the position was changed");
                    self.wait(&partition, Duration::ZERO, Retry::default());
                }
            }
        }
    }
}
