//! Moves positions past offsets that hold no record for a reader: transaction markers and aborted
//! records. On a quiet topic, a position that stayed before them could fall below the log's start.
//! No position moves past a record that was not applied. It stores such positions, and those of
//! partitions that had none.

use std::time::Duration;

use futures_util::future::join_all;
use redpanda::{log::TopicPartition, topics};
use schemas::{Codec, chain};
use tokio::time::timeout;

use super::{
    partition::{Claimed, Slot},
    turn::Projector,
};
use crate::{
    StoreError,
    projection::{Batch, Projection},
};

/// How long a shutdown waits for a store that does not answer.
const FINISH_MAX: Duration = Duration::from_secs(3);

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
        let stored = store(self.moved(), self.projection, &self.resources.codec);
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

    /// Stores the positions that are ahead of the store when the projector ends in order. The next
    /// start may be so late that retention has removed everything up to them.
    pub(super) fn store_at_end(&mut self) {
        let projection = self.projection.name();
        let stored = store(self.moved(), self.projection, &self.resources.codec);
        let in_time = async { timeout(FINISH_MAX, stored).await };
        let Ok(stored) = self.resources.runtime.block_on(in_time) else {
            tracing::warn!(projection, "the store did not answer: positions may be one marker old");
            return;
        };
        for (partition, _, stored) in stored {
            if let Err(error) = stored {
                let error = chain(&error);
                tracing::warn!(projection, %partition, error, "the position may be one marker old");
            }
        }
    }

    /// Moves the position `offset` to the beginning of a partition of which the log keeps
    /// `beginning..end`, if retention has removed nothing but a transaction marker between them.
    /// Returns whether it has. The engine has the same rule (`next_kept` in
    /// `engine/src/worker/start.rs`).
    pub(super) fn pass_removed_marker(
        &mut self,
        partition: &TopicPartition,
        offset: i64,
        (beginning, end): (i64, i64),
    ) -> bool {
        // What only processors write is written in transactions, so the last offset of such a
        // partition is a transaction marker.
        let is_marker =
            beginning == end && offset + 1 == beginning && only_processors_write(&partition.topic);
        match self.slots.get_mut(partition) {
            Some(Slot::Claimed(claimed)) if is_marker && claimed.next == offset => {
                claimed.next = beginning;
            }
            _ => return false,
        }
        tracing::warn!(
            projection = self.projection.name(), %partition, offset, beginning,
            "retention has removed a transaction marker; reading continues behind it"
        );
        self.needs_seek = true;
        self.store_moved_positions();
        true
    }

    /// The claimed partitions whose position is ahead of the store, or not in it.
    fn moved(&self) -> Vec<(TopicPartition, Claimed)> {
        let moved = self.slots.iter().filter_map(|(partition, slot)| {
            let claimed = slot.claimed()?;
            (claimed.claim.next != Some(claimed.next)).then(|| (partition.clone(), *claimed))
        });
        moved.collect()
    }
}

/// Stores positions as batches without records, concurrently.
async fn store(
    moved: Vec<(TopicPartition, Claimed)>,
    projection: &dyn Projection,
    codec: &Codec,
) -> Vec<(TopicPartition, Claimed, Result<i64, StoreError>)> {
    let stored = moved.into_iter().map(|(partition, claimed)| async move {
        let (claim, to) = (claimed.claim, claimed.next);
        let batch = Batch { partition: &partition, claim, begin: to, to, records: &[] };
        let stored = projection.apply(&batch, codec).await;
        (partition, claimed, stored)
    });
    join_all(stored).await
}

/// Whether only processors write a topic: those of commands, which users write, the gateway owns.
fn only_processors_write(topic: &str) -> bool {
    let all = topics::all();
    all.get(topic).is_some_and(|topic| all.changelog(&topic.owner).is_some())
}
