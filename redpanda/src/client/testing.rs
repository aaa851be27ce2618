//! Records for tests, in librdkafka's own mock of a cluster.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::{ClientConfig, producer::BaseProducer};

use crate::{
    log::{Headers, ProducerRecord, ProducerRecords},
    raw,
};

/// The deadline for answers of librdkafka's mock of a broker.
pub(crate) const MOCK_MAX: Duration = Duration::from_secs(20);

/// Writes `count` records to partition 0 of `topic`.
pub(crate) fn produce(brokers: &str, topic: &str, headers: &Headers, count: usize) {
    produce_to(brokers, topic, headers, std::iter::repeat_n(0, count));
}

/// Writes one record to each of `partitions` of `topic`.
pub(crate) fn produce_to(
    brokers: &str,
    topic: &str,
    headers: &Headers,
    partitions: impl Iterator<Item = i32>,
) {
    let producer: BaseProducer =
        ClientConfig::new().set("bootstrap.servers", brokers).create().expect("a producer");
    let producer = Arc::new(producer);
    let handle = raw::ProducerTopic::new(producer.clone(), topic).expect("a topic");
    let record = |partition| ProducerRecord {
        topic: topic.into(),
        partition,
        key: None,
        value: Some("value".into()),
        headers: headers.clone(),
    };
    let records: ProducerRecords = partitions.map(record).collect();
    for record in records.iter() {
        handle.send(&record).expect("room in the queue");
    }
    let begun = Instant::now();
    while !raw::flush(&*producer, Duration::from_millis(10)) {
        producer.poll(Duration::ZERO);
        assert!(begun.elapsed() < MOCK_MAX, "nothing is delivered");
    }
}
