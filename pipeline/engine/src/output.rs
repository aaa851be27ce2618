//! What a transaction will hold, gathered while records are decided on: it can be cut back to a savepoint.

use bytes::Bytes;
use redpanda::{
    arena::Arena,
    log::{Headers, Outgoing, Record, Topic},
    partition_of,
};

use crate::topology::Topology;

/// The records of a transaction to be.
#[derive(Debug, Default)]
pub(crate) struct Output {
    pub(crate) records: Vec<Outgoing>,
    /// The bytes of keys and values in `records`.
    pub(crate) bytes: usize,
    /// Keys stand in it.
    pub(crate) arena: Arena,
    /// Topics that were written to and their partition counts, so that each name is allocated once. They are few.
    topics: Vec<(Topic, i32)>,
}

impl Output {
    /// Adds a record whose partition follows from its key.
    pub(crate) fn keyed(
        &mut self,
        topology: &Topology,
        topic: &str,
        key: Bytes,
        value: Option<Bytes>,
        headers: Headers,
    ) -> Result<(), String> {
        let (topic, count) = self.topic(topology, topic)?;
        let partition = partition_of(&key, count);
        self.push(Outgoing { topic, partition, key: Some(key), value, headers });
        Ok(())
    }

    /// Adds a record to a partition that is given.
    pub(crate) fn push(&mut self, record: Outgoing) {
        self.bytes += size(&record);
        self.records.push(record);
    }

    /// Adds a dead letter for `record`: its bytes and headers, and why it could not be worked on.
    pub(crate) fn dead_letter(
        &mut self,
        topology: &Topology,
        record: &Record,
        error: &str,
    ) -> Result<(), String> {
        let (topic, count) = self.topic(topology, &format!("{}.dead", record.topic))?;
        let mut headers = record.headers.clone();
        headers.push("dead_topic", &*record.topic);
        headers.push("dead_partition", record.partition.to_string());
        headers.push("dead_offset", record.offset.to_string());
        headers.push("dead_error", error);
        // Commands of users hold personal data and password hashes: nothing of them stays here.
        let secret = &*record.topic == "user.commands";
        let value = record.value.clone().filter(|_| !secret);
        let partition = record.partition.rem_euclid(count);
        self.push(Outgoing { topic, partition, key: record.key.clone(), value, headers });
        Ok(())
    }

    /// Forgets all records behind the first `length`.
    pub(crate) fn truncate(&mut self, length: usize) {
        for record in self.records.drain(length..) {
            self.bytes -= size(&record);
        }
    }

    /// Takes the records out, and begins anew.
    pub(crate) fn take(&mut self) -> Vec<Outgoing> {
        self.bytes = 0;
        let room = self.records.len();
        std::mem::replace(&mut self.records, Vec::with_capacity(room))
    }

    fn topic(&mut self, topology: &Topology, name: &str) -> Result<(Topic, i32), String> {
        if let Some(known) = self.topics.iter().find(|(topic, _)| **topic == *name) {
            return Ok(known.clone());
        }
        let count = topology.partitions(name).ok_or_else(|| format!("there is no topic {name:?}"))?;
        let known = (Topic::from(name), count);
        self.topics.push(known.clone());
        Ok(known)
    }
}

fn size(record: &Outgoing) -> usize {
    record.key.as_ref().map_or(0, Bytes::len) + record.value.as_ref().map_or(0, Bytes::len)
}
