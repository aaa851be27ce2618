//! What a transaction will hold, gathered while records are decided on: it can be cut back to a
//! savepoint.
//!
//! A record that its topic would not take is refused here, so that it never aborts a transaction.
//! The limits are those of `topics.yaml`.

use redpanda::{
    batch::{Batch, wire_bytes},
    log::{Headers, Record, Topic},
    partition_of,
    topics::record_bytes_max,
};

use crate::{envelope::KEY_BYTES_MAX, topology::Topology};

/// The records of a transaction to be.
#[derive(Debug, Default)]
pub(crate) struct Output {
    pub(crate) records: Batch,
    /// Topics that were written to, so that each name is allocated and looked up once. They are
    /// few.
    topics: Vec<Known>,
}

/// A topic that is written to.
#[derive(Debug)]
struct Known {
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
    ) -> Result<(), String> {
        // Whoever reads it would refuse it.
        if key.len() > KEY_BYTES_MAX {
            return Err(format!(
                "a key for {topic} has {} bytes, more than {KEY_BYTES_MAX}",
                key.len()
            ));
        }
        let Known { topic, partitions, bytes_max } = known(&mut self.topics, topology, topic)?;
        check(topic, *bytes_max, Some(key), value, headers)?;
        self.records.push(topic, partition_of(key, *partitions), Some(key), value, headers);
        Ok(())
    }

    /// Adds a dead letter for `record`: its bytes and headers, and why it could not be worked on.
    /// One that would be too large has only key, place and reason; the record itself stays where it
    /// was read.
    pub(crate) fn dead_letter(
        &mut self,
        topology: &Topology,
        record: &Record,
        error: &str,
    ) -> Result<(), String> {
        let Known { topic, partitions, bytes_max } =
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
        // Commands of users hold personal data and password hashes: nothing of them stays here.
        let secret = &*record.topic == "user.commands";
        let value = record.value.as_deref().filter(|_| !secret);
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

/// Whether `topic`, whose limit is `bytes_max`, takes a record.
pub(crate) fn check(
    topic: &str,
    bytes_max: usize,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    headers: &Headers,
) -> Result<(), String> {
    match wire_bytes(key, value, headers) {
        size if size <= bytes_max => Ok(()),
        size => {
            Err(format!("a record of {size} bytes for {topic}, which takes {bytes_max} at most"))
        }
    }
}

/// The topic called `name`.
fn known<'a>(
    all: &'a mut Vec<Known>,
    topology: &Topology,
    name: &str,
) -> Result<&'a Known, String> {
    let index = match all.iter().position(|known| *known.topic == *name) {
        Some(index) => index,
        None => {
            let partitions = topology.partitions(name);
            let partitions = partitions.ok_or_else(|| format!("there is no topic {name:?}"))?;
            all.push(Known { topic: name.into(), partitions, bytes_max: record_bytes_max(name) });
            all.len() - 1
        }
    };
    Ok(&all[index])
}
