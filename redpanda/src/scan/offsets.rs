//! Offsets of partitions and groups, requested from outside of the group. It changes none.

use std::time::Duration;

use rdkafka::{
    TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
};

use crate::{
    brokers::Brokers,
    client::{REQUEST_MAX, Standalone, config_for, fatal, retriable},
    log::{LogError, TopicPartition},
};

/// The deadline of a request of [`spans`], which asks for all topics.
const SPANS_MAX: Duration = Duration::from_secs(10);

/// The committed offsets of a group, requested without joining it.
pub struct Group(BaseConsumer);

impl Group {
    /// A client that reads the offsets of `group`.
    ///
    /// # Errors
    /// If the client can't be created.
    pub fn open(brokers: impl Into<Brokers>, group: &str) -> Result<Self, LogError> {
        // A client that reads committed offsets waits for the transaction that is open, and one
        // nearly always is.
        let consumer =
            config_for(&brokers.into(), group).set("isolation.level", "read_uncommitted").create();
        consumer.map(Self).map_err(|e| fatal(format!("looking at group {group}"), e))
    }

    /// For each partition of `topic` the offset of the next record that the group will read; 0 if
    /// it has committed none.
    ///
    /// # Errors
    /// If the log does not answer.
    pub fn committed(&self, topic: &str, partitions: i32) -> Result<Vec<i64>, LogError> {
        let doing = || format!("asking what was committed of {topic}");
        let mut list = TopicPartitionList::new();
        for partition in 0..partitions {
            list.add_partition(topic, partition);
        }
        let found =
            self.0.committed_offsets(list, REQUEST_MAX).map_err(|e| retriable(doing(), e))?;
        Ok(found
            .elements()
            .iter()
            .map(|element| element.offset().to_raw().unwrap_or(0).max(0))
            .collect())
    }
}

/// For each partition of `topic` the first offset that the log holds and the last stable offset;
/// `None` if there is no such topic.
///
/// # Errors
/// If the log does not answer.
pub fn spans(
    brokers: impl Into<Brokers>,
    topic: &str,
) -> Result<Option<Vec<(i64, i64)>>, LogError> {
    let doing = || format!("asking for the ends of {topic}");
    let consumer: BaseConsumer<Standalone> = config_for(&brokers.into(), "millrace.scan")
        .set("isolation.level", "read_committed")
        .create_with_context(Standalone)
        .map_err(|e| fatal(doing(), e))?;
    // A request for a single topic would make some brokers create it.
    let metadata = consumer.fetch_metadata(None, SPANS_MAX).map_err(|e| retriable(doing(), e))?;
    let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else {
        return Ok(None);
    };
    let mut partitions: Vec<_> =
        found.partitions().iter().map(|partition| partition.id()).collect();
    partitions.sort_unstable();
    let span = |partition| consumer.fetch_watermarks(topic, partition, SPANS_MAX);
    let spans = partitions.into_iter().map(span).collect::<Result<_, _>>();
    spans.map(Some).map_err(|e| retriable(doing(), e))
}

/// The last stable offset and the high watermark of each partition: they differ while a transaction
/// is open.
///
/// # Errors
/// If the log does not answer.
pub fn ends(
    brokers: impl Into<Brokers>,
    partitions: &[TopicPartition],
) -> Result<Vec<(i64, i64)>, LogError> {
    let doing = || "asking for the ends of partitions".to_owned();
    let brokers = brokers.into();
    let client = |level: &str| -> Result<BaseConsumer, LogError> {
        let mut config = config_for(&brokers, "millrace.scan");
        config.set("isolation.level", level).create().map_err(|e| fatal(doing(), e))
    };
    let (committed, uncommitted) = (client("read_committed")?, client("read_uncommitted")?);
    let end = |consumer: &BaseConsumer, partition: &TopicPartition| {
        let found = consumer.fetch_watermarks(&partition.topic, partition.partition, REQUEST_MAX);
        found.map(|(_, end)| end).map_err(|e| retriable(doing(), e))
    };
    partitions
        .iter()
        .map(|partition| Ok((end(&committed, partition)?, end(&uncommitted, partition)?)))
        .collect()
}
