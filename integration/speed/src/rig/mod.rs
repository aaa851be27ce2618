//! What every measurement needs: the broker, fresh topics and contenders as processes.

mod running;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

use anyhow::{Context as _, ensure};
use integration::stack::control;
use redpanda::scan::Group;

use crate::contender::ContenderMessage;
use crate::work::{INPUTS, OUTPUTS};

pub(crate) use running::{Running, usage};

/// A program that does the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Contender {
    /// The engine, exactly once, as services run it
    Engine,
    /// The engine, exactly once, with outputs like those of the others, without headers
    Plain,
    /// The engine, at least once
    AtLeastOnce,
    /// The shortest loop on rdkafka, exactly once
    BareLoop,
    /// Kafka Streams, exactly once, state in memory
    Streams,
    /// Kafka Streams, exactly once, state in RocksDB
    StreamsRocksdb,
}

impl Contender {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Engine => "engine, CloudEvents headers",
            Self::Plain => "engine",
            Self::AtLeastOnce => "engine, at least once",
            Self::BareLoop => "bare rdkafka loop",
            Self::Streams => "Kafka Streams, memory",
            Self::StreamsRocksdb => "Kafka Streams, RocksDB",
        }
    }

    /// The changelog of a contender that is called `name`.
    fn changelog(self, name: &str) -> String {
        match self {
            Self::Streams | Self::StreamsRocksdb => format!("{name}-counts-changelog"),
            _ => format!("{name}.state"),
        }
    }
}

/// The broker and the programs.
pub(crate) struct Rig {
    pub(crate) brokers: String,
    /// The broker's process.
    broker: u32,
    bare_loop: PathBuf,
    /// Class path and state folder of the Streams application.
    streams: Option<(String, PathBuf)>,
}

impl Rig {
    /// Reads the variables that `integration/bench` and the stack set.
    pub(crate) fn from_env() -> anyhow::Result<Self> {
        let text = |name: &str| {
            std::env::var(name)
                .with_context(|| format!("{name} is not set; start with integration/bench"))
        };
        let streams = match std::env::var("MILLRACE_STREAMS_CLASSES") {
            Ok(classes) => Some((classes, PathBuf::from(text("MILLRACE_DATA")?).join("streams"))),
            Err(_) => None,
        };
        Ok(Self {
            brokers: text("MILLRACE_BROKERS")?,
            broker: pids(&["broker"])?["broker"],
            bare_loop: text("MILLRACE_BARE_LOOP")?.into(),
            streams,
        })
    }

    fn tool(&self, words: &[&str]) -> anyhow::Result<()> {
        let status = Command::new(&self.bare_loop)
            .arg(words[0])
            .arg(&self.brokers)
            .args(&words[1..])
            .status();
        let status = status.with_context(|| self.bare_loop.display().to_string())?;
        ensure!(status.success(), "bare_loop {} failed", words.join(" "));
        Ok(())
    }

    /// Creates topics of [`PARTITIONS`] partitions, and deletes existing ones of these names first.
    pub(crate) fn fresh(&self, topics: &[&str]) -> anyhow::Result<()> {
        self.tool(&[&["fresh"], topics].concat())
    }

    pub(crate) fn delete(&self, topics: &[&str]) -> anyhow::Result<()> {
        self.tool(&[&["delete"], topics].concat())
    }

    /// Writes inputs as fast as possible.
    pub(crate) fn fill(&self, records: u64, keys: u64) -> anyhow::Result<()> {
        self.fresh(&[INPUTS])?;
        let body = crate::work::BODY.to_string();
        self.tool(&["fill", INPUTS, &records.to_string(), &keys.to_string(), &body])
    }

    /// Writes inputs at a steady rate. Each begins with the time at which it was due, in
    /// microseconds since the epoch.
    pub(crate) fn pace(&self, rate: u64, seconds: u64, keys: u64) -> anyhow::Result<Child> {
        let mut command = Command::new(&self.bare_loop);
        command.args([
            "pace",
            &self.brokers,
            INPUTS,
            &rate.to_string(),
            &seconds.to_string(),
            &keys.to_string(),
        ]);
        Ok(command.arg(crate::work::BODY.to_string()).spawn()?)
    }

    /// Creates fresh topics and starts a contender on them.
    pub(crate) fn begin(
        &self,
        contender: Contender,
        name: &str,
        commit_ms: u64,
    ) -> anyhow::Result<Running> {
        let changelog = contender.changelog(name);
        match contender {
            // Kafka Streams creates its own changelog.
            Contender::Streams | Contender::StreamsRocksdb => self.fresh(&[OUTPUTS])?,
            _ => self.fresh(&[OUTPUTS, &changelog])?,
        }
        self.start(contender, name, commit_ms)
    }

    /// Starts a contender on the existing topics.
    pub(crate) fn start(
        &self,
        contender: Contender,
        name: &str,
        commit_ms: u64,
    ) -> anyhow::Result<Running> {
        let commit = commit_ms.to_string();
        let mut command = match contender {
            Contender::Engine | Contender::Plain | Contender::AtLeastOnce => {
                let mut command = Command::new(std::env::current_exe()?);
                command.args([
                    "contender",
                    "--brokers",
                    &self.brokers,
                    "--name",
                    name,
                    "--commit-ms",
                    &commit,
                ]);
                command.args((contender != Contender::Engine).then_some("--plain"));
                command.args((contender == Contender::AtLeastOnce).then_some("--at-least-once"));
                command
            }
            Contender::BareLoop => {
                let mut command = Command::new(&self.bare_loop);
                command.args(["run", &self.brokers, name, INPUTS, OUTPUTS, &commit]);
                command
            }
            Contender::Streams | Contender::StreamsRocksdb => {
                let (classes, state) =
                    self.streams.as_ref().context("Kafka Streams was not built")?;
                let store = if contender == Contender::Streams { "memory" } else { "rocksdb" };
                let mut command = Command::new("java");
                command.args([
                    "-XX:+UseParallelGC",
                    "-Xmx1g",
                    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
                    "-cp",
                    classes,
                    "KafkaStreamsWork",
                ]);
                command.args([&self.brokers, name, INPUTS, OUTPUTS, &commit, store]);
                command.arg(state.join(name));
                command
            }
        };
        let mut child =
            command.stdout(Stdio::piped()).spawn().with_context(|| format!("{command:?}"))?;
        let (tell, messages) = mpsc::channel();
        if let Some(stdout) = child.stdout.take() {
            std::thread::spawn(move || {
                for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                    match serde_json::from_str::<ContenderMessage>(&line) {
                        Ok(word) => drop(tell.send(word)),
                        Err(_) => integration::tell!("{line}"),
                    }
                }
            });
        }
        let group = Group::open(&self.brokers, name)?;
        let (changelog, name) = (contender.changelog(name), name.to_owned());
        Ok(Running { child, messages, group, changelog, name, broker: self.broker })
    }
}

/// The process ids of the stack's parts `names`.
pub(crate) fn pids(
    names: &[impl AsRef<str> + std::fmt::Debug],
) -> anyhow::Result<BTreeMap<String, u32>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let socket = std::env::var_os(control::VARIABLE)
        .context("no stack is known; start with integration/bench")?;
    let parts = runtime.block_on(control::Client::at(socket).status())?;
    let pids: BTreeMap<String, u32> = parts
        .into_iter()
        .filter(|part| names.iter().any(|name| name.as_ref() == part.name))
        .filter_map(|part| Some((part.name, part.pid?)))
        .collect();
    ensure!(pids.len() == names.len(), "of {names:?} only {:?} run", pids.keys());
    Ok(pids)
}
