//! Requests for watermarks and committed offsets. Each waits up to [`REQUEST_MAX`].

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer, ConsumerContext},
};

use super::{config::REQUEST_MAX, errors::retriable};
use crate::log::{LogError, TopicPartition};

/// The first offset that the log holds of a partition, and its high watermark; with a client that
/// reads committed records, the last stable offset instead.
pub(crate) fn watermarks<C: ConsumerContext>(
    client: &BaseConsumer<C>,
    partition: &TopicPartition,
) -> Result<(i64, i64), LogError> {
    client
        .fetch_watermarks(&partition.topic, partition.partition, REQUEST_MAX)
        .map_err(|e| retriable(format!("asking for the watermarks of {partition}"), e))
}

/// The committed offsets of `group`, requested as stable: the broker answers with a retriable error
/// while an open transaction may change them. The client must read committed records.
pub(crate) fn committed<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    group: &str,
    partitions: &[TopicPartition],
) -> Result<Vec<Option<i64>>, LogError> {
    let doing = || format!("asking for the committed offsets of group {group}");
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for partition in partitions {
        list.add_partition(&partition.topic, partition.partition);
    }
    let answer =
        consumer.committed_offsets(list, REQUEST_MAX).map_err(|e| retriable(doing(), e))?;
    let offset = |partition: &TopicPartition| {
        let element = answer.find_partition(&partition.topic, partition.partition)?;
        match (element.error(), element.offset()) {
            (Err(error), _) => Some(Err(retriable(doing(), error))),
            (Ok(()), Offset::Offset(offset)) => Some(Ok(offset)),
            (Ok(()), _) => None,
        }
    };
    partitions.iter().map(|partition| offset(partition).transpose()).collect()
}
