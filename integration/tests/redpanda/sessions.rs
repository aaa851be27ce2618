//! Sessions, readers and writers: fencing, rebalances, positions, the time of a commit.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use redpanda::log::{
    CommittedOffset, Connect, Headers, Input, LogError, Record, TopicPartition, Transaction,
    TransactionError,
};
use redpanda::reader::Reader;
use redpanda::removal::remove_before;
use redpanda::scan::{Isolation, scan, spans};
use redpanda::writer::{CommandWriter, WriteError};

use crate::support::{
    PARTITIONS, TestTopics, WAIT_MAX, assigned, brokers, ended, outgoing, polled, text, wait_for,
};

#[test]
#[ignore = "needs the stack"]
fn session_is_fenced_by_its_successor() {
    let topics = TestTopics::new();
    topics.fill(10);
    let topic = topics.topic("in");
    let mut old = topics.member("a").open().expect("a session");
    let partitions = assigned(&mut *old, &topic);
    let write = |value: &str| Transaction {
        records: [outgoing(&topics.topic("out"), 0, value)].into_iter().collect(),
        offsets: partitions.iter().map(|p| (TopicPartition::new(&*topic, *p), 1.into())).collect(),
    };
    old.submit(write("first")).expect("submitted");
    ended(&mut *old).expect("committed");

    let mut new = topics.member("a").open().expect("a session");
    old.submit(write("zombie")).expect("submitted");
    let end = ended(&mut *old);
    assert!(matches!(end, Err(TransactionError::Fenced(_))), "{end:?}");
    drop(old);

    // The successor continues at the committed offsets, and can write.
    let partitions = assigned(&mut *new, &topic);
    let offsets: Vec<_> = partitions.iter().map(|p| TopicPartition::new(&*topic, *p)).collect();
    assert_eq!(new.committed(&offsets).expect("offsets"), vec![Some(1); partitions.len()]);
    new.submit(write("second")).expect("submitted");
    ended(&mut *new).expect("committed");
    assert_eq!(topics.committed("out"), ["first", "second"]);
}

#[test]
#[ignore = "needs the stack"]
fn restore_reads_the_counts_that_a_transaction_has_committed_with_its_offsets() {
    let topics = TestTopics::new();
    let (topic, out) = (topics.topic("in"), topics.topic("out"));
    let mut session = topics.member("a").open().expect("a session");
    let partitions = assigned(&mut *session, &topic);
    // The second transaction moves no offset.
    for count in [41, 42] {
        let offset = CommittedOffset { next: 0, transactions: Some(count) };
        let transaction = Transaction {
            records: [outgoing(&out, 0, "value")].into_iter().collect(),
            offsets: partitions
                .iter()
                .map(|p| (TopicPartition::new(&*topic, *p), offset))
                .collect(),
        };
        session.submit(transaction).expect("submitted");
        ended(&mut *session).expect("committed");
    }

    let input = TopicPartition::new(&*topic, partitions[0]);
    let changelog = TopicPartition::new(&*out, 0);
    let mut restore = session.restore(&changelog, &[input], &[]).expect("a reader");
    let (since, mut records) = (Instant::now(), Vec::new());
    let start = loop {
        let polled = restore.poll(Duration::from_millis(100), 1000, &mut records);
        if let Some(start) = polled.expect("records") {
            break start;
        }
        assert!(since.elapsed() < WAIT_MAX, "it never ends");
    };
    assert_eq!(start.committed, [Some(CommittedOffset { next: 0, transactions: Some(42) })]);
}

#[test]
#[ignore = "needs the stack"]
fn idle_session_learns_that_another_is_the_same_member() {
    let topics = TestTopics::new();
    let topic = topics.topic("in");
    let mut old = topics.member("a").open().expect("a session");
    assigned(&mut *old, &topic);
    let mut new = topics.member("a").open().expect("a session");
    let (mut out, begun, wait) = (Vec::new(), Instant::now(), Duration::from_millis(50));
    let error = loop {
        new.poll(wait, 1, &mut out).expect("the successor works");
        drop(new.membership());
        if let Err(error) = old.poll(wait, 1, &mut out) {
            break error;
        }
        drop(old.membership());
        assert!(begun.elapsed() < WAIT_MAX, "the old session still works");
    };
    assert!(matches!(error, LogError::Fenced { .. }), "{error:?}");
}

#[test]
#[ignore = "needs the stack"]
fn member_can_be_dropped_at_any_moment_of_a_rebalance() {
    let topics = TestTopics::new();
    for round in 0..60_u64 {
        let mut member = topics.member("a").open().expect("a session");
        if round % 2 == 0 {
            // Dropped while it joins, is being assigned, or is assigned, after a poll or without
            // one.
            member.poll(Duration::from_millis(round * 2), 1, &mut Vec::new()).expect("a poll");
        } else {
            std::thread::sleep(Duration::from_millis(round * 2));
        }
        let since = Instant::now();
        drop(member);
        assert!(
            since.elapsed() < Duration::from_secs(5),
            "round {round} took {:?}",
            since.elapsed()
        );
    }
}

#[test]
#[ignore = "needs the stack"]
fn input_can_be_read_again_and_a_position_out_of_range_is_an_error() {
    let topics = TestTopics::new();
    topics.fill(20);
    let topic = topics.topic("in");
    let name = format!("{}.reader", topics.name);
    let mut reader =
        Reader::join(&brokers(), &name, "0", &[topic.as_str().into()]).expect("a reader");
    let partitions = assigned(&mut reader, &topic);
    assert_eq!(partitions, [0, 1]);
    let first = polled(&mut reader, 20);

    // Rewound, it reads the same again.
    let beginning: Vec<_> =
        partitions.iter().map(|p| (TopicPartition::new(&*topic, *p), 0)).collect();
    reader.fetch_from(&beginning).expect("fetching");
    let again = polled(&mut reader, 20);
    let places = |records: &[Record]| -> BTreeMap<(i32, i64), String> {
        records.iter().map(|record| ((record.partition, record.offset), text(record))).collect()
    };
    assert_eq!(places(&first), places(&again));
    assert!(first.iter().all(|record| record.timestamp_ms > 0), "the broker sets the time");

    let lost = TopicPartition::new(&*topic, 1);
    reader
        .fetch_from(&[(TopicPartition::new(&*topic, 0), 0), (lost.clone(), 10_000)])
        .expect("fetching");
    let since = Instant::now();
    let error = loop {
        match reader.poll(Duration::from_millis(100), 100, &mut Vec::new()) {
            Ok(()) => assert!(since.elapsed() < WAIT_MAX, "no error"),
            Err(error) => break error,
        }
    };
    match error {
        LogError::OutOfRange { partition, offset, beginning, end } => {
            assert_eq!((partition, offset, beginning), (lost, 10_000, 0));
            assert!(end > 0);
        }
        other => panic!("{other}"),
    }
}

#[test]
#[ignore = "needs the stack"]
fn scan_continues_behind_markers_that_were_removed() {
    let topics = TestTopics::new();
    topics.fill(1);
    let (topic, out) = (topics.topic("in"), topics.topic("out"));
    let mut session = topics.member("a").open().expect("a session");
    let partitions = assigned(&mut *session, &topic);
    let transaction = Transaction {
        records: (0..PARTITIONS).map(|n| outgoing(&out, n, "value")).collect(),
        offsets: partitions.iter().map(|p| (TopicPartition::new(&*topic, *p), 0.into())).collect(),
    };
    session.submit(transaction).expect("submitted");
    ended(&mut *session).expect("committed");

    // The positions are behind the marker of each partition.
    let (since, mut count, mut positions) = (Instant::now(), 0, BTreeMap::new());
    let read = |positions: &mut BTreeMap<i32, i64>| {
        scan(&brokers(), &out, PARTITIONS, Isolation::Committed, positions, WAIT_MAX)
            .expect("records")
            .len()
    };
    while count < PARTITIONS as usize {
        count += read(&mut positions);
        assert!(since.elapsed() < WAIT_MAX, "{count} records");
    }
    let ends = spans(&brokers(), &out).expect("an answer").expect("a topic").into_iter();
    let ends: BTreeMap<i32, i64> = (0..).zip(ends.map(|(_, end)| end)).collect();
    assert_eq!(positions, ends);

    let before: Vec<_> =
        ends.iter().map(|(n, end)| (TopicPartition::new(&*out, *n), *end)).collect();
    wait_for(remove_before(&brokers(), &before)).expect("removed");
    assert_eq!(read(&mut positions), 0);
}

#[test]
#[ignore = "needs the stack"]
fn small_transactions_do_not_wait_for_a_flush() {
    const TRANSACTIONS: usize = 200;
    let topics = TestTopics::new();
    topics.fill(1);
    let topic = topics.topic("in");
    let mut session = topics.member("a").open().expect("a session");
    let partitions = assigned(&mut *session, &topic);
    let mut milliseconds: Vec<f64> = (0..TRANSACTIONS)
        .map(|_| {
            let records =
                (0..10).map(|n| outgoing(&topics.topic("out"), n % PARTITIONS, "ten bytes."));
            let offsets = partitions.iter().map(|p| (TopicPartition::new(&*topic, *p), 0.into()));
            let transaction =
                Transaction { records: records.collect(), offsets: offsets.collect() };
            let since = Instant::now();
            session.submit(transaction).expect("submitted");
            ended(&mut *session).expect("committed");
            since.elapsed().as_secs_f64() * 1000.0
        })
        .collect();
    milliseconds.sort_by(f64::total_cmp);
    let at = |share: usize| milliseconds[TRANSACTIONS * share / 100];
    println!(
        "ten records and their commit: p50 {:.1} ms, p90 {:.1} ms, p99 {:.1} ms",
        at(50),
        at(90),
        at(99)
    );
    // The client crate's own commit takes at least 100 ms. The limit leaves room for a busy
    // machine.
    assert!(at(50) < 60.0, "p50 {:.1} ms", at(50));
}

#[test]
#[ignore = "needs the stack"]
fn command_that_no_broker_answers_fails_at_its_deadline() {
    let topics = TestTopics::new();
    // Given a broker that accepts connections and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let writer = CommandWriter::of(
        &silent.local_addr().expect("an address").to_string(),
        topics.topics.clone(),
    );
    let deadline = Duration::from_millis(300);
    let since = Instant::now();
    let topic = topics.topic("in");
    let error =
        wait_for(writer.write(&topic, "k", Vec::new().into(), &Headers::default(), deadline));
    assert!(matches!(error, Err(WriteError::Deadline { .. })), "{error:?}");
    assert!(since.elapsed() < Duration::from_secs(3));
}
