//! Topics of a test's own, and helpers that wait for what a session does.

use std::time::{Duration, Instant};

use redpanda::log::{
    Connect, Headers, Input, Membership, ProducerRecord, Record, Session, TopicPartition,
    TransactionError,
};
use redpanda::partition_of;
use redpanda::provision::Provision;
use redpanda::registry::Registry;
use redpanda::session::{Delivery, Settings};
use redpanda::topics::Topics;
use redpanda::writer::CommandWriter;

/// The longest wait. The partitions of a dead member move when its session times out, after ten
/// seconds.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(90);

pub(crate) const PARTITIONS: i32 = 2;

fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run this under `stack run`"))
}

pub(crate) fn brokers() -> String {
    setting("MILLRACE_BROKERS")
}

pub(crate) fn registry() -> Registry {
    Registry::new(&setting("MILLRACE_REGISTRY_URL")).expect("a client")
}

pub(crate) fn wait_for<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().expect("a runtime").block_on(future)
}

/// The topics of one test: `in`, `out` and a compacted `state`.
pub(crate) struct TestTopics {
    pub(crate) name: String,
    pub(crate) topics: Topics,
}

impl TestTopics {
    pub(crate) fn new() -> Self {
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
        let created = Self { name, topics };
        wait_for(async {
            let provision = created.provision();
            for step in provision.plan().await.expect("a plan").steps {
                provision.apply(&step).await.expect("a step");
            }
            provision.wait_for_leaders().await.expect("leaders");
        });
        created
    }

    pub(crate) fn provision(&self) -> Provision {
        Provision::of(&brokers(), registry(), 1, self.topics.clone()).expect("a client")
    }

    pub(crate) fn topic(&self, topic: &str) -> String {
        format!("{}.{topic}", self.name)
    }

    pub(crate) fn member(&self, member: &str) -> Settings {
        Settings {
            brokers: (&brokers()).into(),
            group: self.name.clone(),
            inputs: vec![self.topic("in").into()],
            transactional_id: format!("{}-{member}", self.name),
            delivery: Delivery::ExactlyOnce,
        }
    }

    /// Opens a session of another group, which only reads.
    pub(crate) fn auditor(&self) -> Box<dyn Session> {
        let mut settings = self.member("auditor");
        settings.group = format!("{}.audit", self.name);
        settings.open().expect("a session")
    }

    /// Writes `count` records with different keys and values.
    pub(crate) fn fill(&self, count: usize) {
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

    /// The values of all committed records of a topic.
    pub(crate) fn committed(&self, topic: &str) -> Vec<String> {
        let mut session = self.auditor();
        (0..PARTITIONS)
            .flat_map(|partition| {
                read_back(&mut *session, &TopicPartition::new(self.topic(topic), partition))
            })
            .map(|record| text(&record))
            .collect()
    }
}

pub(crate) fn text(record: &Record) -> String {
    String::from_utf8(record.value.clone().expect("a value").to_vec()).expect("text")
}

pub(crate) fn read_back(session: &mut dyn Session, partition: &TopicPartition) -> Vec<Record> {
    let mut restore = session.restore(partition, &[], &[]).expect("a reader");
    let (since, mut records) = (Instant::now(), Vec::new());
    while restore.poll(Duration::from_millis(100), 1000, &mut records).expect("records").is_none() {
        assert!(since.elapsed() < WAIT_MAX, "{partition}: is at {:?}", restore.progress());
    }
    let (position, end) = restore.progress();
    assert!(position >= end, "{partition}: {position} of {end}");
    records
}

pub(crate) fn outgoing(topic: &str, partition: i32, value: &str) -> ProducerRecord {
    let value = Some(value.as_bytes().to_vec().into());
    ProducerRecord {
        topic: topic.into(),
        partition,
        key: value.clone(),
        value,
        headers: Headers::default(),
    }
}

/// Polls until partitions are assigned, and fetches from their committed offsets or from the
/// beginning.
pub(crate) fn assigned(input: &mut dyn Input, topic: &str) -> Vec<i32> {
    let since = Instant::now();
    let mut none = Vec::new();
    loop {
        assert!(since.elapsed() < WAIT_MAX, "nothing was assigned");
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

pub(crate) fn ended(session: &mut dyn Session) -> Result<(), TransactionError> {
    let since = Instant::now();
    loop {
        if let Some(result) = session.completed(Duration::from_millis(100)) {
            return result;
        }
        assert!(since.elapsed() < WAIT_MAX, "the transaction does not end");
    }
}

pub(crate) fn polled(input: &mut dyn Input, count: usize) -> Vec<Record> {
    let (since, mut records) = (Instant::now(), Vec::new());
    while records.len() < count {
        input
            .poll(Duration::from_millis(100), count - records.len(), &mut records)
            .expect("a poll");
        assert!(since.elapsed() < WAIT_MAX, "{} of {count} records", records.len());
    }
    records
}
