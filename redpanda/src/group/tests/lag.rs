//! What a member knows of the ends of its partitions.

use rdkafka::{ClientContext as _, Statistics, mocking::MockCluster, statistics};

use super::super::*;
use super::{STATISTICS_INTERVAL, joined};
use crate::{
    client::testing::{MOCK_MAX, produce},
    log::Headers,
};

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

/// Polls until new statistics tell whether the lag of a partition is known.
fn until_known(consumer: &mut GroupConsumer, input: &TopicPartition, is_known: bool) {
    let begun = Instant::now();
    loop {
        // Polls serve the statistics. They may tell of the broker that is away.
        let _ = consumer.poll(Duration::from_millis(50), 1, &mut Vec::new());
        let lag = consumer.lag();
        let has_lag = |lag: &Vec<(TopicPartition, i64)>| lag.iter().any(|(it, _)| it == input);
        if lag.as_ref().is_some_and(|lag| has_lag(lag) == is_known) {
            break;
        }
        assert!(begun.elapsed() < MOCK_MAX, "known: {is_known}, {lag:?}");
    }
}

#[test]
fn lag_of_a_partition_whose_broker_is_away_is_unknown() {
    let cluster = MockCluster::new(1).expect("a mock");
    cluster.create_topic("input", 1, 1).expect("a topic");
    let mut consumer = joined(&cluster.bootstrap_servers());
    let input = TopicPartition::new("input", 0);
    consumer.fetch_from(&[(input.clone(), 0)]).expect("it moves");
    until_known(&mut consumer, &input, true);
    cluster.broker_down(1).expect("it is down");
    until_known(&mut consumer, &input, false);
    cluster.broker_up(1).expect("it is up");
    until_known(&mut consumer, &input, true);
}

#[test]
fn end_of_a_partition_without_a_leader_is_unknown_while_other_brokers_answer() {
    let input = TopicPartition::new("input", 0);
    let context = GroupContext::new(std::slice::from_ref(&input.topic), Box::new(|| {}));
    let lag_with = |leader| {
        let broker = |nodeid| statistics::Broker {
            nodeid,
            state: "UP".to_owned(),
            ..statistics::Broker::default()
        };
        let partition = statistics::Partition {
            broker: leader,
            next_offset: 5,
            ls_offset: 5,
            ..statistics::Partition::default()
        };
        let topic = statistics::Topic {
            partitions: [(0, partition)].into(),
            ..statistics::Topic::default()
        };
        context.stats(Statistics {
            // The broker to begin with, and the group's coordinator, have the id -1.
            brokers: [-1, 1].map(|id| (format!("broker {id}"), broker(id))).into(),
            topics: [("input".to_owned(), topic)].into(),
            ..Statistics::default()
        });
        context.fetches()[&input].lag(0, None)
    };
    assert_eq!(lag_with(1), Some(0));
    assert_eq!(lag_with(-1), None, "no leader");
    assert_eq!(lag_with(2), None, "its leader is away");
}
