//! Group members that only read committed records: for projectors, whose positions are in their
//! stores. They write nothing and commit no offsets.

use std::time::Duration;

use crate::{
    brokers::Brokers,
    group::GroupConsumer,
    log::{Input, LogError, Membership, Record, Topic, TopicPartition},
};

/// A member of a group without transactions. It commits no offsets, so [`Input::committed`] returns
/// `None` for every partition.
pub struct Reader(GroupConsumer);

impl Reader {
    /// Joins `group` as the static member `member` to read `inputs`.
    ///
    /// # Errors
    /// If the client can't be created.
    pub fn join(
        brokers: impl Into<Brokers>,
        group: &str,
        member: &str,
        inputs: &[Topic],
    ) -> Result<Self, LogError> {
        let extra = [("group.instance.id", member)];
        GroupConsumer::join(&brokers.into(), group, inputs, &extra, Box::new(|| {})).map(Self)
    }
}

impl Input for Reader {
    fn poll(
        &mut self,
        timeout: Duration,
        max: usize,
        out: &mut Vec<Record>,
    ) -> Result<(), LogError> {
        self.0.poll(timeout, max, out)
    }

    fn membership(&mut self) -> Option<Membership> {
        self.0.membership()
    }

    fn fetch_from(&mut self, positions: &[(TopicPartition, i64)]) -> Result<(), LogError> {
        self.0.fetch_from(positions)
    }

    fn watermarks(&mut self, partition: &TopicPartition) -> Result<(i64, i64), LogError> {
        self.0.watermarks(partition)
    }

    fn partitions(&mut self, topic: &str) -> Result<i32, LogError> {
        self.0.partitions(topic)
    }

    fn lag(&mut self) -> Option<Vec<(TopicPartition, i64)>> {
        self.0.lag()
    }

    fn positions(&mut self) -> Vec<(TopicPartition, i64)> {
        self.0.positions()
    }

    fn committed(&mut self, partitions: &[TopicPartition]) -> Result<Vec<Option<i64>>, LogError> {
        self.0.committed(partitions)
    }
}
