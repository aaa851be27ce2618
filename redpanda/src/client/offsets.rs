//! Requests for partition counts, watermarks and committed offsets. Each waits up to
//! [`REQUEST_MAX`].

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer, ConsumerContext},
    error::{KafkaError, RDKafkaErrorCode},
};

use super::{config::REQUEST_MAX, errors::request};
use crate::{
    log::{CommittedOffset, LogError, TopicPartition},
    raw::offset_metadata,
};

/// The first offset that the log holds of a partition, and its high watermark; with a client that
/// reads committed records, the last stable offset instead.
pub(crate) fn watermarks<C: ConsumerContext>(
    client: &BaseConsumer<C>,
    partition: &TopicPartition,
) -> Result<(i64, i64), LogError> {
    let doing = || format!("asking for the watermarks of {partition}");
    client
        .fetch_watermarks(&partition.topic, partition.partition, REQUEST_MAX)
        .map_err(|e| request(doing(), refused_topic(client, partition, e)))
}

/// The number of partitions of a topic.
pub(crate) fn partitions<C: ConsumerContext>(
    client: &BaseConsumer<C>,
    topic: &str,
) -> Result<i32, LogError> {
    let failed = |e| request(format!("asking for the partitions of {topic}"), e);
    let metadata = client.fetch_metadata(Some(topic), REQUEST_MAX).map_err(failed)?;
    let unknown = || failed(KafkaError::MetadataFetch(RDKafkaErrorCode::UnknownTopic));
    let found = metadata.topics().first().ok_or_else(unknown)?;
    match found.error() {
        Some(why) => Err(failed(KafkaError::MetadataFetch(why.into()))),
        None => Ok(found.partitions().len() as i32),
    }
}

/// The client calls a partition unknown that it has no right to see; only the metadata of the topic
/// says why.
fn refused_topic<C: ConsumerContext>(
    client: &BaseConsumer<C>,
    partition: &TopicPartition,
    error: KafkaError,
) -> KafkaError {
    use RDKafkaErrorCode::{UnknownPartition, UnknownTopic};
    if !matches!(error.rdkafka_error_code(), Some(UnknownPartition | UnknownTopic)) {
        return error;
    }
    let metadata = client.fetch_metadata(Some(&partition.topic), REQUEST_MAX);
    let topic = metadata.ok().and_then(|found| found.topics().first()?.error());
    topic.map_or(error, |why| KafkaError::MetadataFetch(why.into()))
}

/// The committed offsets of `group`, requested as stable: the broker answers with a retriable error
/// while an open transaction may change them. The client must read committed records.
pub(crate) fn committed<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    group: &str,
    partitions: &[TopicPartition],
) -> Result<Vec<Option<CommittedOffset>>, LogError> {
    let doing = || format!("asking for the committed offsets of group {group}");
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for partition in partitions {
        list.add_partition(&partition.topic, partition.partition);
    }
    let answer = consumer.committed_offsets(list, REQUEST_MAX).map_err(|e| request(doing(), e))?;
    let offset = |partition: &TopicPartition| {
        let element = answer.find_partition(&partition.topic, partition.partition)?;
        match (element.error(), element.offset()) {
            (Err(error), _) => Some(Err(request(doing(), error))),
            (Ok(()), Offset::Offset(offset)) => {
                Some(Ok(CommittedOffset::parse(offset, offset_metadata(&answer, partition))))
            }
            (Ok(()), _) => None,
        }
    };
    partitions.iter().map(|partition| offset(partition).transpose()).collect()
}
