//! Topics, partitions, committed offsets and records. It holds data and calls nothing.

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

/// An offset that a group commits for a partition: that of the next record to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommittedOffset {
    /// The offset.
    pub next: i64,
    /// How many transactions the task has sent, including the one that commits the offset. `None`
    /// if the commit's metadata does not say.
    pub transactions: Option<i64>,
}

impl CommittedOffset {
    /// The offset `next` with the metadata of its commit.
    pub(crate) fn parse(next: i64, metadata: &[u8]) -> Self {
        let count = metadata.strip_prefix(b"t").and_then(|count| str::from_utf8(count).ok());
        let transactions = count.and_then(|count| count.parse().ok());
        Self { next, transactions }
    }

    /// The metadata that is committed with the offset.
    pub(crate) fn metadata(self) -> Option<String> {
        self.transactions.map(|count| format!("t{count}"))
    }
}

impl From<i64> for CommittedOffset {
    fn from(next: i64) -> Self {
        Self { next, transactions: None }
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

#[cfg(test)]
mod tests {
    use super::CommittedOffset;

    #[test]
    fn offset_metadata_parses_as_its_count_and_any_other_as_none() {
        let counted = CommittedOffset { next: 7, transactions: Some(42) };
        let metadata = counted.metadata().expect("metadata");
        assert_eq!(CommittedOffset::parse(7, metadata.as_bytes()), counted);
        assert_eq!(CommittedOffset::from(7).metadata(), None);
        for metadata in [&b""[..], b"t", b"42", b"tx", b"t\xff", b"by hand"] {
            assert_eq!(CommittedOffset::parse(7, metadata), 7.into(), "{metadata:?}");
        }
    }
}
