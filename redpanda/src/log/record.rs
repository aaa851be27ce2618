//! Topics, partitions and records. It holds data and calls nothing.

use std::{fmt, sync::Arc};

use bytes::Bytes;

use super::headers::Headers;

/// The name of a topic. Clones share it.
pub type Topic = Arc<str>;

/// One partition of one topic.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    /// The topic.
    pub topic: Topic,
    /// The partition's number, from 0.
    pub partition: i32,
}

impl TopicPartition {
    /// The partition `partition` of `topic`.
    pub fn new(topic: impl Into<Topic>, partition: i32) -> Self {
        Self { topic: topic.into(), partition }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", self.topic, self.partition)
    }
}

/// A record as it was read.
#[derive(Clone, Debug)]
pub struct Record {
    /// The topic that it was read from.
    pub topic: Topic,
    /// The partition's number.
    pub partition: i32,
    /// Its offset in the partition.
    pub offset: i64,
    /// Its time in milliseconds since the epoch (LogAppendTime on every topic of Millrace).
    pub timestamp_ms: i64,
    /// The key, if it has one.
    pub key: Option<Bytes>,
    /// The value; `None` is a tombstone.
    pub value: Option<Bytes>,
    /// The headers.
    pub headers: Headers,
}

/// A record to be written. Its author chooses the partition, never the client library.
#[derive(Clone, Debug)]
pub struct ProducerRecord {
    /// The topic to write to.
    pub topic: Topic,
    /// The partition's number: [`crate::partition_of`] of the key, or the task's for a changelog.
    pub partition: i32,
    /// The key.
    pub key: Option<Bytes>,
    /// The value; `None` is a tombstone.
    pub value: Option<Bytes>,
    /// The headers.
    pub headers: Headers,
}
