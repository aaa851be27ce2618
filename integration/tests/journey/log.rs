//! Records of the topics, read and written with kcat, as an operator would. It checks nothing.

use std::collections::BTreeMap;
use std::process::Stdio;

use redpanda::topics;
use schemas::{Codec, Message, Outcome};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::support::{any, variable};

/// A record as kcat prints it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Record {
    pub(crate) partition: i64,
    pub(crate) offset: i64,
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

/// Reads all committed records of a topic. No program may write to it all the time, or reading
/// would not end.
pub(crate) async fn read(topic: &str) -> Vec<Record> {
    // Lengths precede the parts, because values are binary.
    let arguments =
        ["-C", "-t", topic, "-o", "beginning", "-e", "-q", "-X", "isolation.level=read_committed"];
    let format = "%p %o %K %S %h\\n%k%s\\n";
    let output = kcat().args(arguments).args(["-f", format]).output().await.expect("kcat runs");
    assert!(output.status.success(), "{topic}: {}", String::from_utf8_lossy(&output.stderr));
    parse(&output.stdout)
}

/// The sum of a topic's end offsets. It grows with each record, and can be read under load.
pub(crate) async fn end(topic: &str) -> i64 {
    let mut command = kcat();
    command.arg("-Q");
    let declared = topics::all().get(topic).expect("a declared topic");
    for partition in 0..declared.partitions {
        command.args(["-t", &format!("{topic}:{partition}:-1")]);
    }
    let output = command.output().await.expect("kcat runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().filter_map(|line| line.rsplit(' ').next()?.parse::<i64>().ok()).sum()
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
        let mut words = line.splitn(5, ' ');
        let mut number =
            || words.next().and_then(|word| word.parse::<i64>().ok()).expect("a number");
        let (partition, offset, key, value) = (number(), number(), number(), number());
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
        records.push(Record { partition, offset, headers, key, value });
    }
    records
}

/// Writes one record without headers, to the partition of its key or, without a key, to the first.
pub(crate) async fn write(topic: &str, key: Option<&str>, value: &[u8]) {
    write_to(topic, if key.is_some() { None } else { Some(0) }, key, value).await;
}

/// Writes one record with one header to the partition of its key.
pub(crate) async fn write_with(topic: &str, key: &str, header: (&str, &str), value: &[u8]) {
    let (name, text) = header;
    produce(topic, &["-k", key, "-H", &format!("{name}={text}")], value).await;
}

/// Writes one record without headers, to this partition or to that of its key.
pub(crate) async fn write_to(topic: &str, partition: Option<i32>, key: Option<&str>, value: &[u8]) {
    let partition = partition.map(|partition| partition.to_string());
    let mut options = Vec::new();
    options.extend(key.into_iter().flat_map(|key| ["-k", key]));
    options.extend(partition.iter().flat_map(|partition| ["-p", partition.as_str()]));
    produce(topic, &options, value).await;
}

/// Runs kcat with these options, so that it writes one record.
async fn produce(topic: &str, options: &[&str], value: &[u8]) {
    let file = std::env::temp_dir().join(format!("millrace-{}", any()));
    std::fs::write(&file, value).expect("a file");
    let mut command = kcat();
    command.args(["-P", "-t", topic, "-X", "topic.partitioner=murmur2"]).args(options);
    let mut child = command.arg(&file).stdin(Stdio::piped()).spawn().expect("kcat runs");
    drop(child.stdin.take().expect("its input").shutdown().await);
    assert!(child.wait().await.expect("its end").success(), "kcat could not write to {topic}");
    std::fs::remove_file(&file).expect("the file");
}

/// Writes records without headers, each to the partition of its key. Neither keys nor values have
/// a colon or a line end.
pub(crate) async fn write_all(topic: &str, records: impl Iterator<Item = (String, String)>) {
    let lines: String = records.map(|(key, value)| format!("{key}:{value}\n")).collect();
    let mut command = kcat();
    command.args(["-P", "-t", topic, "-K", ":", "-X", "topic.partitioner=murmur2"]);
    let mut child = command.stdin(Stdio::piped()).spawn().expect("kcat runs");
    let mut input = child.stdin.take().expect("its input");
    input.write_all(lines.as_bytes()).await.expect("written");
    drop(input);
    assert!(child.wait().await.expect("its end").success(), "kcat could not write to {topic}");
}

/// A codec with the registry's ids of all schemas.
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
        let answer =
            integration::get(format!("{registry}{path}")).await.expect("the registry answers");
        answer.json().await.unwrap_or_default()
    };
    let subjects = get("/subjects".to_owned()).await;
    let mut ids = BTreeMap::new();
    // A registry that has just started may have no subjects.
    for subject in subjects.as_array().into_iter().flatten().filter_map(|subject| subject.as_str())
    {
        let version = get(format!("/subjects/{subject}/versions/latest")).await;
        if let Some(id) = version["id"].as_u64().and_then(|id| u32::try_from(id).ok()) {
            ids.insert(subject.to_owned(), id);
        }
    }
    ids
}

/// The distinct outcomes of each command.
pub(crate) async fn outcomes(codec: &Codec) -> BTreeMap<String, Vec<Outcome>> {
    let mut outcomes: BTreeMap<String, Vec<Outcome>> = BTreeMap::new();
    let mut records = Vec::new();
    for topic in topics::all().of_kind("outcomes") {
        records.extend(read(&topic.name).await);
    }
    for record in records {
        let value = record.value.as_deref().expect("a value");
        let outcome =
            Outcome::decode(codec, value).unwrap_or_else(|error| panic!("{record:?}: {error}"));
        assert_eq!(
            outcome.command_id.to_string(),
            record.key(),
            "the key of an outcome is its command"
        );
        let of_command = outcomes.entry(record.key()).or_default();
        if !of_command.contains(&outcome) {
            of_command.push(outcome);
        }
    }
    outcomes
}
