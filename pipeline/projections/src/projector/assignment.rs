//! Applies the group's assignments: which partitions this member has. It claims nothing and calls
//! no store.

use redpanda::log::{Membership, TopicPartition};

use super::{partition::Slot, turn::Projector};
use crate::clock::now_ms;

impl Projector<'_> {
    /// Applies the changes of the group since the last poll. Returns whether there were any.
    pub(super) fn follow_group(&mut self) -> bool {
        let mut changed = false;
        while let Some(membership) = self.input.membership() {
            changed = true;
            // The group's client has dropped all positions of this member.
            self.needs_seek = true;
            let (assigned, numbers) = match membership {
                Membership::Assigned(numbers) => (true, numbers),
                // Revoked and lost are the same here: there is nothing to commit before a partition
                // is released, because its position is stored together with the data.
                Membership::Revoked(numbers) | Membership::Lost(numbers) => (false, numbers),
            };
            tracing::debug!(projection = self.projection.name(), assigned, ?numbers, "partitions");
            for topic in self.projection.topics() {
                for number in &numbers {
                    let partition = TopicPartition::new(*topic, *number);
                    match assigned {
                        // -> Waiting. The former owner may still be writing; the claim fences it.
                        true => {
                            self.lag.assigned(&partition, now_ms());
                            self.slots.insert(partition, Slot::due());
                        }
                        false => self.release(&partition),
                    }
                }
            }
        }
        changed
    }

    fn release(&mut self, partition: &TopicPartition) {
        self.slots.remove(partition);
        self.lag.released(partition);
        self.resources.metrics.released(self.projection.name(), partition);
    }
}
