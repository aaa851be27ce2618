//! The one commit of offsets outside of a transaction. No service makes it, and no deployed build
//! contains it: only the benchmark of delivery at least once, and the mutant `offsets-early`.
//!
//! On Redpanda it may displace offsets that a transaction of the same group has staged
//! (redpanda#31483).

use std::sync::Arc;

use rdkafka::{
    TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer as _},
    error::KafkaError,
};

#[cfg(feature = "benchmarks")]
use super::{calls::CALL_MAX, errors::CallError};
use super::{calls::offset_list, committer::Committer};
use crate::{group::GroupContext, log::Transaction};
#[cfg(feature = "benchmarks")]
use crate::{log::TransactionError, raw};

impl Committer {
    /// Also commits offsets outside of transactions, with this client.
    pub(super) fn with_consumer(mut self, consumer: Arc<BaseConsumer<GroupContext>>) -> Self {
        self.consumer = Some(consumer);
        self
    }

    /// The mutant `offsets-early`: commits the offsets first, outside of the transaction.
    #[cfg(feature = "mutants")]
    pub(super) fn commit_early(&self, transaction: &Transaction) {
        if let Ok(offsets) = offset_list(transaction) {
            drop(self.commit_plainly(&offsets));
        }
    }

    /// Delivers at least once: commits the offsets after all records are acknowledged.
    #[cfg(feature = "benchmarks")]
    pub(super) fn deliver(&mut self, transaction: &Transaction) -> Result<(), TransactionError> {
        let offsets = self.write_last(transaction, None).and_then(|()| offset_list(transaction));
        let failed = |reason| Err(TransactionError::Unknown(reason));
        match offsets {
            Ok(_) if !raw::flush(&**self.poller.producer(), CALL_MAX) => {
                failed("records were not acknowledged in time".to_owned())
            }
            Ok(_) if self.poller.undelivered() > 0 => {
                failed("a record was not delivered".to_owned())
            }
            Ok(offsets) => self
                .commit_plainly(&offsets)
                .or_else(|error| failed(format!("committing offsets: {error}"))),
            Err(
                CallError::Abortable(reason)
                | CallError::Fenced(reason)
                | CallError::Unknown(reason),
            ) => failed(reason),
            Err(CallError::Retriable) => failed("a call did not succeed in time".to_owned()),
        }
    }

    /// Commits `offsets` of the consumer's group and waits for the answer.
    fn commit_plainly(&self, offsets: &TopicPartitionList) -> Result<(), KafkaError> {
        let consumer = self.consumer.as_ref().ok_or(KafkaError::Canceled)?;
        consumer.commit(offsets, CommitMode::Sync)
    }
}
