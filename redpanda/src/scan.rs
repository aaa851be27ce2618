//! Reads topics as they stand: from given offsets to the ends, once, apart from any group. For
//! checks and tools; it shares nothing with what the engine remembers.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
    time::{Duration, Instant},
};

use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
    types::RDKafkaRespErr,
};

use crate::{
    brokers::Brokers,
    group::{ASK, Copier, config_for, fatal, is_denied, retriable},
    log::{LogError, Record, TopicPartition},
    restore::Alone,
};

/// What of an open or aborted transaction is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// Nothing: what other readers of Millrace see. The end is the last stable offset.
    Committed,
    /// Everything. The end is the high watermark.
    Uncommitted,
}

/// Reads `topic` from `positions` (a partition that is not there: from its beginning) to its ends,
/// and moves the positions behind what was read, aborted records and the marks of transactions
/// included.
///
/// # Errors
/// When the ends are not reached within `at_most`, or the log does not answer; then the positions
/// are as before.
pub fn scan(
    brokers: impl Into<Brokers>,
    topic: &str,
    partitions: i32,
    isolation: Isolation,
    positions: &mut BTreeMap<i32, i64>,
    at_most: Duration,
) -> Result<Vec<Record>, LogError> {
    let doing = || format!("reading {topic}");
    let consumer = consumer(&brokers.into(), isolation).map_err(|e| fatal(doing(), &e))?;
    check_right(&consumer, topic)?;
    let mut list = TopicPartitionList::new();
    for partition in 0..partitions {
        let from =
            positions.get(&partition).map_or(Offset::Beginning, |next| Offset::Offset(*next));
        list.add_partition_offset(topic, partition, from).map_err(|e| fatal(doing(), &e))?;
    }
    consumer.assign(&list).map_err(|e| fatal(doing(), &e))?;
    let (begun, mut ended) = (Instant::now(), BTreeSet::new());
    let (mut copier, mut records) = (Copier::default(), Vec::new());
    let mut moved = positions.clone();
    while ended.len() < usize::try_from(partitions).unwrap_or(0) {
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                // What comes after the end of its partition was seen is for the next time.
                if !ended.contains(&message.partition()) {
                    moved.insert(message.partition(), message.offset() + 1);
                    records.push(copier.record(&message));
                }
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                ended.insert(partition);
            }
            Some(Err(error)) if is_denied(&error) => return Err(fatal(doing(), &error)),
            Some(Err(error)) if begun.elapsed() > at_most => {
                return Err(retriable(doing(), &error));
            }
            None if begun.elapsed() > at_most => {
                let cause =
                    format!("{} of {partitions} ends were reached within {at_most:?}", ended.len());
                return Err(LogError::Retriable { doing: doing(), cause });
            }
            Some(Err(_)) | None => {}
        }
    }
    *positions = moved;
    Ok(records)
}

/// Fails if this client may not even know of the topic: librdkafka would wait for it without a
/// word.
fn check_right(consumer: &BaseConsumer<Alone>, topic: &str) -> Result<(), LogError> {
    // Whoever reads waits for brokers that do not answer now.
    let Ok(metadata) = consumer.fetch_metadata(Some(topic), ASK) else { return Ok(()) };
    let denied = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    match metadata.topics().iter().any(|found| found.error() == Some(denied)) {
        true => {
            let cause = RDKafkaErrorCode::TopicAuthorizationFailed.to_string();
            Err(LogError::Fatal { doing: format!("reading {topic}"), cause })
        }
        false => Ok(()),
    }
}

/// What a group has committed, asked from outside of it.
pub struct Group(BaseConsumer);

impl Group {
    /// Looks at `group` without joining it.
    ///
    /// # Errors
    /// When the client can't be made.
    pub fn open(brokers: impl Into<Brokers>, group: &str) -> Result<Self, LogError> {
        // Whoever reads committed waits for the transaction that is open, and one nearly always is.
        let consumer =
            config_for(&brokers.into(), group).set("isolation.level", "read_uncommitted").create();
        consumer.map(Self).map_err(|e| fatal(format!("looking at group {group}"), &e))
    }

    /// The offset of the next record that it will read of each partition of `topic`; 0 where it has
    /// committed none.
    ///
    /// # Errors
    /// When the log does not answer.
    pub fn committed(&self, topic: &str, partitions: i32) -> Result<Vec<i64>, LogError> {
        let doing = || format!("asking what was committed of {topic}");
        let mut list = TopicPartitionList::new();
        for partition in 0..partitions {
            list.add_partition(topic, partition);
        }
        let found = self.0.committed_offsets(list, ASK).map_err(|e| retriable(doing(), &e))?;
        Ok(found
            .elements()
            .iter()
            .map(|place| place.offset().to_raw().unwrap_or(0).max(0))
            .collect())
    }
}

/// Hands each record of `topic` that is committed now to `visit`, partitions mixed, until it says
/// to stop. Nothing is kept, so that a topic may be of any size; what is written meanwhile is left
/// out. `spans` are those of [`spans`].
///
/// # Errors
/// When nothing is read for `idle_max`, or the log does not answer.
pub fn each(
    brokers: impl Into<Brokers>,
    topic: &str,
    spans: &[(i64, i64)],
    idle_max: Duration,
    mut visit: impl FnMut(Record) -> ControlFlow<()>,
) -> Result<(), LogError> {
    let doing = || format!("reading {topic}");
    let consumer =
        consumer(&brokers.into(), Isolation::Committed).map_err(|e| fatal(doing(), &e))?;
    let (mut list, mut open) = (TopicPartitionList::new(), BTreeMap::new());
    for (partition, (begin, end)) in (0..).zip(spans) {
        if begin < end {
            open.insert(partition, *end);
            list.add_partition_offset(topic, partition, Offset::Offset(*begin))
                .map_err(|e| fatal(doing(), &e))?;
        }
    }
    consumer.assign(&list).map_err(|e| fatal(doing(), &e))?;
    let (mut moved, mut copier) = (Instant::now(), Copier::default());
    while !open.is_empty() {
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                moved = Instant::now();
                let (partition, next) = (message.partition(), message.offset() + 1);
                let Some(end) = open.get(&partition).copied() else { continue };
                if next <= end && visit(copier.record(&message)).is_break() {
                    return Ok(());
                }
                if next >= end {
                    open.remove(&partition);
                }
            }
            // Its last records may be aborted ones and marks of transactions, which are not handed
            // over.
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                moved = Instant::now();
                open.remove(&partition);
            }
            Some(Err(error)) if is_denied(&error) => return Err(fatal(doing(), &error)),
            Some(Err(error)) if moved.elapsed() > idle_max => {
                return Err(retriable(doing(), &error));
            }
            None if moved.elapsed() > idle_max => {
                let cause = format!(
                    "nothing came for {idle_max:?}; {} partitions are not read yet",
                    open.len()
                );
                return Err(LogError::Retriable { doing: doing(), cause });
            }
            Some(Err(_)) | None => {}
        }
    }
    Ok(())
}

/// For each partition of `topic` the first offset kept and the last stable offset; `None` where
/// there is no such topic.
///
/// # Errors
/// When the log does not answer.
pub fn spans(
    brokers: impl Into<Brokers>,
    topic: &str,
) -> Result<Option<Vec<(i64, i64)>>, LogError> {
    const ASK: Duration = Duration::from_secs(10);
    let doing = || format!("asking for the ends of {topic}");
    let consumer =
        consumer(&brokers.into(), Isolation::Committed).map_err(|e| fatal(doing(), &e))?;
    // Of all topics: asked for one alone, some brokers would make it.
    let metadata =
        consumer.fetch_metadata(None, ASK).map_err(|error| retriable(doing(), &error))?;
    let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else {
        return Ok(None);
    };
    let mut partitions: Vec<_> =
        found.partitions().iter().map(|partition| partition.id()).collect();
    partitions.sort_unstable();
    let span = |partition| consumer.fetch_watermarks(topic, partition, ASK);
    let spans = partitions.into_iter().map(span).collect::<Result<_, _>>();
    spans.map(Some).map_err(|error| retriable(doing(), &error))
}

fn consumer(brokers: &Brokers, isolation: Isolation) -> Result<BaseConsumer<Alone>, KafkaError> {
    let level = match isolation {
        Isolation::Committed => "read_committed",
        Isolation::Uncommitted => "read_uncommitted",
    };
    config_for(brokers, "millrace.scan")
        .set("isolation.level", level)
        .set("enable.partition.eof", "true")
        .set("fetch.wait.max.ms", "10")
        .set("fetch.queue.backoff.ms", "5")
        .create_with_context::<_, BaseConsumer<Alone>>(Alone)
}

/// The last stable offset and the high watermark of each place: apart while a transaction is open.
///
/// # Errors
/// When the log does not answer.
pub fn ends(
    brokers: impl Into<Brokers>,
    places: &[TopicPartition],
) -> Result<Vec<(i64, i64)>, LogError> {
    let doing = || "asking for the ends of partitions".to_owned();
    let brokers = brokers.into();
    let client = |level: &str| -> Result<BaseConsumer, LogError> {
        let mut config = config_for(&brokers, "millrace.scan");
        config.set("isolation.level", level).create().map_err(|e| fatal(doing(), &e))
    };
    let (committed, uncommitted) = (client("read_committed")?, client("read_uncommitted")?);
    let end = |consumer: &BaseConsumer, place: &TopicPartition| {
        let asked =
            consumer.fetch_watermarks(&place.topic, place.partition, Duration::from_secs(5));
        asked.map(|(_, end)| end).map_err(|error| retriable(doing(), &error))
    };
    places.iter().map(|place| Ok((end(&committed, place)?, end(&uncommitted, place)?))).collect()
}
