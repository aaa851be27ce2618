//! Reading: a member of a consumer group that sees committed records. It writes nothing.

use std::time::Duration;

use super::{
    error::LogError,
    record::{Record, TopicPartition},
};

/// A change of the partitions that this group member reads. A partition number stands for all input
/// topics together: the topics of one group have one partition count and the `range` assignor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Membership {
    /// The group assigned these partition numbers to this member. None of them is read before
    /// [`Input::fetch_from`].
    Assigned(Vec<i32>),
    /// The group revoked these partition numbers in order: the transaction in flight has ended, and
    /// another member may start with them now.
    Revoked(Vec<i32>),
    /// This member lost these partition numbers: another member may already process them, and
    /// nothing may be committed for them.
    Lost(Vec<i32>),
}

/// A group member that reads committed records. One thread polls it.
pub trait Input: Send {
    /// Serves the group and appends up to `max` records to `out`; waits up to `timeout` for the
    /// first one. Returns early and without records when the membership has changed. A result
    /// without records does not mean that the partitions are read to their ends.
    fn poll(
        &mut self,
        timeout: Duration,
        max: usize,
        out: &mut Vec<Record>,
    ) -> Result<(), LogError>;

    /// The next change of membership that [`Input::poll`] has met, oldest first. The caller drains
    /// it after every poll.
    fn membership(&mut self) -> Option<Membership>;

    /// Reads exactly these partitions from these offsets from now on. Records of other partitions,
    /// or from before this call, are not delivered any more. Only assigned partitions are allowed.
    fn fetch_from(&mut self, positions: &[(TopicPartition, i64)]) -> Result<(), LogError>;

    /// The first offset that the log holds of a partition, and its high watermark (read
    /// uncommitted).
    fn watermarks(&mut self, partition: &TopicPartition) -> Result<(i64, i64), LogError>;

    /// The number of partitions of a topic, those of other members too.
    fn partitions(&mut self, topic: &str) -> Result<i32, LogError>;

    /// For each partition that is read, the offset behind everything that was polled: behind the
    /// records, and behind what no reader receives, such as transaction markers and aborted
    /// records. A partition of which nothing was polled since [`Input::fetch_from`] may be missing.
    /// The answer is valid only if all polled records are processed.
    fn positions(&mut self) -> Vec<(TopicPartition, i64)> {
        Vec::new()
    }

    /// For each partition that is read, the number of offsets up to the last stable one that are
    /// still to be polled. It waits for no answer, so the numbers may be some seconds old. A
    /// partition is missing if it can't be read for now. `None` if nothing new is known.
    fn lag(&mut self) -> Option<Vec<(TopicPartition, i64)>> {
        None
    }

    /// The time since a broker last sent anything. The client's statistics say so, so it may be up
    /// to five seconds too long.
    fn silence(&self) -> Duration {
        Duration::ZERO
    }

    /// The group's committed offsets, requested as stable: the call fails with a retriable error
    /// while a pending transaction may still change them.
    fn committed(&mut self, partitions: &[TopicPartition]) -> Result<Vec<Option<i64>>, LogError>;
}
