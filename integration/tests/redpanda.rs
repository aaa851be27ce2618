//! The log on a real broker and a real registry: what the in-memory log promises, asked of the real
//! one. Run under `stack run`, as integration/test does; `--servers-only` is enough. Topics and
//! groups are of each test's own.

use std::{
    collections::BTreeMap,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use redpanda::{
    log::{
        Connect, Headers, Input, LogError, Membership, ProducerRecord, Record, Session,
        TopicPartition, Transaction, TransactionError,
    },
    partition_of,
    provision::Provision,
    reader::Reader,
    registry::Registry,
    scan,
    session::{Delivery, Settings},
    topics::Topics,
    writer::{CommandWriter, WriteError},
};

/// A dead member's partitions move when its session times out, after ten seconds.
const PATIENCE: Duration = Duration::from_secs(90);
const PARTITIONS: i32 = 2;
/// Told to this test binary when it runs itself as a process that may die.
const COPY: &str = "MILLRACE_TEST_COPY";

fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run this under `stack run`"))
}

fn brokers() -> String {
    setting("MILLRACE_BROKERS")
}

fn registry() -> Registry {
    Registry::new(&setting("MILLRACE_REGISTRY_URL")).expect("a client")
}

fn wait_for<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().expect("a runtime").block_on(future)
}

/// Topics of a test's own: `in`, `out` and a compacted `state`.
struct Place {
    name: String,
    topics: Topics,
}

impl Place {
    fn new() -> Self {
        let letter =
            |digit: char| char::from(b'a' + digit.to_digit(16).expect("a hex digit") as u8);
        let name: String =
            uuid::Uuid::new_v4().simple().to_string().chars().take(12).map(letter).collect();
        let declared = |topic: &str, keep: &str| {
            format!(
                "  {name}.{topic}: {{ owner: t, doc: d, keep: {keep}, records: [millrace.Outcome] }}\n"
            )
        };
        let text = format!(
            "defaults: {{ partitions: {PARTITIONS}, bytes_max: 1048576 }}\ntopics:\n{}{}{}",
            declared("in", "1d"),
            declared("out", "1d"),
            declared("state", "compacted"),
        );
        let topics = Topics::parse(&text).expect("topics");
        let place = Self { name, topics };
        wait_for(async {
            let provision = place.provision();
            for step in provision.plan().await.expect("a plan").steps {
                provision.apply(&step).await.expect("a step");
            }
            provision.wait_for_leaders().await.expect("leaders");
        });
        place
    }

    fn provision(&self) -> Provision {
        Provision::of(&brokers(), registry(), 1, self.topics.clone()).expect("a client")
    }

    fn topic(&self, topic: &str) -> String {
        format!("{}.{topic}", self.name)
    }

    fn member(&self, member: &str) -> Settings {
        Settings {
            brokers: (&brokers()).into(),
            group: self.name.clone(),
            inputs: vec![self.topic("in").into()],
            transactional_id: format!("{}-{member}", self.name),
            delivery: Delivery::ExactlyOnce,
        }
    }

    /// A session that looks at topics from outside of the group.
    fn auditor(&self) -> Box<dyn Session> {
        let mut settings = self.member("auditor");
        settings.group = format!("{}.audit", self.name);
        settings.open().expect("a session")
    }

    /// Writes `count` records with keys and values of their own.
    fn fill(&self, count: usize) {
        wait_for(async {
            let writer = CommandWriter::of(&brokers(), self.topics.clone());
            for number in 0..count {
                let key = format!("key {number}");
                let value = number.to_string().into_bytes().into();
                let written = writer
                    .write(
                        &self.topic("in"),
                        &key,
                        value,
                        &Headers::default(),
                        Duration::from_secs(10),
                    )
                    .await;
                assert_eq!(
                    written.expect("written").0,
                    partition_of(key.as_bytes(), PARTITIONS),
                    "{key}"
                );
            }
        });
    }

    /// Everything committed on a topic, as values.
    fn committed(&self, topic: &str) -> Vec<String> {
        let mut session = self.auditor();
        (0..PARTITIONS)
            .flat_map(|partition| {
                read_back(&mut *session, &TopicPartition::new(self.topic(topic), partition))
            })
            .map(|record| text(&record))
            .collect()
    }
}

fn text(record: &Record) -> String {
    String::from_utf8(record.value.clone().expect("a value").to_vec()).expect("text")
}

fn read_back(session: &mut dyn Session, place: &TopicPartition) -> Vec<Record> {
    let mut restore = session.restore(place, &[]).expect("a reader");
    let (since, mut records) = (Instant::now(), Vec::new());
    while restore.poll(Duration::from_millis(100), 1000, &mut records).expect("records").is_none() {
        assert!(since.elapsed() < PATIENCE, "{place}: stands at {:?}", restore.progress());
    }
    let (position, end) = restore.progress();
    assert!(position >= end, "{place}: {position} of {end}");
    records
}

fn outgoing(topic: &str, partition: i32, value: &str) -> ProducerRecord {
    let value = Some(value.as_bytes().to_vec().into());
    ProducerRecord {
        topic: topic.into(),
        partition,
        key: value.clone(),
        value,
        headers: Headers::default(),
    }
}

/// Polls until partitions are assigned, and reads them from what is committed or the beginning.
fn assigned(input: &mut dyn Input, topic: &str) -> Vec<i32> {
    let since = Instant::now();
    let mut none = Vec::new();
    loop {
        assert!(since.elapsed() < PATIENCE, "nothing was assigned");
        input.poll(Duration::from_millis(50), 10, &mut none).expect("a poll");
        assert!(none.is_empty(), "a record before anything was fetched");
        while let Some(change) = input.membership() {
            if let Membership::Assigned(partitions) = change {
                let places: Vec<_> = partitions
                    .iter()
                    .map(|partition| TopicPartition::new(topic, *partition))
                    .collect();
                let committed = input.committed(&places).expect("offsets");
                let from =
                    places.into_iter().zip(committed.into_iter().map(Option::unwrap_or_default));
                input.fetch_from(&from.collect::<Vec<_>>()).expect("fetching");
                return partitions;
            }
        }
    }
}

fn ended(session: &mut dyn Session) -> Result<(), TransactionError> {
    let since = Instant::now();
    loop {
        if let Some(result) = session.completed(Duration::from_millis(100)) {
            return result;
        }
        assert!(since.elapsed() < PATIENCE, "the transaction does not end");
    }
}

fn polled(input: &mut dyn Input, count: usize) -> Vec<Record> {
    let (since, mut records) = (Instant::now(), Vec::new());
    while records.len() < count {
        input
            .poll(Duration::from_millis(100), count - records.len(), &mut records)
            .expect("a poll");
        assert!(since.elapsed() < PATIENCE, "{} of {count} records", records.len());
    }
    records
}

/// Copies `in` to `out` in transactions until it is killed, as a worker would: its own process, see
/// [`spawn`].
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
            transaction.offsets.extend(
                positions.iter().map(|(partition, next)| {
                    (TopicPartition::new(input.clone(), *partition), *next)
                }),
            );
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

/// A process that copies, killed when it goes out of scope.
struct Copier(Child);

impl Drop for Copier {
    fn drop(&mut self) {
        // It may be dead already.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn spawn(place: &Place, member: &str, fault: Option<&str>) -> Copier {
    let mut command = Command::new(std::env::current_exe().expect("this binary"));
    command.args(["--ignored", "--exact", "copies_when_it_is_told_to"]);
    command.env(COPY, format!("{} {member}", place.name)).stdout(Stdio::null());
    if let Some(fault) = fault {
        command.env("MILLRACE_FAULT", fault);
    }
    Copier(command.spawn().expect("a process"))
}

#[test]
#[ignore = "needs the stack: a process that other tests of this file start"]
fn copies_when_it_is_told_to() {
    let Ok(told) = std::env::var(COPY) else { return };
    let (name, member) = told.split_once(' ').expect("a name and a member");
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
#[ignore = "needs the stack: integration/test, or `stack run --servers-only -- cargo test -p integration --test redpanda -- --ignored`"]
fn each_record_is_copied_once_whoever_dies_and_wherever() {
    const RECORDS: usize = 300;
    let place = Place::new();
    place.fill(RECORDS);

    // Given a second member that lives, one dies at each step of a transaction and is started
    // again.
    let _second = spawn(&place, "b", None);
    for fault in [
        "after-poll:2",
        "after-begin:2",
        "after-send:9",
        "after-offsets:2",
        "before-commit:2",
        "after-commit:2",
    ] {
        // It needs records to die by.
        place.fill(RECORDS);
        let mut first = spawn(&place, "a", Some(fault));
        let since = Instant::now();
        while first.0.try_wait().expect("a process").is_none() {
            assert!(since.elapsed() < PATIENCE, "it did not die at {fault}");
            place.fill(5);
        }
        println!("died at {fault} after {:?}", since.elapsed());
    }

    // Then the one that lives has it all, once.
    let wanted = place.committed("in").len();
    let since = Instant::now();
    let copied = loop {
        let copied = place.committed("out");
        if copied.len() >= wanted {
            break copied;
        }
        assert!(since.elapsed() < PATIENCE, "{} of {wanted}", copied.len());
    };
    assert_eq!(counted(copied), counted(place.committed("in")));
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
fn what_a_dead_process_left_open_is_never_seen_and_holds_nobody_up_once_it_is_back() {
    let place = Place::new();
    place.fill(4);
    let mut dying = spawn(&place, "a", Some("before-commit:1"));
    dying.0.wait().expect("it dies");
    let out: Vec<_> = (0..PARTITIONS).map(|p| TopicPartition::new(place.topic("out"), p)).collect();
    let mut auditor = place.auditor();
    // The transaction is open: readers of what is committed stop before it.
    let edges = || {
        let ends = scan::ends(&brokers(), &out).expect("both ends");
        ends.into_iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    };
    let (stable, end) = edges();
    assert!(stable < end, "nothing was left open: {stable}, {end}");

    // When its successor comes, the transaction is aborted at once, not at its timeout.
    let since = Instant::now();
    let mut successor = place.member("a").open().expect("a session");
    while edges().0 < edges().1 {
        assert!(
            since.elapsed() < Duration::from_secs(5),
            "the open transaction outlived its successor"
        );
    }

    // And a topic that ends with aborted records and their marker is read back to its end.
    assert!(out.iter().all(|place| read_back(&mut *auditor, place).is_empty()));
    let partitions = assigned(&mut *successor, &place.topic("in"));
    assert!(partitions.len() as i32 <= PARTITIONS);
}

#[test]
#[ignore = "needs the stack"]
fn a_session_is_fenced_by_its_successor() {
    let place = Place::new();
    place.fill(10);
    let topic = place.topic("in");
    let mut old = place.member("a").open().expect("a session");
    let partitions = assigned(&mut *old, &topic);
    let write = |value: &str| Transaction {
        records: [outgoing(&place.topic("out"), 0, value)].into_iter().collect(),
        offsets: partitions.iter().map(|p| (TopicPartition::new(&*topic, *p), 1)).collect(),
    };
    old.submit(write("first")).expect("submitted");
    ended(&mut *old).expect("committed");

    let mut new = place.member("a").open().expect("a session");
    old.submit(write("zombie")).expect("submitted");
    let end = ended(&mut *old);
    assert!(matches!(end, Err(TransactionError::Fenced(_))), "{end:?}");
    drop(old);

    // What was committed is where the successor goes on, and it can write.
    let partitions = assigned(&mut *new, &topic);
    let offsets: Vec<_> = partitions.iter().map(|p| TopicPartition::new(&*topic, *p)).collect();
    assert_eq!(new.committed(&offsets).expect("offsets"), vec![Some(1); partitions.len()]);
    new.submit(write("second")).expect("submitted");
    ended(&mut *new).expect("committed");
    assert_eq!(place.committed("out"), ["first", "second"]);
}

#[test]
#[ignore = "needs the stack"]
fn a_member_can_be_dropped_at_any_moment_of_a_rebalance() {
    let place = Place::new();
    for round in 0..60_u64 {
        let mut member = place.member("a").open().expect("a session");
        if round % 2 == 0 {
            // Polled or not, while it joins, is assigned, or has been.
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
fn input_can_be_read_again_and_a_position_that_is_not_kept_is_an_error() {
    let place = Place::new();
    place.fill(20);
    let topic = place.topic("in");
    let name = format!("{}.reader", place.name);
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
            Ok(()) => assert!(since.elapsed() < PATIENCE, "no error"),
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
fn small_transactions_do_not_wait_for_a_flush() {
    const TRANSACTIONS: usize = 200;
    let place = Place::new();
    place.fill(1);
    let topic = place.topic("in");
    let mut session = place.member("a").open().expect("a session");
    let partitions = assigned(&mut *session, &topic);
    let mut milliseconds: Vec<f64> = (0..TRANSACTIONS)
        .map(|_| {
            let records =
                (0..10).map(|n| outgoing(&place.topic("out"), n % PARTITIONS, "ten bytes."));
            let offsets = partitions.iter().map(|p| (TopicPartition::new(&*topic, *p), 0));
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
    // The crate's own commit takes at least 100 ms; a busy machine may take some of them.
    assert!(at(50) < 60.0, "p50 {:.1} ms", at(50));
}

#[test]
#[ignore = "needs the stack"]
fn a_command_that_nobody_takes_is_said_to_be_late() {
    let place = Place::new();
    // Given a broker that takes connections and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let writer = CommandWriter::of(
        &silent.local_addr().expect("an address").to_string(),
        place.topics.clone(),
    );
    let deadline = Duration::from_millis(300);
    let since = Instant::now();
    let topic = place.topic("in");
    let error =
        wait_for(writer.write(&topic, "k", Vec::new().into(), &Headers::default(), deadline));
    assert!(matches!(error, Err(WriteError::Deadline { .. })), "{error:?}");
    assert!(since.elapsed() < Duration::from_secs(3));
}

#[test]
#[ignore = "needs the stack"]
fn provisioning_again_finds_nothing_to_do_and_ids_are_found_by_content() {
    let place = Place::new();
    wait_for(async {
        let plan = place.provision().plan().await.expect("a plan");
        assert!(plan.is_empty(), "{plan:?}");
        let registry = registry();
        let before = registry.codec(schemas::all()).await.expect("a codec");
        for schema in schemas::all() {
            let id = registry.register(schema).await.expect("an id");
            assert_eq!(before.id_of(schema), Some(id), "{}", schema.name);
            let text = registry.schema_by_id(id).await.expect("an answer").expect("a schema");
            let (there, here): (serde_json::Value, serde_json::Value) = (
                serde_json::from_str(&text).expect("JSON"),
                serde_json::from_str(schema.json).expect("JSON"),
            );
            assert_eq!(there, here, "{}", schema.name);
        }
        assert_eq!(registry.schema_by_id(999_999).await.expect("an answer"), None);
    });
}

#[test]
#[ignore = "needs the stack"]
fn a_topic_with_another_partition_count_is_refused_and_left_alone() {
    let place = Place::new();
    let text = format!(
        "defaults: {{ partitions: 3, bytes_max: 1048576 }}\ntopics:\n  {}: {{ owner: t, doc: d, keep: 1d, records: [millrace.Outcome] }}\n",
        place.topic("in")
    );
    let other = Topics::parse(&text).expect("topics");
    let provision = Provision::of(&brokers(), registry(), 1, other).expect("a client");
    let plan = wait_for(provision.plan()).expect("a plan");
    assert!(plan.steps.is_empty(), "{plan:?}");
    let conflicts: Vec<_> = plan.conflicts.iter().map(ToString::to_string).collect();
    assert!(conflicts.len() == 1 && conflicts[0].contains("has 2 partitions"), "{conflicts:?}");
}

#[test]
#[ignore = "needs the stack"]
fn settings_that_have_drifted_are_set_again() {
    let place = Place::new();
    let text = format!(
        "defaults: {{ partitions: {PARTITIONS}, bytes_max: 2000000 }}\ntopics:\n  {}: {{ owner: t, doc: d, keep: 3d, records: [millrace.Outcome] }}\n",
        place.topic("in")
    );
    wait_for(async {
        let other = Topics::parse(&text).expect("topics");
        let provision = Provision::of(&brokers(), registry(), 1, other).expect("a client");
        let plan = provision.plan().await.expect("a plan");
        let shown: Vec<_> = plan.steps.iter().map(ToString::to_string).collect();
        assert_eq!(shown.len(), 1, "{shown:?}");
        assert!(shown[0].contains("max.message.bytes 1048576 -> 2000000"), "{shown:?}");
        assert!(shown[0].contains("retention.ms 86400000 -> 259200000"), "{shown:?}");
        provision.apply(&plan.steps[0]).await.expect("applied");
        assert!(provision.plan().await.expect("a plan").is_empty());
    });
}
