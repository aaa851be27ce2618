//! What every measurement needs: the broker, fresh topics, contenders as processes, and what the
//! kernel says of these.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use integration::stack::control;
use redpanda::{log::LogError, scan::Group};

use crate::{
    contender::Said,
    work::{INPUTS, OUTPUTS, PARTITIONS},
};

/// A contender that has not begun, or makes no headway, for so long has failed.
const STUCK: Duration = Duration::from_secs(60);
/// How often headway is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// Who does the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Contender {
    /// The engine, exactly once, as services run it
    Engine,
    /// The engine, exactly once, with outputs as the others write them: without headers
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

    /// The changelog that it writes when it is called `name`, where it does not make that itself.
    fn changelog(self, name: &str) -> String {
        match self {
            Self::Streams | Self::StreamsRocksdb => format!("{name}-counts-changelog"),
            _ => format!("{name}.state"),
        }
    }
}

/// Where everything is.
pub(crate) struct Rig {
    pub(crate) brokers: String,
    /// The broker's process.
    broker: u32,
    bare_loop: PathBuf,
    /// Class path and state folder of the Streams application.
    streams: Option<(String, PathBuf)>,
}

impl Rig {
    /// From the variables that `integration/bench` and the stack set.
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

    /// Makes topics of [`PARTITIONS`] partitions; what a former run left under the names is deleted
    /// first.
    pub(crate) fn fresh(&self, topics: &[&str]) -> anyhow::Result<()> {
        self.tool(&[&["fresh"], topics].concat())
    }

    pub(crate) fn delete(&self, topics: &[&str]) -> anyhow::Result<()> {
        self.tool(&[&["delete"], topics].concat())
    }

    /// Writes inputs.
    pub(crate) fn fill(&self, records: u64, keys: u64) -> anyhow::Result<()> {
        self.fresh(&[INPUTS])?;
        let body = crate::work::BODY.to_string();
        self.tool(&["fill", INPUTS, &records.to_string(), &keys.to_string(), &body])
    }

    /// Writes inputs at a steady rate; each begins with the time at which it was due, in
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

    /// Fresh topics, and a contender that works on them.
    pub(crate) fn begin(
        &self,
        contender: Contender,
        name: &str,
        commit_ms: u64,
    ) -> anyhow::Result<Running> {
        let changelog = contender.changelog(name);
        match contender {
            // It makes its own.
            Contender::Streams | Contender::StreamsRocksdb => self.fresh(&[OUTPUTS])?,
            _ => self.fresh(&[OUTPUTS, &changelog])?,
        }
        self.start(contender, name, commit_ms)
    }

    /// The same on the topics that are there.
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
        let (tell, said) = mpsc::channel();
        if let Some(stdout) = child.stdout.take() {
            std::thread::spawn(move || {
                for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                    match serde_json::from_str::<Said>(&line) {
                        Ok(word) => drop(tell.send(word)),
                        Err(_) => integration::tell!("{line}"),
                    }
                }
            });
        }
        let group = Group::open(&self.brokers, name)?;
        let (changelog, name) = (contender.changelog(name), name.to_owned());
        Ok(Running { child, said, group, changelog, name, broker: self.broker })
    }
}

/// A contender at work. Killed when it is dropped.
pub(crate) struct Running {
    child: Child,
    said: mpsc::Receiver<Said>,
    group: Group,
    pub(crate) changelog: String,
    name: String,
    broker: u32,
}

/// CPU time used, and the most memory, in MB.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    pub(crate) cpu: Duration,
    pub(crate) memory_mb: f64,
}

/// The processes of the stack's parts that are called `names`.
pub(crate) fn pids(names: &[&str]) -> anyhow::Result<BTreeMap<String, u32>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let socket = std::env::var_os(control::VARIABLE)
        .context("no stack is known; start with integration/bench")?;
    let parts = runtime.block_on(control::Client::at(socket).status())?;
    let pids: BTreeMap<String, u32> = parts
        .into_iter()
        .filter(|part| names.contains(&part.name.as_str()))
        .filter_map(|part| Some((part.name, part.pid?)))
        .collect();
    ensure!(pids.len() == names.len(), "of {names:?} only {:?} run", pids.keys());
    Ok(pids)
}

impl Running {
    /// Inputs that it has committed.
    pub(crate) fn committed(&self) -> anyhow::Result<u64> {
        let all = self.group.committed(INPUTS, PARTITIONS)?;
        Ok(all.iter().map(|next| next.unsigned_abs()).sum())
    }

    /// Waits until it has committed `records` inputs. Gives its use of the machine from when it had
    /// committed the first to the end, and the broker's CPU time.
    pub(crate) fn wait_for(&mut self, records: u64) -> anyhow::Result<(Usage, Duration)> {
        let (mut first, mut last, mut since) = (None, 0, Instant::now());
        loop {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended: {status}", self.name);
            }
            let committed = match self.committed() {
                Ok(committed) => committed,
                // A coordinator may have to be found first; for how long, is bounded below.
                Err(error) if matches!(error.downcast_ref(), Some(LogError::Retriable { .. })) => {
                    last
                }
                Err(error) => return Err(error),
            };
            if committed > last {
                (last, since) = (committed, Instant::now());
                first.get_or_insert((self.usage()?, usage(self.broker)?));
            }
            if committed >= records {
                let (own, broker) = first.unwrap_or_default();
                let (own_end, broker_end) = (self.usage()?, usage(self.broker)?);
                return Ok((
                    Usage { cpu: own_end.cpu - own.cpu, ..own_end },
                    broker_end.cpu - broker.cpu,
                ));
            }
            ensure!(
                since.elapsed() < STUCK,
                "{}: {committed} of {records} after {STUCK:?} without headway",
                self.name
            );
            std::thread::sleep(LOOK);
        }
    }

    pub(crate) fn usage(&self) -> anyhow::Result<Usage> {
        usage(self.child.id())
    }

    /// What it says next.
    pub(crate) fn said(&self) -> anyhow::Result<Said> {
        self.said.recv_timeout(STUCK).with_context(|| format!("{} says nothing", self.name))
    }

    /// Ends it in order; its last word is on its commits, where it knows.
    pub(crate) fn end(mut self) -> anyhow::Result<Option<f64>> {
        let pid = i32::try_from(self.child.id())?;
        let status = Command::new("kill").arg(pid.to_string()).status()?;
        ensure!(status.success(), "{} could not be told to end", self.name);
        self.child.wait()?;
        let mut mean = None;
        while let Ok(said) = self.said.recv() {
            if let Said::Commits { mean_ms, .. } = said {
                mean = Some(mean_ms);
            }
        }
        Ok(mean)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // One that has ended is gone.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// CPU time and memory of a process, as the kernel counts them (proc(5): `stat` fields 14 and 15 in
/// ticks of 10 ms, `status` VmHWM).
pub(crate) fn usage(pid: u32) -> anyhow::Result<Usage> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name in parentheses may hold anything.
    let fields: Vec<&str> =
        stat.rsplit_once(')').context("/proc stat")?.1.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("VmHWM")?;
    let kilobytes: f64 = peak.trim().trim_end_matches(" kB").parse()?;
    Ok(Usage { cpu: Duration::from_millis(ticks * 10), memory_mb: kilobytes / 1024.0 })
}
