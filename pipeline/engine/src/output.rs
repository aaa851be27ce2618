//! The records of the batch that is being decided. The batch can be cut back to an earlier length.
//!
//! A record that its topic would not take is an error here, so that it fails its input and never
//! aborts a transaction. The limits are those of `topics.yaml`. Nothing here is sent.

use bytes::Bytes;
use redpanda::{
    log::{Headers, ProducerRecords, Record, Topic, TopicPartition, wire_bytes},
    partition_of,
    topics::{is_secret, record_bytes_max},
};

use uuid::Uuid;

use crate::{
    bounds::KEY_BYTES_MAX,
    error::WriteError,
    local::{DECIDED, LocalFollowUps},
    topology::Topology,
};

/// What a reaction sends.
#[derive(Debug)]
pub(crate) struct Sent<'s> {
    pub(crate) topic: &'s str,
    /// The key of the input that sends it.
    pub(crate) sender: &'s str,
    pub(crate) key: &'s str,
    pub(crate) value: Option<Bytes>,
    pub(crate) headers: Headers,
    pub(crate) id: Uuid,
    /// The time of the input.
    pub(crate) at_ms: i64,
}

/// The records of one batch.
#[derive(Debug, Default)]
pub(crate) struct Output {
    pub(crate) records: ProducerRecords,
    /// The follow-ups among them that this worker decides itself.
    pub(crate) local: LocalFollowUps,
    /// The topics of the records so far, so that each name is allocated and looked up once. They
    /// are few.
    topics: Vec<KnownTopic>,
}

/// A topic with its number of partitions and its limit.
#[derive(Debug)]
struct KnownTopic {
    topic: Topic,
    partitions: i32,
    bytes_max: usize,
}

impl Output {
    /// Adds a record whose partition follows from its key.
    pub(crate) fn keyed(
        &mut self,
        topology: &Topology,
        topic: &str,
        key: &[u8],
        value: Option<&[u8]>,
        headers: &Headers,
    ) -> Result<(), WriteError> {
        // The processor that reads the record would reject a longer key.
        if key.len() > KEY_BYTES_MAX {
            return Err(WriteError::KeyTooLong { topic: topic.to_owned(), bytes: key.len() });
        }
        let KnownTopic { topic, partitions, bytes_max } = known(&mut self.topics, topology, topic)?;
        check(topic, *bytes_max, Some(key), value, headers)?;
        self.records.push(topic, partition_of(key, *partitions), Some(key), value, headers);
        Ok(())
    }

    /// Adds what a reaction sends.
    pub(crate) fn send(
        &mut self,
        topology: &Topology,
        message: Sent<'_>,
    ) -> Result<(), WriteError> {
        let Sent { topic, sender, key, value, mut headers, id, at_ms } = message;
        let KnownTopic { topic: name, partitions, .. } = known(&mut self.topics, topology, topic)?;
        let partition = partition_of(key.as_bytes(), *partitions);
        let target = TopicPartition { topic: name.clone(), partition };
        let is_local = self.local.admits(&target, sender, key, id);
        if is_local {
            headers.push(DECIDED, "1");
        }
        self.keyed(topology, topic, key.as_bytes(), value.as_deref(), &headers)?;
        if is_local {
            self.local.push(target, key, value, headers, at_ms);
        }
        Ok(())
    }

    /// Adds a dead letter for `record`: its bytes and headers, and the error. A dead letter that
    /// would be too large has only key, offset and error; the record itself stays in its topic.
    pub(crate) fn dead_letter(
        &mut self,
        topology: &Topology,
        record: &Record,
        error: &str,
    ) -> Result<(), WriteError> {
        let KnownTopic { topic, partitions, bytes_max } =
            known(&mut self.topics, topology, &format!("{}.dead", record.topic))?;
        let partition = record.partition.rem_euclid(*partitions);
        let describe = |headers: &mut Headers| {
            headers.push("dead_topic", &*record.topic);
            headers.push("dead_partition", record.partition.to_string());
            headers.push("dead_offset", record.offset.to_string());
            headers.push("dead_error", error);
        };
        let mut headers = record.headers.clone();
        describe(&mut headers);
        let key = record.key.as_deref();
        let value = record.value.as_deref().filter(|_| !is_secret(&record.topic));
        if let Err(refusal) = check(topic, *bytes_max, key, value, &headers) {
            headers.clear();
            describe(&mut headers);
            headers.push("dead_omitted", format!("value and headers: {refusal}"));
            let key = key.filter(|key| key.len() <= KEY_BYTES_MAX);
            self.records.push(topic, partition, key, None, &headers);
            return Ok(());
        }
        self.records.push(topic, partition, key, value, &headers);
        Ok(())
    }
}

/// Checks a record against the limit of its topic.
pub(crate) fn check(
    topic: &str,
    bytes_max: usize,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    headers: &Headers,
) -> Result<(), WriteError> {
    match wire_bytes(key, value, headers) {
        bytes if bytes <= bytes_max => Ok(()),
        bytes => Err(WriteError::RecordTooLarge { topic: topic.to_owned(), bytes, bytes_max }),
    }
}

/// The topic called `name`, which is looked up once.
fn known<'a>(
    all: &'a mut Vec<KnownTopic>,
    topology: &Topology,
    name: &str,
) -> Result<&'a KnownTopic, WriteError> {
    let index = match all.iter().position(|known| *known.topic == *name) {
        Some(index) => index,
        None => {
            let partitions =
                topology.partitions(name).ok_or_else(|| WriteError::NoTopic(name.to_owned()))?;
            let bytes_max = record_bytes_max(name);
            all.push(KnownTopic { topic: name.into(), partitions, bytes_max });
            all.len() - 1
        }
    };
    Ok(&all[index])
}
