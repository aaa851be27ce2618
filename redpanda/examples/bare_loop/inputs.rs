//! Writes the inputs that every contender of the benchmark reads.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rdkafka::producer::Producer as _;
use redpanda::partition_of;
use schemas::{Codec, Message as _};

use crate::{
    Failure, PARTITIONS, REQUEST_MAX,
    producer::{Sender, producer, send},
    records::{Add, codec},
};

/// The key of a number. Each key occurs once in `keys` numbers, in an order that defeats caches
/// (Knuth's multiplicative hash).
fn key_of(number: u64, keys: u64) -> String {
    format!("key-{}", number * 2_654_435_761 % keys)
}

/// Writes one input to the partition of its key.
fn write(
    producer: &Sender,
    codec: &Codec,
    topic: &str,
    key: &str,
    body: String,
) -> Result<(), Failure> {
    let mut value = Vec::new();
    Add { body }.encode(codec, &mut value)?;
    send(producer, topic, partition_of(key.as_bytes(), PARTITIONS), key.as_bytes(), &value)
}

/// Writes `records` inputs as fast as possible.
pub(crate) fn fill(
    brokers: &str,
    topic: &str,
    records: u64,
    keys: u64,
    body: usize,
) -> Result<(), Failure> {
    let (producer, codec) = (producer(brokers, None, "5")?, codec());
    for number in 0..records {
        write(&producer, &codec, topic, &key_of(number, keys), format!("{number:0>body$}"))?;
    }
    Ok(producer.flush(Duration::from_secs(120))?)
}

/// Writes `rate` inputs a second: each one when it is due, or as soon as possible after that.
pub(crate) fn pace(
    brokers: &str,
    topic: &str,
    rate: u64,
    seconds: u64,
    keys: u64,
    body: usize,
) -> Result<(), Failure> {
    let (producer, codec) = (producer(brokers, None, "0")?, codec());
    producer.client().fetch_metadata(Some(topic), REQUEST_MAX)?;
    let begun_us = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros())?;
    let begun = Instant::now();
    for number in 0..rate * seconds {
        let due_us = number * 1_000_000 / rate;
        while let Some(wait) = Duration::from_micros(due_us).checked_sub(begun.elapsed()) {
            std::thread::sleep(wait);
        }
        let text = format!("{} ", begun_us + due_us);
        write(&producer, &codec, topic, &key_of(number, keys), format!("{text:-<body$}"))?;
    }
    Ok(producer.flush(Duration::from_secs(30))?)
}
