//! Whether a member can use what the group assigns to it. The callback only records an assignment:
//! what the brokers must be asked for is asked here, after the poll.

use std::time::Instant;

use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use schemas::chain;

use super::{GroupConsumer, context::Change};
use crate::{
    client::{fatal, is_unknown_topic, partitions},
    log::{LogError, Membership, Topic},
};

impl GroupConsumer {
    /// The next change of membership, oldest first. If an assignment lacks partitions of some
    /// inputs, this waits for the metadata of the inputs.
    pub(crate) fn membership(&mut self) -> Option<Membership> {
        let Change { membership, is_incomplete } = self.consumer.context().changes().pop_front()?;
        // Every change ends all fetches.
        self.positions.clear();
        self.stall.forget();
        let change = match membership {
            Membership::Assigned(tasks) => self.assigned(tasks, is_incomplete),
            other => other,
        };
        self.unassigned = match change {
            Membership::Assigned(_) => None,
            // A member that had none has waited since before this change.
            Membership::Revoked(_) | Membership::Lost(_) => {
                self.unassigned.or_else(|| Some(Instant::now()))
            }
        };
        Some(change)
    }

    /// The change that an assignment means. One that can't be used gives no tasks: the owner must
    /// not count as ready, and the poll fails if no other one follows in time.
    fn assigned(&mut self, tasks: Vec<i32>, is_incomplete: bool) -> Membership {
        self.unusable = None;
        if !is_incomplete {
            return Membership::Assigned(tasks);
        }
        match unequal(&**self.consumer, self.consumer.context().inputs()) {
            Ok(None) => {
                tracing::warn!(?tasks, "another member of the group reads fewer topics");
                return Membership::Assigned(tasks);
            }
            Ok(Some(reason)) => {
                tracing::warn!(reason, "an assignment can't be used");
                self.unusable = Some(reason);
            }
            Err(error) => {
                let error = chain(&error);
                tracing::warn!(error, "the inputs of an assignment can't be compared");
            }
        }
        Membership::Lost(Vec::new())
    }

    /// The error of a member that has waited too long for an assignment. A new client may get one;
    /// but if the topics are at fault, only an operator can help, so the process must end. The
    /// first answer may have come from a broker whose metadata is old, so another client must get
    /// the same one. It may ask the same broker: then the process ends, and its supervisor restarts
    /// it.
    pub(super) fn not_assigned(&mut self) -> LogError {
        let doing = format!("joining group {}", self.group);
        if self.unusable.take().is_some() {
            let asked = self
                .watermark_client()
                .and_then(|client| unequal(&client, self.consumer.context().inputs()));
            match asked {
                Ok(Some(reason)) => return LogError::Exhausted { doing, cause: reason.into() },
                Ok(None) => tracing::warn!("another client finds that the inputs are equal"),
                Err(error) => {
                    let error = chain(&error);
                    tracing::warn!(error, "the inputs of an assignment can't be compared again");
                }
            }
        }
        fatal(doing, format!("no assignment within {:?}", self.assigned_max))
    }
}

/// Why an assignment can't be used that lacks partitions of some inputs. `None` if the topics have
/// one partition count: then another member reads fewer of them, as while a version with a new
/// input replaces the previous one, and the tasks that are complete can work. The first request
/// that fails is the last one.
fn unequal<C: ConsumerContext>(
    client: &BaseConsumer<C>,
    inputs: &[Topic],
) -> Result<Option<String>, LogError> {
    let mut first: Option<(&Topic, i32)> = None;
    for topic in inputs {
        let count = match partitions(client, topic) {
            Ok(count) => count,
            Err(error) if is_unknown_topic(&error) => {
                return Ok(Some(format!("an input has no partitions: {}", chain(&error))));
            }
            Err(error) => return Err(error),
        };
        let (first, expected) = *first.get_or_insert((topic, count));
        if count != expected {
            return Ok(Some(format!(
                "topic {first} has {expected} partitions and {topic} has {count}, expected one \
                 partition count for all inputs; `provision --dry-run` compares the topics with \
                 redpanda/topics.yaml"
            )));
        }
    }
    Ok(None)
}
