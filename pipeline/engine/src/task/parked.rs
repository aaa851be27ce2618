//! Parks records: a failed follow-up or event waits here, with the later records of its key, until
//! its key is re-driven.
//!
//! Commands are never parked: a command fails at once and blocks no other record. The queues are
//! bounded; a record that does not fit becomes a dead letter.

use std::collections::HashMap;

use redpanda::log::{Headers, Record};
use schemas::chain;
use schemas::engine::{Header, Parked};

use super::{Queue, Task, row::Row};
use crate::{
    aggregate::encoded,
    bounds::shortened,
    changelog::{Key, NAME_SEPARATOR},
    envelope::Envelope,
    error::{InputError, ParkError},
    output::Output,
};

/// The most records in the queue of one key.
const PARKED_MAX: u32 = 1_000;
/// The most bytes in the queue of one key.
const PARKED_BYTES_MAX: u64 = 1 << 20;
/// The memory of a parked record beside its key, value and headers, approximately.
const PARKED_OVERHEAD: u64 = 256;
/// The name under which all queues together are counted. No queue has it.
const ALL: &str = "";

impl Task {
    pub(super) fn is_parked(&self, topic: &str, key: &str) -> bool {
        !self.queues.is_empty() && self.queues.get(&queue_name(topic, key)).is_some()
    }

    /// Parks `record` at the end of its key's queue. A record that can't be parked becomes a dead
    /// letter.
    pub(super) fn park(
        &mut self,
        key: &str,
        record: &Record,
        error: InputError,
        output: &mut Output,
    ) {
        let (topic, partition, offset) = (&record.topic, record.partition, record.offset);
        let parked = parked_of(record, &error);
        if let Err(park) = self.check_room(key, record, &parked) {
            let why = chain(&park);
            tracing::error!(%topic, partition, offset, key, why, "a record can't be parked");
            if let Some(route) = self.topology.route(topic) {
                let error = InputError::NotParked { park, error: Box::new(error) };
                self.bury(record, &Envelope::of(record), route, key, &error, output);
            }
            return;
        }
        let queue = queue_name(topic, key);
        let bytes = bytes_of(key, record);
        self.count(&queue, |queue| Queue { count: queue.count + 1, bytes: queue.bytes + bytes });
        let parked_records = self.queues.get(&queue).map_or(0, |queue| queue.count);
        let why = &parked.error;
        tracing::error!(
            %topic, partition, offset, key, error = why, parked_records,
            "a record is parked until its key is re-driven"
        );
        self.write_parked(key, record, &parked, &error, output);
        self.parked.put(&format!("{topic}/{}", name_of(key, offset)), Some(parked));
        self.metrics.parked.inc();
    }

    /// Checks that the queue of the key, the queues of all keys and the changelog take the record.
    fn check_room(&self, key: &str, record: &Record, parked: &Parked) -> Result<(), ParkError> {
        let bytes = bytes_of(key, record);
        let length = |name: &str| self.queues.get(name).copied().unwrap_or_default();
        let queue = length(&queue_name(&record.topic, key));
        if queue.count >= PARKED_MAX || queue.bytes + bytes > PARKED_BYTES_MAX {
            return Err(ParkError::QueueFull);
        }
        if length(ALL).bytes + bytes > self.bounds.parked_bytes_max {
            return Err(ParkError::TaskFull);
        }
        let mut row = Row::of(&self.topology.changelog);
        row.set(&Key::Parked(&record.topic, &name_of(key, record.offset)), None);
        row.check(Some(&encoded(parked, &self.codec)?))?;
        Ok(())
    }

    /// Changes the length of a queue, and of all queues together.
    pub(super) fn count(&mut self, name: &str, change: impl Fn(Queue) -> Queue) {
        for name in [name, ALL] {
            let queue = change(self.queues.get(name).copied().unwrap_or_default());
            self.queues.put(name, Some(queue).filter(|queue| queue.count > 0));
        }
    }

    /// Counts all queues, after a restore.
    pub(super) fn count_queues(&mut self) {
        let mut queues = HashMap::<String, Queue>::new();
        for (name, parked) in self.parked.iter() {
            let Some((queue, _)) = name.rsplit_once(NAME_SEPARATOR) else { continue };
            let key = queue.split_once('/').map_or("", |(_, key)| key);
            let bytes = bytes_of(key, &revived(key, parked.clone()));
            for name in [queue, ALL] {
                let queue = queues.entry(name.to_owned()).or_default();
                (queue.count, queue.bytes) = (queue.count + 1, queue.bytes + bytes);
            }
        }
        for (name, queue) in queues {
            self.queues.load(&name, Some(queue));
        }
    }
}

/// The row of a parked record.
fn parked_of(record: &Record, error: &InputError) -> Parked {
    // The schema has text here, so a name that is not UTF-8 gets replacement characters.
    let header = |(name, value): (&[u8], &[u8])| Header {
        name: String::from_utf8_lossy(name).into_owned(),
        value: value.to_vec(),
    };
    Parked {
        topic: record.topic.to_string(),
        partition: record.partition,
        offset: record.offset,
        error: shortened(&chain(error)).to_owned(),
        received_at: record.timestamp_ms,
        headers: record.headers.iter().map(header).collect(),
        value: record.value.as_ref().map(|value| value.to_vec()),
    }
}

/// The name of a parked record within its topic. The digits keep the order of offsets.
fn name_of(key: &str, offset: i64) -> String {
    format!("{key}{NAME_SEPARATOR}{offset:020}")
}

/// The memory of a parked record, approximately.
pub(super) fn bytes_of(key: &str, record: &Record) -> u64 {
    let headers =
        record.headers.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
    let value = record.value.as_ref().map_or(0, |value| value.len());
    PARKED_OVERHEAD + (key.len() + headers + value) as u64
}

/// The name of the queue of a parked key.
pub(super) fn queue_name(topic: &str, key: &str) -> String {
    format!("{topic}/{key}")
}

/// A parked record as it was read from its topic.
pub(super) fn revived(key: &str, parked: Parked) -> Record {
    let mut headers = Headers::default();
    for header in parked.headers {
        headers.push(&header.name, header.value);
    }
    Record {
        topic: parked.topic.into(),
        partition: parked.partition,
        offset: parked.offset,
        timestamp_ms: parked.received_at,
        key: Some(key.to_owned().into()),
        value: parked.value.map(Into::into),
        headers,
    }
}
