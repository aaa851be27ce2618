//! `schemas replay`: reads every record on the topics with the working schemas, and counts the
//! records by the version of their schema. It joins no consumer group and commits nothing.

use std::{
    collections::{BTreeMap, HashMap},
    io::{self, IsTerminal as _, Write as _},
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
use schemas::{Codec, CodecError, chain};
use tokio::runtime::Runtime;

use crate::{catalogue::Catalogue, print::out, report::Outcome, source, stop::Stop};

/// The longest wait for the next record.
const IDLE_MAX: Duration = Duration::from_secs(30);
/// The interval between two progress messages.
const PROGRESS: Duration = Duration::from_millis(200);

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
    registry: redpanda::registry::Urls,
    #[command(flatten)]
    access: source::Access,
    /// The topics to read, comma separated; by default, all declared ones.
    #[arg(long, value_delimiter = ',', value_name = "TOPICS")]
    topics: Vec<String>,
    /// The declared topics, if they are not in ../redpanda/topics.yaml beside the schemas' folder.
    #[arg(long, value_name = "FILE", conflicts_with = "topics")]
    topics_file: Option<PathBuf>,
}

/// Reads the topics, and prints a table and the unreadable records. Exit codes: 0 all records were
/// read, 2 some are unreadable.
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
        .map_err(|error| Stop::Invalid(chain(&error)))?;
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
    Ok(replay.report(topics.len() - absent.len(), &absent)?)
}

/// The number of records by topic, subject and version; tombstones have no version.
type Counts = BTreeMap<(String, String, Option<u32>), u64>;

struct Replay<'a> {
    codec: Codec,
    registry: Registry,
    runtime: &'a Runtime,
    /// The versions of each subject that occurred.
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
            // A dead letter has the bytes of its source, which may be the reason why it is one.
            Err(_) if topic.ends_with(".dead") => ("(kept as it came)".to_owned(), None),
            Err(error) => {
                let (partition, offset) = (record.partition, record.offset);
                self.failures
                    .push(format!("{topic}[{partition}] at offset {offset}: {}", chain(&error)));
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

    fn report(&self, topics: usize, absent: &[&str]) -> io::Result<Outcome> {
        let wide = |of: fn(&(String, String, Option<u32>)) -> &str, least: usize| {
            self.counts.keys().map(|key| of(key).len()).max().unwrap_or(0).max(least)
        };
        let (topic_wide, subject_wide) = (wide(|key| &key.0, 5), wide(|key| &key.1, 7));
        out!("{:topic_wide$}  {:subject_wide$}  version  records", "topic", "subject")?;
        for ((topic, subject, version), count) in &self.counts {
            let version = version.map_or("-".to_owned(), |version| version.to_string());
            out!("{topic:topic_wide$}  {subject:subject_wide$}  {version:>7}  {count:>7}")?;
        }
        self.failures.iter().try_for_each(|failure| out!("unreadable: {failure}"))?;
        if !absent.is_empty() {
            out!("not there: {}", absent.join(", "))?;
        }
        let (records, failures) = (self.counts.values().sum::<u64>(), self.failures.len());
        out!("records: {records}, topics: {topics}, unreadable: {failures}")?;
        Ok(if failures == 0 { Outcome::Fine } else { Outcome::Broken })
    }
}

/// The progress of one topic, shown on a terminal.
struct Progress<'a> {
    topic: &'a str,
    total: i64,
    /// The number of offsets read, by partition.
    read: BTreeMap<i32, i64>,
    /// The time of the last message; `None` without a terminal.
    shown: Option<Instant>,
}

impl<'a> Progress<'a> {
    fn new(topic: &'a str, total: i64) -> Self {
        let shown = io::stderr().is_terminal().then(Instant::now);
        Self { topic, total, read: BTreeMap::new(), shown }
    }

    fn at(&mut self, partition: i32, read: i64) {
        let Some(shown) = &mut self.shown else { return };
        self.read.insert(partition, read);
        if shown.elapsed() > PROGRESS {
            *shown = Instant::now();
            let read: i64 = self.read.values().sum();
            let line = format!("\r\x1b[K{}: {read} of {} offsets", self.topic, self.total);
            show(&line);
        }
    }

    fn end(&self) {
        if self.shown.is_some() {
            show("\r\x1b[K");
        }
    }
}

/// Writes to the terminal. Errors are ignored, because only people read it.
fn show(text: &str) {
    let mut terminal = io::stderr().lock();
    drop(terminal.write_all(text.as_bytes()).and_then(|()| terminal.flush()));
}
