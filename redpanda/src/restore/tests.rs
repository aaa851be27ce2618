//! Restores against librdkafka's mock of a cluster.

use std::{net::TcpListener, time::Instant};

use rdkafka::{
    mocking::MockCluster,
    types::{RDKafkaApiKey, RDKafkaRespErr},
};

use super::{thread::is_complete, *};
use crate::{
    client::{
        standalone_reader,
        testing::{MOCK_MAX, produce},
        watermark_client,
    },
    group::GroupConsumer,
    log::Headers,
};

fn member(brokers: &str) -> GroupConsumer {
    GroupConsumer::join(&brokers.into(), "group", &["input".into()], &[], Box::new(|| {}))
        .expect("a member")
}

#[test]
fn restore_does_not_block_its_worker_while_no_broker_answers() {
    // It accepts connections and answers nothing.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let mut member = member(&silent.local_addr().expect("an address").to_string());
    let (begun, mut none) = (Instant::now(), Vec::new());
    let partitions = ["changelog", "input"].map(|topic| TopicPartition::new(topic, 0));
    for _ in 0..8 {
        let mut reader = member.restore(&partitions[0], &partitions[1..], &[]).expect("a reader");
        let start = reader.poll(Duration::from_millis(1), 10, &mut none).expect("no error yet");
        assert_eq!((start, none.len(), reader.progress()), (None, 0, (0, 0)));
    }
    assert!(begun.elapsed() < Duration::from_secs(4), "it took {:?}", begun.elapsed());
}

#[test]
fn restore_reads_the_whole_changelog_and_returns_the_offsets_of_the_inputs() {
    let cluster = MockCluster::new(1).expect("a mock");
    cluster.create_topic("input", 1, 1).expect("a topic");
    cluster.create_topic("changelog", 1, 1).expect("a topic");
    let brokers = cluster.bootstrap_servers();
    produce(&brokers, "changelog", &Headers::default(), 2_500);
    produce(&brokers, "input", &Headers::default(), 3);
    let partitions = ["changelog", "input"].map(|topic| TopicPartition::new(topic, 0));
    let mut member = member(&brokers);
    let mut reader =
        member.restore(&partitions[0], &partitions[1..], &partitions[1..]).expect("a reader");
    let (begun, mut records) = (Instant::now(), Vec::new());
    let start = loop {
        match reader.poll(Duration::from_millis(50), 1_000, &mut records) {
            Ok(Some(start)) => break start,
            Ok(None) | Err(LogError::Retriable { .. }) => {}
            Err(error) => panic!("{error}"),
        }
        let progress = reader.progress();
        assert!(begun.elapsed() < MOCK_MAX, "{} records, {progress:?}", records.len());
    };
    assert_eq!(start, Start { committed: vec![None], kept: vec![(0, 3)], ends: vec![3] });
    let offsets: Vec<_> = records.iter().map(|record| record.offset).collect();
    assert_eq!(offsets, (0..2_500).collect::<Vec<_>>());
    assert_eq!(reader.progress(), (2_500, 2_500));
}

/// A thread's part of a restore of the topic `changelog` of `brokers`, and what it sends.
fn restore_of(brokers: &str) -> (RestoreThread, mpsc::Receiver<Result<Found, LogError>>) {
    let (sender, found) = mpsc::sync_channel(100);
    let thread = RestoreThread {
        member: Weak::new(),
        consumer: standalone_reader(&brokers.into(), "group").expect("a client"),
        watermark_client: watermark_client(&brokers.into(), "group").expect("a client"),
        group: "group".to_owned(),
        changelog: TopicPartition::new("changelog", 0),
        inputs: Vec::new(),
        watched: Vec::new(),
        reporter: Reporter::new(sender, Arc::default()),
        behind_max: BEHIND_MAX,
        read_max: READ_MAX,
    };
    (thread, found)
}

#[test]
fn restore_continues_to_a_larger_end_that_the_leader_states_later() {
    let cluster = MockCluster::new(1).expect("a mock");
    cluster.create_topic("changelog", 1, 1).expect("a topic");
    produce(&cluster.bootstrap_servers(), "changelog", &Headers::default(), 5);
    let (thread, found) = restore_of(&cluster.bootstrap_servers());
    let progress = thread.reporter.progress.clone();
    // The end as a leader states it that does not know yet how far the log is committed.
    thread.read_changelog(0, 2).expect("it reads");
    drop(thread);
    let mut read = 0;
    while let Ok(found) = found.recv() {
        match found {
            Ok(Found::Records(records)) => read += records.len(),
            Ok(Found::Complete(_)) => panic!("only the changelog was read"),
            Err(error) => assert!(matches!(error, LogError::Retriable { .. }), "{error}"),
        }
    }
    assert_eq!((read, progress.position()), (5, 5));
}

#[test]
fn restore_waits_while_its_leader_states_a_smaller_end_than_an_earlier_one() {
    let cluster = MockCluster::new(1).expect("a mock");
    cluster.create_topic("changelog", 1, 1).expect("a topic");
    let brokers = cluster.bootstrap_servers();
    produce(&brokers, "changelog", &Headers::default(), 3);
    let (thread, found) = restore_of(&brokers);
    let _progress = thread.reporter.progress.clone();
    let asking = std::thread::spawn(move || thread.stated_end(5));
    let reason = loop {
        match found.recv_timeout(MOCK_MAX).expect("it sends why it waits") {
            Err(LogError::Retriable { cause, .. })
                if cause.to_string().starts_with("its leader") =>
            {
                break cause.to_string();
            }
            Err(LogError::Retriable { .. }) => {}
            _ => panic!("it sends something else"),
        }
    };
    assert_eq!(reason, "its leader states the end 3, an earlier one stated 5");
    // The new leader has caught up.
    produce(&brokers, "changelog", &Headers::default(), 2);
    let drained = std::thread::spawn(move || found.iter().count());
    assert_eq!(asking.join().expect("no panic").expect("an answer"), Some(5));
    drained.join().expect("no panic");
}

#[test]
fn restore_continues_with_a_smaller_end_if_records_were_lost_before_it_reads() {
    let cluster = MockCluster::new(1).expect("a mock");
    cluster.create_topic("changelog", 1, 1).expect("a topic");
    produce(&cluster.bootstrap_servers(), "changelog", &Headers::default(), 3);
    let (mut thread, found) = restore_of(&cluster.bootstrap_servers());
    thread.behind_max = Duration::from_secs(3);
    let progress = thread.reporter.progress.clone();
    // The end of a log that has lost two records since.
    let reading = std::thread::spawn(move || thread.read_changelog(0, 5));
    let (mut read, mut reasons) = (0, Vec::new());
    loop {
        match found.recv_timeout(MOCK_MAX) {
            Ok(Ok(Found::Records(records))) => read += records.len(),
            Ok(Ok(Found::Complete(_))) => panic!("only the changelog was read"),
            Ok(Err(LogError::Retriable { cause, .. })) => reasons.push(cause.to_string()),
            Ok(Err(error)) => panic!("{error}"),
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("the restore waits"),
        }
    }
    reading.join().expect("no panic").expect("it ends");
    assert_eq!((read, progress.position(), progress.end()), (3, 3, 3));
    let reason = "its leader states the end 3, an earlier one stated 5";
    assert!(reasons.iter().any(|found| found == reason), "{reasons:?}");
}

#[test]
fn restore_ends_with_an_error_if_its_client_receives_nothing() {
    let cluster = MockCluster::new(1).expect("a mock");
    cluster.create_topic("changelog", 1, 1).expect("a topic");
    produce(&cluster.bootstrap_servers(), "changelog", &Headers::default(), 3);
    let (mut thread, found) = restore_of(&cluster.bootstrap_servers());
    thread.read_max = Duration::from_secs(1);
    let _progress = thread.reporter.progress.clone();
    // The broker answers every request but the fetches, which the client repeats in silence.
    let refusals = vec![RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION; 10_000];
    cluster.request_errors(RDKafkaApiKey::Fetch, &refusals);
    let reading = std::thread::spawn(move || thread.read_changelog(0, 3));
    let (doing, cause) = loop {
        match found.recv_timeout(MOCK_MAX).expect("it ends") {
            Err(LogError::Fatal { doing, cause }) => break (doing, cause.to_string()),
            Err(LogError::Retriable { .. }) => {}
            Err(error) => panic!("{error}"),
            Ok(_) => panic!("it can't have read anything"),
        }
    };
    assert_eq!(doing, "reading changelog[0] back from offset 0");
    assert_eq!(cause, "neither a record nor the end within 1s, up to 3");
    reading.join().expect("no panic").expect_err("it stops");
}

#[test]
fn end_without_records_counts_as_reached_only_after_a_second_pass_stops_there() {
    // Everything up to the stated end was read.
    assert!(is_complete(5, 5, 5, false));
    assert!(is_complete(7, 5, 6, false));
    // The pass stopped before the end: once is not enough.
    assert!(!is_complete(3, 5, 5, false));
    assert!(is_complete(3, 5, 5, true));
    // A larger end was stated since.
    assert!(!is_complete(3, 5, 6, true));
}
