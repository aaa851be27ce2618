//! Writing: transactions that hold records and consumed offsets together. It declares the calls and
//! implements none.
//!
//! ```text
//!              write            submit
//!   idle ----------------> open -------> in flight --- committed ---> idle
//!     \                      \               |
//!      \---- submit ----------\-- abandon ---+-------- failed ------> completed() says how
//! ```

use std::time::Duration;

use super::{
    error::{LogError, TransactionError},
    input::Input,
    producer_records::ProducerRecords,
    record::{Record, TopicPartition},
    restore::Restore,
};

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

/// The content of one transaction. All of it becomes visible, or none.
#[derive(Clone, Debug, Default)]
pub struct Transaction {
    /// The records, in the order in which they are written.
    pub records: ProducerRecords,
    /// For each input partition the offset to commit. Never empty, because sending offsets is what
    /// fences a zombie (KIP-447).
    pub offsets: Vec<(TopicPartition, CommittedOffset)>,
}

/// An [`Input`] that also writes, in transactions that hold its offsets.
pub trait Session: Input {
    /// Starts to write the first records of the transaction that is submitted next, and returns at
    /// once. No transaction may be in flight. If the write fails, the transaction ends with that
    /// failure.
    fn write(&mut self, records: ProducerRecords) -> Result<(), LogError>;

    /// Starts to write and commit `transaction`, together with the records that were written for it
    /// before, and returns at once; input can be read meanwhile. A transaction sends these offsets
    /// and no others, because Redpanda refuses a second AddOffsetsToTxn once offsets are staged.
    /// One transaction may be in flight. A revocation waits for it inside [`Input::poll`].
    fn submit(&mut self, transaction: Transaction) -> Result<(), LogError>;

    /// Starts to abort what was written and not submitted, and returns at once: the transaction is
    /// in flight then, and ends as aborted.
    fn abandon(&mut self) -> Result<(), LogError>;

    /// Waits up to `wait` for the transaction in flight. Returns `None` while it is in flight (or
    /// if there is none), then its result once. A transaction that is not submitted yet can only
    /// end by failing.
    fn completed(&mut self, wait: Duration) -> Option<Result<(), TransactionError>>;

    /// Begins to read what a task of these `inputs` starts from, apart from the group, and returns
    /// at once. The ends of `watched` partitions are read too.
    fn restore(
        &mut self,
        changelog: &TopicPartition,
        inputs: &[TopicPartition],
        watched: &[TopicPartition],
    ) -> Result<Box<dyn Restore>, LogError>;
}

/// Opens sessions: the first one, and a new one each time that the previous one is discarded. Reads
/// single records apart from them.
pub trait Connect: Send + Sync {
    /// Opens a session: a new member of the group with a new epoch of its transactional id, which
    /// fences any earlier holder of the id.
    fn open(&self) -> Result<Box<dyn Session>, LogError>;

    /// The committed record at `offset` of a partition; `None` if the log does not hold one there.
    /// It waits for the record up to `at_most`, and some seconds for other answers of the log.
    fn record_at(
        &self,
        partition: &TopicPartition,
        offset: i64,
        at_most: Duration,
    ) -> Result<Option<Record>, LogError>;
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
