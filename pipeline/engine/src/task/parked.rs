//! Records that failed wait here with those behind them of the same key, until they are re-driven.
//!
//! Only follow-ups and events are parked: a command fails at once and blocks nobody. The queues are
//! bounded; what does not fit becomes a dead letter.

use redpanda::{
    log::{Headers, Record},
    topics::record_bytes_max,
};
use schemas::{
    Message, Outcome, Verdict,
    engine::{Header, Parked, Redrive},
};

use super::{Queue, Task, apply::refused};
use crate::{
    aggregate::{Failure, encoded},
    changelog::{Key, MEMBER_SEPARATOR},
    envelope::{Envelope, shortened},
    output::{Output, check},
};

/// How many records may wait behind a failed one of the same key.
const PARKED_MAX: u32 = 1_000;
/// How many bytes these may have.
const PARKED_BYTES_MAX: u64 = 1 << 20;
/// What a parked record takes beside its key, value and headers, about.
const PARKED_OVERHEAD: u64 = 256;
/// No queue has this name: the total of all queues.
const ALL: &str = "";

impl Task {
    pub(super) fn is_parked(&self, topic: &str, key: &str) -> bool {
        !self.queues.is_empty() && self.queues.get(&queue_name(topic, key)).is_some()
    }

    /// Lets `record` wait behind the others of its key.
    pub(super) fn park(&mut self, key: &str, record: &Record, error: &str, output: &mut Output) {
        let name = queue_name(&record.topic, key);
        let queue = self.queues.get(&name).copied().unwrap_or_default();
        let all = self.queues.get(ALL).copied().unwrap_or_default();
        let bytes = bytes_of(key, record);
        let (topic, partition, offset) = (&record.topic, record.partition, record.offset);
        let error = shortened(error);
        let parked = Parked {
            topic: record.topic.to_string(),
            partition: record.partition,
            offset: record.offset,
            error: error.to_owned(),
            received_at: record.timestamp_ms,
            headers: record
                .headers
                .iter()
                // The schema has text here, so a name that is not UTF-8 is kept with replacement
                // characters.
                .map(|(name, value)| Header {
                    name: String::from_utf8_lossy(name).into_owned(),
                    value: value.to_vec(),
                })
                .collect(),
            value: record.value.as_ref().map(|value| value.to_vec()),
        };
        let parked_name = parked_name(&name, record.offset);
        let fits = match () {
            () if queue.count >= PARKED_MAX || queue.bytes + bytes > PARKED_BYTES_MAX => {
                Err("the queue of its parked key is full".to_owned())
            }
            () if all.bytes + bytes > self.bounds.parked_bytes_max => {
                Err("the parked records of all keys are as many as a task may have".to_owned())
            }
            () => self.check_parked(&parked_name, &parked),
        };
        if let Err(why) = fits {
            tracing::error!(%topic, partition, offset, key, why, "a record can't be parked");
            if let Some(route) = self.topology.route(topic) {
                let error = format!("{why}; {error}");
                self.bury(record, &Envelope::of(record), route, key, &error, output);
            }
            return;
        }
        self.count(&name, |queue| Queue { count: queue.count + 1, bytes: queue.bytes + bytes });
        let waiting = queue.count + 1;
        tracing::error!(
            %topic, partition, offset, key, error, waiting,
            "a record is parked until its key is re-driven"
        );
        self.parked.put(&parked_name, Some(parked));
        self.metrics.parked.inc();
    }

    /// Changes what is counted of a queue, and of all queues together.
    fn count(&mut self, name: &str, change: impl Fn(Queue) -> Queue) {
        for name in [name, ALL] {
            let queue = change(self.queues.get(name).copied().unwrap_or_default());
            self.queues.put(name, Some(queue).filter(|queue| queue.count > 0));
        }
    }

    /// Whether the changelog takes a parked record.
    fn check_parked(&self, name: &str, parked: &Parked) -> Result<(), String> {
        let (topic, key) = name.split_once('/').ok_or("its queue names no topic")?;
        let row =
            encoded(parked, &self.codec).map_err(|error| format!("it can't be parked: {error}"))?;
        let key = Key::Parked(topic, key).to_string();
        let changelog = &self.topology.changelog;
        let bytes_max = record_bytes_max(changelog);
        check(changelog, bytes_max, Some(key.as_bytes()), Some(&row), &Headers::default())
            .map_err(|error| format!("it is too large to be parked: {error}"))
    }

    /// Tries the parked records of a key again, in order, up to the first that still fails.
    pub(super) fn redrive(
        &mut self,
        key: &str,
        command: &Record,
        blank: Outcome,
        output: &mut Output,
    ) -> Result<Option<Outcome>, u32> {
        let value = command.value.as_deref().unwrap_or_default();
        let Redrive { topic, drop_first } = match Redrive::decode(&self.codec, value)
            .map_err(Failure::from)
        {
            Ok(redrive) => redrive,
            Err(Failure::UnknownSchema(id)) => return Err(id),
            Err(Failure::Permanent(error)) => return Ok(Some(refused(blank, "malformed", &error))),
        };
        let name = queue_name(&topic, key);
        let prefix = format!("{name}{MEMBER_SEPARATOR}");
        let mut waiting: Vec<(String, Parked)> = self
            .parked
            .iter()
            .filter(|(name, _)| name.starts_with(&prefix))
            .map(|(name, parked)| (name.to_owned(), parked.clone()))
            .collect();
        waiting.sort_by_key(|(_, parked)| parked.offset);
        if waiting.is_empty() {
            let detail = format!("nothing of key {key:?} in {topic} is parked");
            return Ok(Some(refused(blank, "nothing_parked", &detail)));
        }
        let mut first = true;
        for (parked_name, parked) in waiting {
            let record = revived(key, parked);
            let bytes = bytes_of(key, &record);
            self.parked.put(&parked_name, None);
            self.count(&name, |queue| Queue {
                count: queue.count.saturating_sub(1),
                bytes: queue.bytes.saturating_sub(bytes),
            });
            if std::mem::take(&mut first) && drop_first {
                if let Some(route) = self.topology.route(&record.topic) {
                    let error = "dropped by the command that re-drove its key";
                    self.bury(&record, &Envelope::of(&record), route, key, error, output);
                }
                continue;
            }
            self.route(&record, output, false)?;
            if self.parked.get(&parked_name).is_some() {
                let detail =
                    format!("the record at offset {} of {topic} still fails", record.offset);
                return Ok(Some(refused(blank, "still_failing", &detail)));
            }
        }
        Ok(Some(Outcome { verdict: Verdict::Accepted, ..blank }))
    }

    /// Counts the queues anew, after a restore.
    pub(super) fn count_queues(&mut self) {
        let mut queues = std::collections::HashMap::<String, Queue>::new();
        for (name, parked) in self.parked.iter() {
            let Some((queue, _)) = name.rsplit_once(MEMBER_SEPARATOR) else { continue };
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

/// What a parked record takes, about.
fn bytes_of(key: &str, record: &Record) -> u64 {
    let headers =
        record.headers.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
    let value = record.value.as_ref().map_or(0, |value| value.len());
    PARKED_OVERHEAD + (key.len() + headers + value) as u64
}

fn queue_name(topic: &str, key: &str) -> String {
    format!("{topic}/{key}")
}

fn parked_name(queue: &str, offset: i64) -> String {
    format!("{queue}{MEMBER_SEPARATOR}{offset:020}")
}

/// A parked record as it was read.
fn revived(key: &str, parked: Parked) -> Record {
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
