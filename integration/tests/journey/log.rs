//! What stands in the topics: read as an operator would, with kcat, and judged as a whole. Whatever the other tests did, it must hold.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;

use schemas::{Codec, Message, Outcome, Record as _, headers};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::support::{RECOVERY_MAX, any, eventually, must, system, variable};

/// A record as kcat shows it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Record {
    pub(crate) partition: i64,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
}

impl Record {
    pub(crate) fn key(&self) -> String {
        String::from_utf8_lossy(self.key.as_deref().unwrap_or_default()).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// Everything that is committed in a topic.
pub(crate) async fn read(topic: &str) -> Vec<Record> {
    // Lengths stand before what they measure, as values are binary.
    let arguments =
        ["-C", "-t", topic, "-o", "beginning", "-e", "-q", "-X", "isolation.level=read_committed"];
    let format = "%p %K %S %h\\n%k%s\\n";
    let output = kcat().args(arguments).args(["-f", format]).output().await.expect("kcat runs");
    assert!(output.status.success(), "{topic}: {}", String::from_utf8_lossy(&output.stderr));
    parse(&output.stdout)
}

fn kcat() -> Command {
    let mut command = Command::new("kcat");
    command.args(["-b", &variable("MILLRACE_BROKERS")]);
    command
}

fn parse(mut bytes: &[u8]) -> Vec<Record> {
    let mut records = Vec::new();
    while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
        let line = String::from_utf8_lossy(&bytes[..end]).into_owned();
        bytes = &bytes[end + 1..];
        let mut words = line.splitn(4, ' ');
        let mut number = || words.next().and_then(|word| word.parse::<i64>().ok()).expect("a number");
        let (partition, key, value) = (number(), number(), number());
        let mut take = |length: i64| {
            let (taken, rest) = bytes.split_at(usize::try_from(length).ok()?);
            bytes = rest;
            Some(taken.to_vec())
        };
        let (key, value) = (take(key), take(value));
        bytes = &bytes[1..];
        let pairs = words.next().unwrap_or_default().split(',');
        let headers = pairs.filter_map(|pair| pair.split_once('='));
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        records.push(Record { partition, headers, key, value });
    }
    records
}

/// Writes one record without headers, to the partition where its key belongs if it has one, else to the first.
pub(crate) async fn write(topic: &str, key: Option<&str>, value: &[u8]) {
    let file = std::env::temp_dir().join(format!("millrace-{}", any()));
    std::fs::write(&file, value).expect("a file");
    let mut command = kcat();
    command.args(["-P", "-t", topic, "-X", "topic.partitioner=murmur2"]);
    match key {
        Some(key) => command.args(["-k", key]),
        None => command.args(["-p", "0"]),
    };
    let mut child = command.arg(&file).stdin(Stdio::piped()).spawn().expect("kcat runs");
    drop(child.stdin.take().expect("its input").shutdown().await);
    assert!(child.wait().await.expect("its end").success(), "kcat could not write to {topic}");
    std::fs::remove_file(&file).expect("the file");
}

/// A codec that knows the ids under which the registry has all schemas.
pub(crate) async fn codec() -> Codec {
    let registry = variable("MILLRACE_REGISTRY_URL");
    let mut ids = Vec::new();
    for (name, id) in ids_in(&registry).await {
        if let Some(schema) = schemas::named(&name) {
            ids.push((schema.name, id));
        }
    }
    Codec::new(ids)
}

/// The latest id of every subject.
pub(crate) async fn ids_in(registry: &str) -> BTreeMap<String, u32> {
    let get = async |path: String| -> serde_json::Value {
        let answer = reqwest::get(format!("{registry}{path}")).await.expect("the registry answers");
        answer.json().await.expect("JSON")
    };
    let subjects = get("/subjects".to_owned()).await;
    let mut ids = BTreeMap::new();
    for subject in subjects.as_array().expect("subjects").iter().filter_map(|subject| subject.as_str()) {
        let version = get(format!("/subjects/{subject}/versions/latest")).await;
        ids.insert(subject.to_owned(), u32::try_from(version["id"].as_u64().expect("an id")).expect("an id"));
    }
    ids
}

/// The outcomes of each command: distinct ones, as the same one may be told twice.
pub(crate) async fn outcomes(codec: &Codec) -> BTreeMap<String, Vec<Outcome>> {
    let mut outcomes: BTreeMap<String, Vec<Outcome>> = BTreeMap::new();
    for record in read("outcomes").await {
        let value = record.value.as_deref().expect("a value");
        let outcome = Outcome::decode(codec, value).unwrap_or_else(|error| panic!("{record:?}: {error}"));
        assert_eq!(outcome.command_id.to_string(), record.key(), "an outcome stands under its command");
        let told = outcomes.entry(record.key()).or_default();
        if !told.contains(&outcome) {
            told.push(outcome);
        }
    }
    outcomes
}

const COMMANDS: [&str; 4] = ["user.commands", "order.commands", "stock.commands", "notification.commands"];
const EVENTS: [&str; 5] =
    ["user.events", "email.events", "order.events", "stock.events", "notification.events"];

#[tokio::test]
#[ignore = "needs the stack"]
async fn z_every_command_has_one_outcome() {
    // Given every command that was ever taken
    let _system = system().await;
    let codec = codec().await;
    assert!(codec.id_of(Outcome::SCHEMA).is_some(), "the registry knows outcomes");
    let mut commands = BTreeSet::new();
    for topic in COMMANDS {
        let records = read(topic).await;
        commands.extend(records.iter().map(|record| record.header(headers::ID).to_owned()));
    }
    // Those without an id are other tests' poison.
    commands.remove("");
    assert!(!commands.is_empty(), "there are commands");

    // Then each has an outcome, soon
    let outcomes = eventually("an outcome for each command", RECOVERY_MAX, async || {
        let outcomes = outcomes(&codec).await;
        let without: Vec<_> = commands.iter().filter(|id| !outcomes.contains_key(*id)).collect();
        must(without.is_empty(), (without.len(), without.first()))?;
        Ok(outcomes)
    })
    .await;

    // And none has two that differ
    let double: Vec<_> = outcomes.values().filter(|told| told.len() > 1).collect();
    assert!(double.is_empty(), "{double:?}");
    println!("{} commands, {} outcomes", commands.len(), outcomes.len());
}

#[tokio::test]
#[ignore = "needs the stack"]
async fn z_versions_of_every_aggregate_have_no_gaps() {
    let _system = system().await;
    for topic in EVENTS {
        let mut versions: BTreeMap<String, i64> = BTreeMap::new();
        let mut homes: BTreeMap<String, i64> = BTreeMap::new();
        let mut ids = BTreeSet::new();
        let events = read(topic).await;
        for event in &events {
            let (key, version) =
                (event.key(), event.header(headers::VERSION).parse::<i64>().expect("a version"));
            let before = versions.insert(key.clone(), version).unwrap_or(0);
            assert_eq!(before + 1, version, "{topic} {key}: {version} after {before}");
            assert_eq!(
                event.partition,
                *homes.entry(key.clone()).or_insert(event.partition),
                "{topic} {key}"
            );
            assert!(ids.insert(event.header(headers::ID).to_owned()), "{topic} {key}: an id twice");
        }
        assert!(!events.is_empty(), "{topic} is empty");
        println!("{topic}: {} events of {} aggregates", events.len(), versions.len());
    }
}
