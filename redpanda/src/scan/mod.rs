//! Reads topics once, from given offsets to their ends, apart from any group. For checks and tools:
//! it joins no group, commits nothing, and shares no state with the engine.
//!
//! - [`scan`], [`each`]: the records, all at once or one by one; [`record_at`]: a single one
//! - [`spans`], [`ends`]: where partitions begin and end
//! - [`Group`]: what a group has committed

mod offsets;
#[cfg(test)]
mod tests;

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

pub use offsets::{Group, ends, spans};

use crate::{
    brokers::Brokers,
    client::{
        Copier, REQUEST_MAX, Standalone, config_for, fatal, is_denied, is_out_of_range,
        is_unreadable, retriable,
    },
    log::{LogError, Record, TopicPartition},
};

/// The longest wait of one poll.
const POLL_WAIT: Duration = Duration::from_millis(100);

/// Whether a scan returns records of pending and aborted transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// It does not, like all other readers of Millrace. The end is the last stable offset.
    Committed,
    /// It does. The end is the high watermark.
    Uncommitted,
}

/// Reads `topic` from `positions` to its ends, and moves the positions behind what was read,
/// aborted records and transaction markers included. A partition without a position is read from
/// its beginning.
///
/// # Errors
/// If the ends are not reached within `at_most`, the log does not answer, or it does not hold one
/// of the positions; then the positions do not change.
pub fn scan(
    brokers: impl Into<Brokers>,
    topic: &str,
    partitions: i32,
    isolation: Isolation,
    positions: &mut BTreeMap<i32, i64>,
    at_most: Duration,
) -> Result<Vec<Record>, LogError> {
    let doing = || format!("reading {topic}");
    let consumer = consumer(&brokers.into(), isolation).map_err(|e| fatal(doing(), e))?;
    check_right(&consumer, topic)?;
    let mut list = TopicPartitionList::new();
    for partition in 0..partitions {
        let from =
            positions.get(&partition).map_or(Offset::Beginning, |next| Offset::Offset(*next));
        list.add_partition_offset(topic, partition, from).map_err(|e| fatal(doing(), e))?;
    }
    consumer.assign(&list).map_err(|e| fatal(doing(), e))?;
    let (begun, mut ended) = (Instant::now(), BTreeSet::new());
    let (mut copier, mut records) = (Copier::default(), Vec::new());
    let mut moved = positions.clone();
    while ended.len() < usize::try_from(partitions).unwrap_or(0) {
        match consumer.poll(POLL_WAIT) {
            Some(Ok(message)) => {
                // The next scan returns records that arrive after the end of their partition was
                // seen.
                if !ended.contains(&message.partition()) {
                    moved.insert(message.partition(), message.offset() + 1);
                    records.push(copier.record(&message));
                }
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                // What is before this end was polled, and nothing behind it. The client's position
                // is behind transaction markers too.
                if ended.insert(partition)
                    && let Some(next) = next_offset(&consumer, topic, partition)
                {
                    let position = moved.entry(partition).or_insert(next);
                    *position = next.max(*position);
                }
            }
            Some(Err(error)) if never_ends(&error) => return Err(fatal(doing(), error)),
            // The client reads this partition no more.
            Some(Err(error)) if is_out_of_range(&error) => {
                return Err(out_of_range(&consumer, topic, positions, error));
            }
            Some(Err(error)) if begun.elapsed() > at_most => {
                return Err(retriable(doing(), error));
            }
            None if begun.elapsed() > at_most => {
                let ended = ended.len();
                let cause = format!("{ended} of {partitions} ends were reached within {at_most:?}");
                return Err(retriable(doing(), cause));
            }
            Some(Err(_)) | None => {}
        }
    }
    *positions = moved;
    Ok(records)
}

/// Whether waiting does not help against this error of a poll.
fn never_ends(error: &KafkaError) -> bool {
    is_denied(error) || is_unreadable(error)
}

/// The offset that `consumer` reads next of a partition; `None` if it does not know it.
fn next_offset(consumer: &BaseConsumer<Standalone>, topic: &str, partition: i32) -> Option<i64> {
    let read = consumer.position().ok()?;
    match read.find_partition(topic, partition)?.offset() {
        Offset::Offset(next) => Some(next),
        _ => None,
    }
}

/// The error for a position that the log does not hold. `error`, which the client has returned,
/// does not name the partition. If all positions are held, the beginning of a partition has moved
/// since the client asked for it, and the next attempt finds the new one.
fn out_of_range(
    consumer: &BaseConsumer<Standalone>,
    topic: &str,
    positions: &BTreeMap<i32, i64>,
    error: KafkaError,
) -> LogError {
    for (partition, offset) in positions {
        let held = consumer.fetch_watermarks(topic, *partition, REQUEST_MAX);
        let Ok((beginning, end)) = held else { continue };
        if !(beginning..=end).contains(offset) {
            let partition = TopicPartition::new(topic, *partition);
            return LogError::OutOfRange { partition, offset: *offset, beginning, end };
        }
    }
    retriable(format!("reading {topic}"), error)
}

/// Returns an error if this client has no right to see the topic: librdkafka would wait for the
/// topic without an error.
fn check_right(consumer: &BaseConsumer<Standalone>, topic: &str) -> Result<(), LogError> {
    // If no broker answers now, the read that follows waits for one.
    let Ok(metadata) = consumer.fetch_metadata(Some(topic), REQUEST_MAX) else { return Ok(()) };
    let denied = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    match metadata.topics().iter().any(|found| found.error() == Some(denied)) {
        true => Err(fatal(format!("reading {topic}"), RDKafkaErrorCode::TopicAuthorizationFailed)),
        false => Ok(()),
    }
}

/// Passes each record of `topic` that is committed now to `visit`, in the order of each partition,
/// until `visit` breaks. It stores no records, so that a topic may have any size, and leaves out
/// what is written meanwhile. `spans` come from [`spans`].
///
/// # Errors
/// If nothing is read for `idle_max`, or the log does not answer.
pub fn each(
    brokers: impl Into<Brokers>,
    topic: &str,
    spans: &[(i64, i64)],
    idle_max: Duration,
    mut visit: impl FnMut(Record) -> ControlFlow<()>,
) -> Result<(), LogError> {
    let doing = || format!("reading {topic}");
    let consumer =
        consumer(&brokers.into(), Isolation::Committed).map_err(|e| fatal(doing(), e))?;
    let (mut list, mut open) = (TopicPartitionList::new(), BTreeMap::new());
    for (partition, (begin, end)) in (0..).zip(spans) {
        if begin < end {
            open.insert(partition, *end);
            list.add_partition_offset(topic, partition, Offset::Offset(*begin))
                .map_err(|e| fatal(doing(), e))?;
        }
    }
    consumer.assign(&list).map_err(|e| fatal(doing(), e))?;
    let (mut moved, mut copier) = (Instant::now(), Copier::default());
    while !open.is_empty() {
        match consumer.poll(POLL_WAIT) {
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
            // The last records of a partition may be aborted ones and transaction markers, which
            // the client does not return.
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                moved = Instant::now();
                open.remove(&partition);
            }
            Some(Err(error)) if never_ends(&error) => return Err(fatal(doing(), error)),
            Some(Err(error)) if moved.elapsed() > idle_max => {
                return Err(retriable(doing(), error));
            }
            None if moved.elapsed() > idle_max => {
                let open = open.len();
                let cause =
                    format!("no record for {idle_max:?}; {open} partitions are not read yet");
                return Err(retriable(doing(), cause));
            }
            Some(Err(_)) | None => {}
        }
    }
    Ok(())
}

/// The committed record at `offset` of a partition; `None` if the log does not hold one there.
///
/// # Errors
/// If the record does not arrive within `at_most`, or the log does not answer.
pub fn record_at(
    brokers: impl Into<Brokers>,
    partition: &TopicPartition,
    offset: i64,
    at_most: Duration,
) -> Result<Option<Record>, LogError> {
    let doing = || format!("reading offset {offset} of {partition}");
    let consumer =
        consumer(&brokers.into(), Isolation::Committed).map_err(|e| fatal(doing(), e))?;
    let (topic, number) = (&*partition.topic, partition.partition);
    check_right(&consumer, topic)?;
    // An offset that the log does not hold would be an error of the client.
    let kept = consumer.fetch_watermarks(topic, number, REQUEST_MAX);
    let (beginning, end) = kept.map_err(|e| retriable(doing(), e))?;
    if !(beginning..end).contains(&offset) {
        return Ok(None);
    }
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, number, Offset::Offset(offset))
        .map_err(|e| fatal(doing(), e))?;
    consumer.assign(&list).map_err(|e| fatal(doing(), e))?;
    let (begun, mut copier) = (Instant::now(), Copier::default());
    loop {
        match consumer.poll(POLL_WAIT) {
            Some(Ok(message)) => {
                let is_it = message.offset() == offset;
                return Ok(is_it.then(|| copier.record(&message)));
            }
            Some(Err(KafkaError::PartitionEOF(_))) => return Ok(None),
            Some(Err(error)) if never_ends(&error) => return Err(fatal(doing(), error)),
            Some(Err(error)) if begun.elapsed() > at_most => {
                return Err(retriable(doing(), error));
            }
            None if begun.elapsed() > at_most => {
                return Err(retriable(doing(), format!("it has not arrived within {at_most:?}")));
            }
            Some(Err(_)) | None => {}
        }
    }
}

fn consumer(
    brokers: &Brokers,
    isolation: Isolation,
) -> Result<BaseConsumer<Standalone>, KafkaError> {
    let level = match isolation {
        Isolation::Committed => "read_committed",
        Isolation::Uncommitted => "read_uncommitted",
    };
    config_for(brokers, "millrace.scan")
        .set("isolation.level", level)
        .set("enable.partition.eof", "true")
        .set("fetch.wait.max.ms", "10")
        .set("fetch.queue.backoff.ms", "5")
        .create_with_context::<_, BaseConsumer<Standalone>>(Standalone)
}
