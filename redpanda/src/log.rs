//! The log as the rest of Millrace sees it: records, partitions, group membership and whole
//! transactions.
//!
//! Nothing here names a Kafka client. [`crate::session`] implements these traits on librdkafka and
//! [`crate::memory`] implements them in memory, with the same transactional rules; the engine and
//! the projectors know only what stands in this file.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;

use crate::batch::Batch;

/// The name of a topic, shared by all that mention it.
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

/// A record's headers, in order. A name may stand more than once; the last one counts.
///
/// Names are bytes: Kafka's protocol says that they are UTF-8, and no broker checks it.
///
/// They are one run of bytes (lengths of name and value, name, value), because a record has a dozen
/// short ones.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers {
    count: usize,
    bytes: Vec<u8>,
}

impl Headers {
    /// None yet, with room for `bytes` bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        Self { count: 0, bytes: Vec::with_capacity(bytes) }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Names and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        headers_in(&self.bytes)
    }

    /// The run of bytes.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Forgets all headers.
    pub fn clear(&mut self) {
        self.count = 0;
        self.bytes.clear();
    }

    /// The bytes of the last header called `name`.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.iter().filter(|(found, _)| *found == name.as_bytes()).last().map(|(_, value)| value)
    }

    /// The last header called `name` as text; `None` also where it is not UTF-8.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// Adds a header behind those that are there. The broker's limit on a record is far below the 4
    /// GiB of a length.
    pub fn push(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        let (name, value) = (name.as_ref(), value.as_ref());
        self.count += 1;
        self.bytes.extend_from_slice(&(name.len() as u32).to_le_bytes());
        self.bytes.extend_from_slice(&(value.len() as u32).to_le_bytes());
        self.bytes.extend_from_slice(name);
        self.bytes.extend_from_slice(value);
    }
}

/// Names and values in a run of bytes.
pub(crate) fn headers_in(mut rest: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    std::iter::from_fn(move || {
        let (name, behind) = rest.split_first_chunk()?;
        let (value, behind) = behind.split_first_chunk()?;
        let (name, behind) = behind.split_at_checked(u32::from_le_bytes(*name) as usize)?;
        let (value, behind) = behind.split_at_checked(u32::from_le_bytes(*value) as usize)?;
        rest = behind;
        Some((name, value))
    })
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(
                self.iter().map(|(n, v)| (String::from_utf8_lossy(n), String::from_utf8_lossy(v))),
            )
            .finish()
    }
}

/// A record as it was read.
#[derive(Clone, Debug)]
pub struct Record {
    /// Where it was read.
    pub topic: Topic,
    /// The partition's number.
    pub partition: i32,
    /// Its place in the partition.
    pub offset: i64,
    /// The record's time in milliseconds since the epoch (LogAppendTime on every topic of
    /// Millrace).
    pub timestamp_ms: i64,
    /// The key, if it has one.
    pub key: Option<Bytes>,
    /// The value; `None` is a tombstone.
    pub value: Option<Bytes>,
    /// The headers.
    pub headers: Headers,
}

/// A record to be written. The writer chooses the partition, never the client library.
#[derive(Clone, Debug)]
pub struct Outgoing {
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

/// Everything that one transaction holds: it becomes visible as a whole or not at all.
#[derive(Clone, Debug, Default)]
pub struct Transaction {
    /// The records, in the order in which they are written.
    pub records: Batch,
    /// For each input partition the offset of the next record to read. Never empty: sending offsets
    /// is what fences a zombie (KIP-447).
    pub offsets: Vec<(TopicPartition, i64)>,
}

/// A change of what this group member may read. Partition numbers stand for all input topics
/// together: the topics of one group have one partition count and the `range` assignor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Membership {
    /// These partition numbers are now this member's. Nothing of them is read before
    /// [`Input::fetch_from`].
    Assigned(Vec<i32>),
    /// These are let go in order: a commit in flight has ended, and someone else may start with
    /// them now.
    Revoked(Vec<i32>),
    /// These were taken away: someone else may already work on them, and nothing may be committed
    /// for them.
    Lost(Vec<i32>),
}

/// Why the log could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The same call may work later.
    #[error("{doing}: {cause} (will be tried again)")]
    Retriable {
        /// What was tried, and on what.
        doing: String,
        /// What the client said.
        cause: String,
    },
    /// The session can't be used any more: throw it away with all positions and state, and rebuild
    /// from the log.
    #[error("{doing}: {cause} (the session must be rebuilt)")]
    Fatal {
        /// What was tried, and on what.
        doing: String,
        /// What the client said.
        cause: String,
    },
    /// This process can open no session any more, whatever happens: it has to be restarted.
    #[error("{doing}: {cause} (the process must be restarted)")]
    Exhausted {
        /// What was tried, and on what.
        doing: String,
        /// Why it cannot work again.
        cause: String,
    },
    /// A position is outside of what the log keeps. Never answered by skipping.
    #[error("offset {offset} of {partition} is out of range: the log keeps {beginning}..{end}")]
    OutOfRange {
        /// The partition asked for.
        partition: TopicPartition,
        /// The offset asked for.
        offset: i64,
        /// The first offset kept.
        beginning: i64,
        /// The high watermark.
        end: i64,
    },
}

/// How a transaction failed.
#[derive(Debug, thiserror::Error)]
pub enum TransactionError {
    /// It was aborted, and the abort is known to have ended. Rewind, drop the overlay, and go on.
    #[error("transaction aborted: {0}")]
    Aborted(String),
    /// Another producer with the same transactional id has taken over. Rebuild; one that is fenced
    /// again and again must end.
    #[error("fenced by another producer with the same transactional id: {0}")]
    Fenced(String),
    /// Unclassified, fatal, or the answer was not seen: it may or may not have been committed.
    /// Throw producer, position and state away and rebuild from the log.
    #[error("transaction in an unknown state: {0}")]
    Unknown(String),
}

/// A group member that reads what is committed. It is polled by one thread.
pub trait Input: Send {
    /// Serves the group and appends up to `max` records to `out`, waiting up to `timeout` for the
    /// first. Returns early, with nothing, when the membership has changed. An empty answer does
    /// not mean that there is no more to read.
    fn poll(
        &mut self,
        timeout: Duration,
        max: usize,
        out: &mut Vec<Record>,
    ) -> Result<(), LogError>;

    /// The next change of membership that [`Input::poll`] has met, oldest first. To be drained
    /// after every poll.
    fn membership(&mut self) -> Option<Membership>;

    /// From now on reads exactly these partitions from these offsets; records of other partitions
    /// or from before this call are not delivered any more. Only assigned partitions may stand
    /// here.
    fn fetch_from(&mut self, positions: &[(TopicPartition, i64)]) -> Result<(), LogError>;

    /// The first offset kept and the high watermark (read uncommitted) of a partition.
    fn watermarks(&mut self, partition: &TopicPartition) -> Result<(i64, i64), LogError>;

    /// For each partition that is read, the offset behind everything that was polled: behind the
    /// records, and behind what nobody is given, such as the marks of transactions and aborted
    /// records. A partition of which nothing was polled since [`Input::fetch_from`] may be missing.
    /// To be asked only when all that was polled is worked on.
    fn positions(&mut self) -> Vec<(TopicPartition, i64)> {
        Vec::new()
    }

    /// How many records of each partition that is read are still to be polled: those that were
    /// fetched, and the offsets from there to the last stable one. It asks nobody, so it may be
    /// some seconds old; empty where nothing new is known.
    fn lag(&mut self) -> Vec<(TopicPartition, i64)> {
        Vec::new()
    }

    /// The time since a broker was last heard from. It is taken from the client's statistics, so it
    /// may be five seconds too long; a log in memory is always heard.
    fn silence(&self) -> Duration {
        Duration::ZERO
    }

    /// The group's committed offsets, asked as stable: waits for transactions that are still to be
    /// decided.
    fn committed(&mut self, partitions: &[TopicPartition]) -> Result<Vec<Option<i64>>, LogError>;
}

/// An [`Input`] that also writes, in transactions that hold its offsets.
pub trait Session: Input {
    /// Starts to write the first records of the transaction that is submitted next, and returns at
    /// once. No transaction may be in flight. If the write fails, the transaction has ended with
    /// that failure.
    fn write(&mut self, records: Batch) -> Result<(), LogError>;

    /// Starts to write and commit `transaction`, together with the records that were written for it
    /// before, and returns at once; input can be read meanwhile. Its offsets are the only ones that
    /// are sent, because Redpanda refuses a second AddOffsetsToTxn once offsets are staged. One
    /// transaction may be in flight. A revocation waits for it inside [`Input::poll`].
    fn submit(&mut self, transaction: Transaction) -> Result<(), LogError>;

    /// Starts to abort what was written and not submitted, and returns at once: it is in flight
    /// then, and ends as aborted.
    fn abandon(&mut self) -> Result<(), LogError>;

    /// Waits up to `wait` for the transaction in flight: `None` while it is under way (or there is
    /// none), then once how it ended. One that is not submitted yet can only end by failing.
    fn completed(&mut self, wait: Duration) -> Option<Result<(), TransactionError>>;

    /// Begins to read what a task of these `inputs` starts from, apart from the group, and returns
    /// at once.
    fn restore(
        &mut self,
        changelog: &TopicPartition,
        inputs: &[TopicPartition],
    ) -> Result<Box<dyn Restore>, LogError>;
}

/// What a task starts from, beside its changelog.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Start {
    /// For each input the group's committed offset, asked as stable before the changelog's end was
    /// taken.
    pub committed: Vec<Option<i64>>,
    /// For each input the first offset kept and the high watermark, asked when the changelog was
    /// read.
    pub kept: Vec<(i64, i64)>,
}

/// Reads what one task starts from, in this order: the committed offsets of its inputs, the
/// changelog's high watermark, the changelog (read committed) up to there and on to the end that
/// its leader states once it has been read as far, and what is kept of the inputs.
pub trait Restore: Send {
    /// Appends records of the changelog to `out`, no more once there are `max`, and waits no longer
    /// than `timeout`, whatever does not answer. `Some` when everything is read and nothing more
    /// will come. After a retriable error it goes on where it was.
    fn poll(
        &mut self,
        timeout: Duration,
        max: usize,
        out: &mut Vec<Record>,
    ) -> Result<Option<Start>, LogError>;

    /// How far it is in the changelog: the position and the end, both offsets; zeros before the end
    /// is known.
    fn progress(&self) -> (i64, i64);
}

/// Opens sessions: the first one, and a new one whenever the old must be thrown away.
pub trait Connect: Send + Sync {
    /// A new member of the group with a new epoch of its transactional id; a former holder of the
    /// id is fenced.
    fn open(&self) -> Result<Box<dyn Session>, LogError>;
}
