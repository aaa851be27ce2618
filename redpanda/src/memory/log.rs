//! The log, and what a test writes to it and reads from it outside of any session.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::{partition::PartitionLog, state::State};
use crate::{
    log::{Headers, ProducerRecord, Record, TopicPartition, wire_bytes},
    partition_of,
};

/// A log in memory. Clones are the same log.
#[derive(Clone, Debug, Default)]
pub struct MemoryLog(Arc<Mutex<State>>);

impl MemoryLog {
    /// A log with these topics and partition counts.
    pub fn new<'a>(topics: impl IntoIterator<Item = (&'a str, i32)>) -> Self {
        let log = Self::default();
        let mut state = log.state();
        for (topic, count) in topics {
            let partitions = (0..count).map(|_| PartitionLog::default()).collect();
            state.topics.insert(topic.into(), partitions);
        }
        drop(state);
        log
    }

    /// Appends a record outside of any transaction to the partition of its key; returns partition
    /// and offset.
    ///
    /// # Panics
    /// If there is no such topic, or the record is over its limit.
    pub fn append(
        &self,
        topic: &str,
        key: &str,
        value: Option<Bytes>,
        headers: Headers,
    ) -> (i32, i64) {
        let count = self.state().topics[topic].len() as i32;
        let partition = partition_of(key.as_bytes(), count);
        let key = Some(Bytes::copy_from_slice(key.as_bytes()));
        let record = ProducerRecord { topic: topic.into(), partition, key, value, headers };
        (partition, self.append_raw(record))
    }

    /// Appends a record outside of any transaction to the partition that it names; returns its
    /// offset.
    ///
    /// # Panics
    /// If there is no such topic, or the record is over its limit.
    pub fn append_raw(&self, record: ProducerRecord) -> i64 {
        let mut state = self.state();
        let size = wire_bytes(record.key.as_deref(), record.value.as_deref(), &record.headers);
        if let Err(error) = state.check_size(&record.topic, size) {
            drop(state);
            panic!("{error}");
        }
        state.append(None, record)
    }

    /// Everything that a read-committed reader sees of a topic, partition by partition.
    pub fn read_committed(&self, topic: &str) -> Vec<Record> {
        let state = self.state();
        let mut records = Vec::new();
        for log in state.topics.get(topic).into_iter().flatten() {
            log.read(&state.statuses, 0, usize::MAX, &mut records);
        }
        records
    }

    /// The committed offset of a group; `None` if it has committed none.
    pub fn committed(&self, group: &str, partition: &TopicPartition) -> Option<i64> {
        Some(self.state().groups.get(group)?.offsets.get(partition)?.next)
    }

    /// The first offset that the log holds of a partition, and its end.
    pub fn span(&self, partition: &TopicPartition) -> (i64, i64) {
        self.state().span(partition)
    }

    /// The number of open transactions.
    pub fn open_transactions(&self) -> usize {
        self.state().open.len()
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
