//! Moves positions past offsets that hold no record for a reader: transaction markers and aborted
//! records. On a quiet topic, a position that stayed before them could fall below the log's start.
//! No position moves past a record that was not applied. It stores such positions, and those of
//! partitions that had none.

use futures_util::future::join_all;

use super::{
    partition::{Claimed, Slot},
    turn::Projector,
};
use crate::projection::Batch;

impl Projector<'_> {
    /// Moves positions past such offsets, and stores those that no batch of records has stored.
    pub(super) fn follow_positions(&mut self) {
        // The input still has positions from before a claim.
        if self.needs_seek {
            return;
        }
        for (partition, position) in self.input.positions() {
            if let Some(Slot::Claimed(claimed)) = self.slots.get_mut(&partition) {
                claimed.next = position.max(claimed.next);
            }
        }
        if self.store_positions.is_due() {
            self.store_positions.restart();
            self.store_moved_positions();
        }
    }

    /// Stores the positions that are ahead of the store, or not in it, as batches without records.
    pub(super) fn store_moved_positions(&mut self) {
        let (projection, codec) = (self.projection, &*self.resources.codec);
        let moved: Vec<_> = self
            .slots
            .iter()
            .filter_map(|(partition, slot)| {
                let claimed = slot.claimed()?;
                (claimed.claim.next != Some(claimed.next)).then(|| (partition.clone(), *claimed))
            })
            .collect();
        let stored = join_all(moved.into_iter().map(|(partition, claimed)| async move {
            let (claim, to) = (claimed.claim, claimed.next);
            let batch = Batch { partition: &partition, claim, begin: to, to, records: &[] };
            let stored = projection.apply(&batch, codec).await;
            (partition, claimed, stored)
        }));
        for (partition, Claimed { next, retry, .. }, stored) in
            self.resources.runtime.block_on(stored)
        {
            match (stored, self.slots.get_mut(&partition)) {
                (Ok(_), Some(Slot::Claimed(claimed))) => claimed.claim.next = Some(next),
                (Ok(_), _) => {}
                // Claimed -> Waiting.
                (Err(error), _) => self.failed(&partition, error, retry),
            }
        }
    }
}
