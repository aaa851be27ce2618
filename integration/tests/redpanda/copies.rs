//! Processes that copy a topic in transactions and die at each step of one.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use redpanda::log::{
    Connect, LogError, Membership, Session, TopicPartition, Transaction, TransactionError,
};
use redpanda::scan;
use redpanda::session::{Delivery, Settings};

use crate::support::{
    PARTITIONS, TestTopics, WAIT_MAX, assigned, brokers, ended, outgoing, read_back, text,
};

/// Names topics and member to a copy of this test binary that runs as a process of its own.
const COPY: &str = "MILLRACE_TEST_COPY";

/// Copies `in` to `out` in transactions until it is killed, as a worker would, in a process of its
/// own (see [`spawn`]).
fn copy(settings: &Settings, out: &str) -> ! {
    let input = settings.inputs[0].clone();
    loop {
        let mut session = settings.open().expect("a session");
        let mut positions = BTreeMap::<i32, i64>::new();
        'session: loop {
            let mut records = Vec::new();
            if session.poll(Duration::from_millis(50), 7, &mut records).is_err() {
                break 'session;
            }
            while let Some(change) = session.membership() {
                records.clear();
                positions.clear();
                if let Membership::Assigned(partitions) = change {
                    let places: Vec<_> =
                        partitions.iter().map(|p| TopicPartition::new(input.clone(), *p)).collect();
                    let committed = loop {
                        match session.committed(&places) {
                            Ok(committed) => break committed,
                            Err(LogError::Retriable { .. }) => {}
                            Err(_) => break 'session,
                        }
                    };
                    positions.extend(
                        partitions
                            .iter()
                            .copied()
                            .zip(committed.into_iter().map(Option::unwrap_or_default)),
                    );
                }
                fetch(&mut *session, &input, &positions);
            }
            if records.is_empty() {
                continue;
            }
            let before = positions.clone();
            let mut transaction = Transaction::default();
            for record in records {
                positions.insert(record.partition, record.offset + 1);
                transaction.records.extend([outgoing(out, record.partition, &text(&record))]);
            }
            transaction.offsets.extend(positions.iter().map(|(partition, next)| {
                (TopicPartition::new(input.clone(), *partition), (*next).into())
            }));
            session.submit(transaction).expect("one at a time");
            match ended(&mut *session) {
                Ok(()) => {}
                Err(TransactionError::Aborted(_)) => {
                    positions = before;
                    fetch(&mut *session, &input, &positions);
                }
                Err(_) => break 'session,
            }
        }
    }
}

fn fetch(session: &mut dyn Session, input: &str, positions: &BTreeMap<i32, i64>) {
    let from =
        positions.iter().map(|(partition, next)| (TopicPartition::new(input, *partition), *next));
    session.fetch_from(&from.collect::<Vec<_>>()).expect("fetching");
}

/// A process that copies. It is killed when this is dropped.
struct Copier(Child);

impl Drop for Copier {
    fn drop(&mut self) {
        // It may have died already.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn spawn(topics: &TestTopics, member: &str, fault: Option<&str>) -> Copier {
    let mut command = Command::new(std::env::current_exe().expect("this binary"));
    command.args(["--ignored", "--exact", "copies::copying_process"]);
    command.env(COPY, format!("{} {member}", topics.name)).stdout(Stdio::null());
    if let Some(fault) = fault {
        command.env("MILLRACE_FAULT", fault);
    }
    Copier(command.spawn().expect("a process"))
}

#[test]
#[ignore = "needs the stack: a process that other tests of this file start"]
fn copying_process() {
    let Ok(given) = std::env::var(COPY) else { return };
    let (name, member) = given.split_once(' ').expect("a name and a member");
    let settings = Settings {
        brokers: (&brokers()).into(),
        group: name.to_owned(),
        inputs: vec![format!("{name}.in").into()],
        transactional_id: format!("{name}-{member}"),
        delivery: Delivery::ExactlyOnce,
    };
    copy(&settings, &format!("{name}.out"));
}

#[test]
#[ignore = "needs the stack: integration/test"]
fn each_record_is_copied_once_although_a_member_dies_at_each_step() {
    const RECORDS: usize = 300;
    let topics = TestTopics::new();
    topics.fill(RECORDS);

    // Given a second member that lives, one dies at each step of a transaction and is started
    // again.
    let _second = spawn(&topics, "b", None);
    for fault in [
        "after-poll:2",
        "after-begin:2",
        "after-send:9",
        "after-offsets:2",
        "before-commit:2",
        "after-commit:2",
    ] {
        // It reaches the fault point only with records.
        topics.fill(RECORDS);
        let mut first = spawn(&topics, "a", Some(fault));
        let since = Instant::now();
        while first.0.try_wait().expect("a process").is_none() {
            assert!(since.elapsed() < WAIT_MAX, "it did not die at {fault}");
            topics.fill(5);
        }
        println!("died at {fault} after {:?}", since.elapsed());
    }

    // Then the surviving member has copied every record once.
    let wanted = topics.committed("in").len();
    let since = Instant::now();
    let copied = loop {
        let copied = topics.committed("out");
        if copied.len() >= wanted {
            break copied;
        }
        assert!(since.elapsed() < WAIT_MAX, "{} of {wanted}", copied.len());
    };
    assert_eq!(counted(copied), counted(topics.committed("in")));
}

fn counted(values: Vec<String>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for value in values {
        *counts.entry(value).or_default() += 1;
    }
    counts
}

#[test]
#[ignore = "needs the stack"]
fn open_transaction_of_a_dead_process_is_aborted_when_its_successor_starts() {
    for fault in ["after-send:1", "before-commit:1"] {
        leave_open_and_succeed(fault);
    }
}

fn leave_open_and_succeed(fault: &str) {
    let topics = TestTopics::new();
    topics.fill(4);
    let mut dying = spawn(&topics, "a", Some(fault));
    dying.0.wait().expect("it dies");
    let out: Vec<_> =
        (0..PARTITIONS).map(|p| TopicPartition::new(topics.topic("out"), p)).collect();
    let mut auditor = topics.auditor();
    // The transaction is open: readers of committed records stop before it.
    let edges = || {
        let ends = scan::ends(&brokers(), &out).expect("both ends");
        ends.into_iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    };
    let (stable, end) = edges();
    assert!(stable < end, "{fault} left nothing open: {stable}, {end}");

    // When its successor starts, the transaction is aborted at once, not at its timeout.
    let since = Instant::now();
    let mut successor = topics.member("a").open().expect("a session");
    while edges().0 < edges().1 {
        assert!(
            since.elapsed() < Duration::from_secs(5),
            "the open transaction of {fault} outlived its successor"
        );
    }

    // And a topic that ends with aborted records and their marker is read to its end.
    assert!(out.iter().all(|partition| read_back(&mut *auditor, partition).is_empty()));
    let partitions = assigned(&mut *successor, &topics.topic("in"));
    assert!(partitions.len() as i32 <= PARTITIONS);
}
