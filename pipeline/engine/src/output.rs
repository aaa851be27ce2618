//! What a transaction will hold, gathered while records are decided on: it can be cut back to a savepoint.

use redpanda::{
    batch::Batch,
    log::{Headers, Record, Topic},
    partition_of,
};

use crate::topology::Topology;

/// The records of a transaction to be.
#[derive(Debug, Default)]
pub(crate) struct Output {
    pub(crate) records: Batch,
    /// Topics that were written to and their partition counts, so that each name is allocated once. They are few.
    topics: Vec<(Topic, i32)>,
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
    ) -> Result<(), String> {
        let (topic, count) = topic_of(&mut self.topics, topology, topic)?;
        self.records.push(topic, partition_of(key, *count), Some(key), value, headers);
        Ok(())
    }

    /// Adds a dead letter for `record`: its bytes and headers, and why it could not be worked on.
    pub(crate) fn dead_letter(
        &mut self,
        topology: &Topology,
        record: &Record,
        error: &str,
    ) -> Result<(), String> {
        let (topic, count) = topic_of(&mut self.topics, topology, &format!("{}.dead", record.topic))?;
        let mut headers = record.headers.clone();
        headers.push("dead_topic", &*record.topic);
        headers.push("dead_partition", record.partition.to_string());
        headers.push("dead_offset", record.offset.to_string());
        headers.push("dead_error", error);
        // Commands of users hold personal data and password hashes: nothing of them stays here.
        let secret = &*record.topic == "user.commands";
        let value = record.value.as_deref().filter(|_| !secret);
        let partition = record.partition.rem_euclid(*count);
        self.records.push(topic, partition, record.key.as_deref(), value, &headers);
        Ok(())
    }
}

/// A topic by its name, and how many partitions it has.
fn topic_of<'a>(
    known: &'a mut Vec<(Topic, i32)>,
    topology: &Topology,
    name: &str,
) -> Result<&'a (Topic, i32), String> {
    let index = match known.iter().position(|(topic, _)| **topic == *name) {
        Some(index) => index,
        None => {
            let count = topology.partitions(name).ok_or_else(|| format!("there is no topic {name:?}"))?;
            known.push((name.into(), count));
            known.len() - 1
        }
    };
    Ok(&known[index])
}
