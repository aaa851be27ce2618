//! `schemas replay`: reads every record that topics hold, with the working schemas, and counts them
//! by the version that they were written with. It joins no group and commits nothing.

use std::{
    collections::{BTreeMap, HashMap},
    io::{IsTerminal as _, Write as _},
    ops::ControlFlow,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::Result;
use clap::Args;
use redpanda::{
    brokers::{BrokerSettings, Brokers},
    log::Record,
    registry::{Registry, RegistryError, Version},
    scan,
};
use schemas::{Codec, CodecError};
use tokio::runtime::Runtime;

use crate::{catalogue::Catalogue, report::Outcome, source, stop::Stop};

/// How long the log may have nothing to say before its end.
const IDLE_MAX: Duration = Duration::from_secs(30);
/// Between two looks at how far it is.
const TELL: Duration = Duration::from_millis(200);

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    brokers: BrokerSettings,
    /// Base URLs of the schema registry, comma separated: a request fails over to the next one.
    #[arg(
        long,
        env = "MILLRACE_REGISTRY_URL",
        default_value = "http://127.0.0.1:8081",
        value_name = "URLS",
        value_parser = redpanda::registry::UrlsParser,
        hide_env_values = true
    )]
    registry: String,
    #[command(flatten)]
    access: source::Access,
    /// The topics to read, comma separated; all declared ones where none is named.
    #[arg(long, value_delimiter = ',', value_name = "TOPICS")]
    topics: Vec<String>,
    /// The declared topics, where they are not in ../redpanda/topics.yaml beside the schemas'
    /// folder.
    #[arg(long, value_name = "FILE", conflicts_with = "topics")]
    topics_file: Option<PathBuf>,
}

/// Reads, and prints a table and what can't be read. Exit codes: 0 all was read, 2 something was
/// not.
pub(crate) fn run(
    runtime: &Runtime,
    folder: impl FnOnce() -> Result<PathBuf>,
    arguments: Arguments,
) -> Result<Outcome> {
    let Arguments { brokers, registry, access, topics, topics_file } = arguments;
    let (brokers, registry) = (access.brokers(&brokers)?, access.registry(&registry)?);
    let folder = folder()?;
    let catalogue = Catalogue::read(&folder)?;
    let declared = topics.is_empty();
    let topics = match declared {
        false => topics,
        true => source::topics(&folder, topics_file, &catalogue)?
            .iter()
            .map(|topic| topic.name.clone())
            .collect(),
    };
    let codec = Codec::reading(&source::working(&catalogue))
        .map_err(|error| Stop::Invalid(error.to_string()))?;
    let mut replay = Replay {
        codec,
        registry,
        runtime,
        versions: HashMap::new(),
        counts: BTreeMap::new(),
        failures: Vec::new(),
    };
    let mut absent = Vec::new();
    for topic in &topics {
        match scan::spans(&brokers, topic)? {
            Some(spans) => replay.topic(&brokers, topic, &spans)?,
            None if declared => absent.push(topic.as_str()),
            None => return Err(Stop::Usage(format!("there is no topic {topic}")).into()),
        }
    }
    Ok(replay.report(topics.len() - absent.len(), &absent))
}

/// What was read, by topic, then subject and version; tombstones and the like have no version.
type Counts = BTreeMap<(String, String, Option<u32>), u64>;

struct Replay<'a> {
    codec: Codec,
    registry: Registry,
    runtime: &'a Runtime,
    /// Of each subject that was met.
    versions: HashMap<String, Vec<Version>>,
    counts: Counts,
    failures: Vec<String>,
}

impl Replay<'_> {
    fn topic(&mut self, brokers: &Brokers, topic: &str, spans: &[(i64, i64)]) -> Result<()> {
        let total: i64 = spans.iter().map(|(begin, end)| end - begin).sum();
        let mut progress = Progress::new(topic, total);
        let mut failed = None;
        scan::each(brokers, topic, spans, IDLE_MAX, |record| {
            let begin = usize::try_from(record.partition).ok().and_then(|index| spans.get(index));
            progress.at(record.partition, record.offset + 1 - begin.map_or(0, |(begin, _)| *begin));
            match self.record(&record) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    failed = Some(error);
                    ControlFlow::Break(())
                }
            }
        })?;
        progress.end();
        failed.map_or(Ok(()), |error| Err(error.into()))
    }

    fn record(&mut self, record: &Record) -> Result<(), RegistryError> {
        let topic = record.topic.to_string();
        let Some(value) = &record.value else {
            *self.counts.entry((topic, "(tombstone)".to_owned(), None)).or_default() += 1;
            return Ok(());
        };
        let read = match self.codec.open(value) {
            Err(CodecError::UnknownId(id)) => {
                let found = self.runtime.block_on(self.registry.schema_by_id(id))?;
                match found.map(|schema| self.codec.learn(id, &schema)) {
                    Some(Ok(())) => self.codec.open(value),
                    Some(Err(error)) => Err(error),
                    None => Err(CodecError::UnknownId(id)),
                }
            }
            opened => opened,
        };
        let read = read.and_then(|datum| {
            datum.json()?;
            Ok((datum.name().to_owned(), datum.id()))
        });
        let (subject, version) = match read {
            Ok((subject, id)) => {
                let version = self.version(&subject, id)?;
                (subject, version)
            }
            // Dead letters are kept as they came, and may be dead because nobody can read them.
            Err(_) if topic.ends_with(".dead") => ("(kept as it came)".to_owned(), None),
            Err(error) => {
                let (partition, offset) = (record.partition, record.offset);
                self.failures.push(format!("{topic}[{partition}] at offset {offset}: {error}"));
                ("(unreadable)".to_owned(), None)
            }
        };
        *self.counts.entry((topic, subject, version)).or_default() += 1;
        Ok(())
    }

    fn version(&mut self, subject: &str, id: u32) -> Result<Option<u32>, RegistryError> {
        let of = |versions: &[Version]| {
            versions.iter().find(|version| version.id == id).map(|version| version.number)
        };
        if let Some(number) = self.versions.get(subject).and_then(|versions| of(versions)) {
            return Ok(Some(number));
        }
        let versions = self.runtime.block_on(self.registry.versions(subject))?;
        let number = of(&versions);
        self.versions.insert(subject.to_owned(), versions);
        Ok(number)
    }

    fn report(&self, topics: usize, absent: &[&str]) -> Outcome {
        let wide = |of: fn(&(String, String, Option<u32>)) -> &str, least: usize| {
            self.counts.keys().map(|key| of(key).len()).max().unwrap_or(0).max(least)
        };
        let (topic_wide, subject_wide) = (wide(|key| &key.0, 5), wide(|key| &key.1, 7));
        println!("{:topic_wide$}  {:subject_wide$}  version  records", "topic", "subject");
        for ((topic, subject, version), count) in &self.counts {
            let version = version.map_or("-".to_owned(), |version| version.to_string());
            println!("{topic:topic_wide$}  {subject:subject_wide$}  {version:>7}  {count:>7}");
        }
        self.failures.iter().for_each(|failure| println!("unreadable: {failure}"));
        if !absent.is_empty() {
            println!("not there: {}", absent.join(", "));
        }
        let (records, failures) = (self.counts.values().sum::<u64>(), self.failures.len());
        println!("records: {records}, topics: {topics}, unreadable: {failures}");
        if failures == 0 { Outcome::Fine } else { Outcome::Broken }
    }
}

/// How far it is, on a terminal.
struct Progress<'a> {
    topic: &'a str,
    total: i64,
    /// Offsets read of each partition.
    read: BTreeMap<i32, i64>,
    told: Option<Instant>,
}

impl<'a> Progress<'a> {
    fn new(topic: &'a str, total: i64) -> Self {
        let told = std::io::stderr().is_terminal().then(Instant::now);
        Self { topic, total, read: BTreeMap::new(), told }
    }

    fn at(&mut self, partition: i32, read: i64) {
        let Some(told) = &mut self.told else { return };
        self.read.insert(partition, read);
        if told.elapsed() > TELL {
            *told = Instant::now();
            let read: i64 = self.read.values().sum();
            eprint!("\r\x1b[K{}: {read} of {} offsets", self.topic, self.total);
            // It is for the eyes alone.
            drop(std::io::stderr().flush());
        }
    }

    fn end(&self) {
        if self.told.is_some() {
            eprint!("\r\x1b[K");
        }
    }
}
