//! A group member against librdkafka's mock of a cluster.

mod assignments;

use rdkafka::{
    mocking::MockCluster,
    types::{RDKafkaApiKey, RDKafkaRespErr},
};

use super::*;
use crate::{
    client::testing::{MOCK_MAX, RECORD, ZSTD, ZSTD_RECORD, produce, produce_to, write_batch},
    log::Headers,
};

const STATISTICS_INTERVAL: Duration = Duration::from_millis(100);

fn poll_until(consumer: &mut GroupConsumer, records: &mut Vec<Record>, count: usize) {
    let begun = Instant::now();
    while records.len() < count {
        consumer.poll(Duration::from_millis(50), 100, records).expect("it reads");
        assert!(begun.elapsed() < MOCK_MAX, "{} of {count} records came", records.len());
    }
}

fn member(brokers: &str) -> GroupConsumer {
    let inputs = ["input".into()];
    let interval = STATISTICS_INTERVAL.as_millis().to_string();
    let extra = [("statistics.interval.ms", &*interval)];
    GroupConsumer::join(&brokers.into(), "group", &inputs, &extra, Box::new(|| {}))
        .expect("it joins")
}

fn joined(brokers: &str) -> GroupConsumer {
    let mut consumer = member(brokers);
    consumer.assigned_max = MOCK_MAX;
    let (begun, mut nothing) = (Instant::now(), Vec::new());
    while consumer.membership().is_none() {
        consumer.poll(Duration::from_millis(50), 1, &mut nothing).expect("it reads");
        assert!(begun.elapsed() < MOCK_MAX, "it has no partition");
    }
    consumer
}

#[test]
fn header_names_that_are_not_utf8_are_read_unchanged() {
    let cluster = MockCluster::new(1).expect("a mock");
    cluster.create_topic("input", 1, 1).expect("a topic");
    let mut headers = Headers::default();
    headers.push(b"\xff\xfe", b"1");
    headers.push("empty", "");
    headers.push("", b"\xff");
    produce(&cluster.bootstrap_servers(), "input", &headers, 1);

    let mut consumer = joined(&cluster.bootstrap_servers());
    consumer.fetch_from(&[(TopicPartition::new("input", 0), 0)]).expect("it moves");
    let mut records = Vec::new();
    poll_until(&mut consumer, &mut records, 1);
    assert_eq!(records[0].headers, headers);
}

#[test]
fn batch_that_is_compressed_with_zstd_is_read() {
    let cluster = MockCluster::new(1).expect("a mock");
    cluster.create_topic("input", 1, 1).expect("a topic");
    write_batch(&cluster.bootstrap_servers(), ("input", 0), ZSTD, ZSTD_RECORD, false);

    let mut consumer = joined(&cluster.bootstrap_servers());
    consumer.fetch_from(&[(TopicPartition::new("input", 0), 0)]).expect("it moves");
    let mut records = Vec::new();
    poll_until(&mut consumer, &mut records, 1);
    assert_eq!(records[0].value.as_deref(), Some(&b"value"[..]));
}

#[test]
fn batch_that_cant_be_read_is_an_error_that_names_its_partition() {
    /// A codec that Kafka does not have.
    const UNKNOWN: i16 = 7;
    let garbage = &b"no frame of any codec"[..];
    for (attributes, records, damage, why) in [
        (UNKNOWN, garbage, false, "NotImplemented"),
        (ZSTD, garbage, false, "BadCompression"),
        (0, RECORD, true, "BadMessage"),
    ] {
        let cluster = MockCluster::new(1).expect("a mock");
        cluster.create_topic("input", 3, 1).expect("a topic");
        let brokers = cluster.bootstrap_servers();
        produce_to(&brokers, "input", &Headers::default(), [0, 1, 1].into_iter());
        write_batch(&brokers, ("input", 1), attributes, records, damage);
        // The client continues here behind a batch with a wrong checksum.
        produce_to(&brokers, "input", &Headers::default(), std::iter::once(1));

        let mut consumer = joined(&brokers);
        let inputs = [0, 1, 2].map(|partition| (TopicPartition::new("input", partition), 0));
        consumer.fetch_from(&inputs).expect("it moves");
        let (begun, mut records) = (Instant::now(), Vec::new());
        let error = loop {
            if let Err(error) = consumer.poll(Duration::from_millis(50), 100, &mut records) {
                break error;
            }
            assert!(begun.elapsed() < MOCK_MAX, "no error");
        };
        let expected = "the records of input[1] from offset 2 on can't be read";
        assert_eq!(error.to_string(), expected, "{error:?}");
        let cause = std::error::Error::source(&error).expect("a cause").to_string();
        assert!(cause.contains(why), "{cause}");
        assert_eq!(records.iter().filter(|record| record.partition == 1).count(), 2);
    }
}

#[test]
fn position_is_unknown_after_a_move_until_something_is_polled() {
    let cluster = MockCluster::new(1).expect("a mock");
    cluster.create_topic("input", 1, 1).expect("a topic");
    produce(&cluster.bootstrap_servers(), "input", &Headers::default(), 5);

    let mut consumer = joined(&cluster.bootstrap_servers());
    let input = TopicPartition::new("input", 0);
    for from in [0, 3, 0, 1] {
        consumer.fetch_from(&[(input.clone(), from)]).expect("it moves");
        assert_eq!(consumer.positions(), [], "nothing was polled from {from} on");
        let mut records = Vec::new();
        poll_until(&mut consumer, &mut records, usize::try_from(5 - from).expect("a count"));
        assert_eq!(records[0].offset, from);
        assert_eq!(consumer.positions(), [(input.clone(), 5)]);
    }
}

/// Tasks that are restored within milliseconds move the member once for each of them.
#[test]
fn every_partition_is_read_after_quick_moves() {
    const PARTITIONS: i32 = 64;
    let cluster = MockCluster::new(1).expect("a mock");
    cluster.create_topic("input", PARTITIONS, 1).expect("a topic");
    produce_to(&cluster.bootstrap_servers(), "input", &Headers::default(), 0..PARTITIONS);

    let mut consumer = joined(&cluster.bootstrap_servers());
    let positions = |count| {
        (0..count).map(|partition| (TopicPartition::new("input", partition), 0)).collect::<Vec<_>>()
    };
    for _ in 0..10 {
        for count in 1..=PARTITIONS {
            consumer.fetch_from(&positions(count)).expect("it moves");
        }
        let mut records = Vec::new();
        poll_until(&mut consumer, &mut records, 64);
    }
}

#[test]
fn partition_that_is_not_fetched_is_reported() {
    let cluster = MockCluster::new(1).expect("a mock");
    cluster.create_topic("input", 2, 1).expect("a topic");
    let mut consumer = joined(&cluster.bootstrap_servers());
    consumer.stall.interval = Duration::from_millis(500);
    let inputs = [0, 1].map(|partition| (TopicPartition::new("input", partition), 0));
    consumer.fetch_from(&inputs).expect("it moves");
    let (begun, mut records) = (Instant::now(), Vec::new());
    while begun.elapsed() < Duration::from_secs(4) {
        consumer.poll(Duration::from_millis(50), 100, &mut records).expect("it is at the end");
    }

    // The broker answers every request but the fetches, which the client repeats in silence.
    let refusals = vec![RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION; 10_000];
    cluster.request_errors(RDKafkaApiKey::Fetch, &refusals);
    produce(&cluster.bootstrap_servers(), "input", &Headers::default(), 3);
    let begun = Instant::now();
    let mut lag = Vec::new();
    let error = loop {
        match consumer.poll(Duration::from_millis(50), 100, &mut records) {
            Err(error) => break error,
            Ok(()) => lag.extend(consumer.lag().into_iter().flatten()),
        }
        assert!(begun.elapsed() < MOCK_MAX, "it never ends");
    };
    assert!(matches!(error, LogError::Fatal { .. }), "{error:?}");
    let source = std::error::Error::source(&error).expect("a cause").to_string();
    assert_eq!(source, "the client fetches nothing, and committed records end at 3");
    assert_eq!(consumer.stall.behind()[0].partition, TopicPartition::new("input", 0));
    assert!(records.is_empty());
}

#[test]
fn lag_counts_only_records_of_its_partition() {
    let cluster = MockCluster::new(1).expect("a mock");
    cluster.create_topic("input", 2, 1).expect("a topic");
    let mut consumer = joined(&cluster.bootstrap_servers());
    let inputs = [0, 1].map(|partition| (TopicPartition::new("input", partition), 0));
    consumer.fetch_from(&inputs).expect("it moves");
    let (begun, mut records) = (Instant::now(), Vec::new());
    // Statistics are queued behind records, so they tell of records only if they were made while
    // one was polled and others were not.
    let lag = loop {
        produce(&cluster.bootstrap_servers(), "input", &Headers::default(), 100);
        while records.is_empty() {
            consumer.poll(Duration::from_millis(50), 1, &mut records).expect("it reads");
        }
        std::thread::sleep(2 * STATISTICS_INTERVAL);
        consumer.poll(Duration::ZERO, 1000, &mut records).expect("it reads");
        match consumer.lag().as_deref() {
            Some([(_, first), (_, second)]) if *first > 0 => break [*first, *second],
            _ => assert!(begun.elapsed() < MOCK_MAX, "there was no lag"),
        }
        records.clear();
    };
    assert!(lag[0] <= 100, "{lag:?}");
    assert_eq!(lag[1], 0, "nothing was ever written to it");
}

#[test]
fn lag_of_a_partition_whose_broker_is_away_is_unknown() {
    let cluster = MockCluster::new(1).expect("a mock");
    cluster.create_topic("input", 1, 1).expect("a topic");
    let mut consumer = joined(&cluster.bootstrap_servers());
    let input = TopicPartition::new("input", 0);
    consumer.fetch_from(&[(input.clone(), 0)]).expect("it moves");
    let mut until_known = |is_known: bool| {
        let begun = Instant::now();
        loop {
            // Polls serve the statistics. They may tell of the broker that is away.
            let _ = consumer.poll(Duration::from_millis(50), 1, &mut Vec::new());
            let fetches = consumer.consumer.context().take_fetches();
            let lag = fetches.map(|of| of.get(&input).and_then(|fetch| fetch.lag(0, None)));
            if lag.is_some_and(|lag| lag.is_some() == is_known) {
                break;
            }
            assert!(begun.elapsed() < MOCK_MAX, "known: {is_known}, {lag:?}");
        }
    };
    until_known(true);
    cluster.broker_down(1).expect("it is down");
    until_known(false);
    cluster.broker_up(1).expect("it is up");
    until_known(true);
}
