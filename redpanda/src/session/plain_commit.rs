//! The one commit of offsets outside of a transaction. No service makes it: only the benchmark of
//! delivery at least once, and the mutant `offsets-early`.
//!
//! On Redpanda it may displace offsets that a transaction of the same group has staged
//! (redpanda#31483).

use rdkafka::{
    TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer as _},
    error::KafkaError,
};

use crate::group::GroupContext;

/// Commits `offsets` of the consumer's group and waits for the answer.
pub(super) fn commit(
    consumer: &BaseConsumer<GroupContext>,
    offsets: &TopicPartitionList,
) -> Result<(), KafkaError> {
    consumer.commit(offsets, CommitMode::Sync)
}
