//! A group member against librdkafka's mock of a cluster.

mod assignments;
mod lag;

use std::{sync::mpsc, thread};

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
    member_with(brokers, Box::new(|| {}))
}

fn member_with(brokers: &str, before_revoke: BeforeRevoke) -> GroupConsumer {
    let inputs = ["input".into()];
    let interval = STATISTICS_INTERVAL.as_millis().to_string();
    let extra = [("statistics.interval.ms", &*interval)];
    GroupConsumer::join(&brokers.into(), "group", &inputs, &extra, before_revoke).expect("it joins")
}

fn joined(brokers: &str) -> GroupConsumer {
    joined_with(brokers, Box::new(|| {}))
}

fn joined_with(brokers: &str, before_revoke: BeforeRevoke) -> GroupConsumer {
    let mut consumer = member_with(brokers, before_revoke);
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

/// Tells which thread has dropped it.
struct Dropped(mpsc::Sender<Option<String>>);

impl Drop for Dropped {
    fn drop(&mut self) {
        let _ = self.0.send(thread::current().name().map(str::to_owned));
    }
}

#[test]
fn member_that_is_dropped_while_ends_are_asked_for_is_closed_by_the_thread_that_counts() {
    let cluster = MockCluster::new(1).expect("a mock");
    cluster.create_topic("input", 1, 1).expect("a topic");
    let (sender, dropped) = mpsc::channel();
    let guard = Dropped(sender);
    let before_revoke = Box::new(move || {
        std::hint::black_box(&guard);
    });
    let brokers = cluster.bootstrap_servers();
    let mut consumer = joined_with(&brokers, before_revoke);
    consumer.fetch_from(&[(TopicPartition::new("input", 0), 0)]).expect("it moves");
    consumer.poll(Duration::from_millis(50), 1, &mut Vec::new()).expect("it reads");
    // The request for the end lasts longer than the close.
    cluster.broker_round_trip_time(1, Duration::from_secs(2)).expect("a delay");
    consumer.stall.interval = Duration::ZERO;
    consumer.poll(Duration::ZERO, 1, &mut Vec::new()).expect("it reads");
    drop(consumer);
    let thread = dropped.recv_timeout(MOCK_MAX).expect("it is closed");
    assert_eq!(thread.as_deref(), Some("close"));
}
