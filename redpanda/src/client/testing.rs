//! Records for tests, in librdkafka's own mock of a cluster.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
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

/// The bits of a batch's attributes that say that its records are compressed with zstd.
pub(crate) const ZSTD: i16 = 4;

/// One record with the value `value`, not compressed.
pub(crate) const RECORD: &[u8] = b"\x16\0\0\0\x01\x0avalue\0";

/// One record with the value `value`, compressed by the program `zstd` 1.5.
pub(crate) const ZSTD_RECORD: &[u8] = b"\x28\xb5\x2f\xfd\x20\x0c\x61\0\0\x16\0\0\0\x01\x0avalue\0";

/// Writes a batch of one record to a partition, byte by byte: `records` is what follows the batch's
/// header, in the codec that `attributes` names. With `damage`, a bit of the checksum is wrong. The
/// partition's leader must be the only broker.
pub(crate) fn write_batch(
    broker: &str,
    (topic, partition): (&str, i32),
    attributes: i16,
    records: &[u8],
    damage: bool,
) {
    const NONE: [u8; 2] = (-1_i16).to_be_bytes();
    let length = |bytes: usize| i32::try_from(bytes).expect("a small request").to_be_bytes();
    let name = i16::try_from(topic.len()).expect("a short name").to_be_bytes();
    // The header of a batch (Kafka's message format, version 2): what its checksum covers, and what
    // is before that, from the base offset on.
    let covered = [
        &attributes.to_be_bytes()[..],
        &0_i32.to_be_bytes(),
        &[0_u8; 16],
        &(-1_i64).to_be_bytes(),
        &NONE,
        &(-1_i32).to_be_bytes(),
        &1_i32.to_be_bytes(),
        records,
    ]
    .concat();
    let batch = [
        &0_i64.to_be_bytes()[..],
        &length(9 + covered.len()),
        &(-1_i32).to_be_bytes(),
        &[2_u8],
        &(crc32c::crc32c(&covered) ^ u32::from(damage)).to_be_bytes(),
        &covered,
    ]
    .concat();
    // Produce, version 3: key, version, number, no client; no transaction, acks of all replicas,
    // deadline, and one partition of one topic.
    let request = [
        &0_i16.to_be_bytes()[..],
        &3_i16.to_be_bytes(),
        &1_i32.to_be_bytes(),
        &NONE,
        &NONE,
        &(-1_i16).to_be_bytes(),
        &10_000_i32.to_be_bytes(),
        &1_i32.to_be_bytes(),
        &name,
        topic.as_bytes(),
        &1_i32.to_be_bytes(),
        &partition.to_be_bytes(),
        &length(batch.len()),
        &batch,
    ]
    .concat();
    let mut stream = TcpStream::connect(broker).expect("a broker");
    stream.set_read_timeout(Some(MOCK_MAX)).expect("a deadline");
    let sent = [&length(request.len())[..], &request].concat();
    stream.write_all(&sent).expect("sent");
    // The answer's length, number, topic and partition come before its error code.
    let mut answer = vec![0; 4 + 4 + 4 + 2 + topic.len() + 4 + 4 + 2];
    stream.read_exact(&mut answer).expect("an answer");
    assert!(answer.ends_with(&[0, 0]), "the broker has refused the batch: {answer:?}");
}
