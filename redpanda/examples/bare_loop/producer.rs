//! A producer with the settings of a session's. It chooses no partition.

use std::time::Duration;

use rdkafka::{
    ClientConfig,
    error::RDKafkaErrorCode,
    producer::{BaseRecord, DefaultProducerContext, ThreadedProducer},
};

use crate::Failure;

pub(crate) type Sender = ThreadedProducer<DefaultProducerContext>;

/// A producer; with an id a transactional one.
pub(crate) fn producer(
    brokers: &str,
    id: Option<&str>,
    linger_ms: &str,
) -> Result<Sender, Failure> {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", brokers)
        .set("acks", "all")
        .set("linger.ms", linger_ms)
        .set("retry.backoff.ms", "2")
        .set("batch.num.messages", "100000")
        .set("batch.size", "1000000")
        .set("queue.buffering.max.messages", "1000000")
        .set("delivery.report.only.error", "true");
    if let Some(id) = id {
        config.set("transactional.id", id);
    }
    Ok(config.create()?)
}

/// Queues a record; waits while the queue is full.
pub(crate) fn send(
    producer: &Sender,
    topic: &str,
    partition: i32,
    key: &[u8],
    value: &[u8],
) -> Result<(), Failure> {
    let mut record = BaseRecord::to(topic).partition(partition).key(key).payload(value);
    while let Err((error, same)) = producer.send(record) {
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
            return Err(error.into());
        }
        std::thread::sleep(Duration::from_millis(1));
        record = same;
    }
    Ok(())
}
