//! What is measured: Millrace, or a peer, which is a program that does the same three hops on the
//! same broker. A peer runs while it is measured, and Millrace's own processes run only for
//! Millrace, so that nobody pays for another's idling.

use std::{
    fs::File,
    path::PathBuf,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use integration::stack::{Control, PROGRAMS, Program};
use tokio::process::{Child, Command};

use super::{Streams, shop::variable};

/// The parts that are Millrace's own.
pub(super) fn own() -> impl Iterator<Item = String> {
    PROGRAMS.iter().flat_map(Program::started)
}

/// How long a program may take to be ready.
const READY_MAX: Duration = Duration::from_secs(60);
/// How long a program may take to end before it is killed.
const END_MAX: Duration = Duration::from_secs(10);

/// A system that can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum System {
    /// Millrace, behind its balancer
    Millrace,
    /// Three services in Node.js on the same broker and MongoDB, at least once
    Node,
    /// Kafka Streams, exactly once, behind Java's HTTP server
    Streams,
}

impl System {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Millrace => "Millrace",
            Self::Node => "Node.js",
            Self::Streams => "Kafka Streams",
        }
    }
}

/// A system that runs. Its processes are killed when this is dropped, if they are a peer's.
pub(super) struct Subject {
    /// Where it serves HTTP.
    pub(super) url: String,
    /// Where it exports metrics.
    pub(super) metrics: Vec<String>,
    peers: Vec<(&'static str, Child)>,
}

impl Subject {
    /// Starts a system and waits until it is ready.
    ///
    /// # Errors
    /// If it cannot be started, ends, or is not ready in time.
    pub(super) async fn start(system: System, streams: &Streams) -> anyhow::Result<Self> {
        if system != System::Millrace {
            stop_own().await?;
        }
        let mut subject = Self { url: String::new(), metrics: Vec::new(), peers: Vec::new() };
        match system {
            System::Millrace => return Self::millrace().await,
            System::Node => {
                let folder = PathBuf::from(variable("MILLRACE_NODE_PEER")?);
                let roles = [
                    ("node-order", "order"),
                    ("node-notification", "notification"),
                    ("node-user", "user"),
                ];
                for (name, role) in roles {
                    let (program, script) = (folder.join("node"), folder.join("services.js"));
                    let mut command = guarded(&[program.as_os_str(), script.as_os_str()]);
                    subject.run(name, command.arg(role)).await?;
                }
            }
            System::Streams => {
                let state = PathBuf::from(variable("MILLRACE_DATA")?).join("shop-streams");
                let classes = variable("MILLRACE_STREAMS_CLASSES")?;
                let mut command = guarded(&["java", "-XX:+UseParallelGC", "-Xmx1g"]);
                command.args(["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", &classes]);
                command.args(["ShopServer", &variable("MILLRACE_BROKERS")?]).arg(state);
                command.arg(streams.streams_commit_ms.to_string());
                command.arg(streams.streams_threads.to_string());
                subject.run("streams", &mut command).await?;
                subject.metrics.push(format!("{}/metrics", subject.url));
            }
        }
        Ok(subject)
    }

    /// Starts those of Millrace's processes that do not run, and waits until they are ready.
    ///
    /// # Errors
    /// If one cannot be started or is not ready in time.
    pub(super) async fn millrace() -> anyhow::Result<Self> {
        let control = Control::from_env()?;
        let mut metrics = Vec::new();
        for name in own() {
            if control.part(&name).await?.pid.is_none() {
                control.start(&name).await?;
                control.wait(&name, READY_MAX).await?;
            }
            let variable_name = integration::stack::internal_variable(&name);
            metrics.push(format!("{}/metrics", variable(&variable_name)?));
        }
        Ok(Self { url: variable("MILLRACE_URL")?, metrics, peers: Vec::new() })
    }

    /// The process ids of a peer, by name.
    pub(super) fn pids(&self) -> impl Iterator<Item = (String, u32)> {
        self.peers.iter().filter_map(|(name, child)| Some(((*name).to_owned(), child.id()?)))
    }

    /// Starts a process of a peer. It is ready when it writes a line `ready`, with its port if it
    /// serves HTTP.
    async fn run(&mut self, name: &'static str, command: &mut Command) -> anyhow::Result<()> {
        let log = PathBuf::from(variable("MILLRACE_DATA")?).join(format!("logs/{name}.log"));
        let file = File::create(&log).with_context(|| log.display().to_string())?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).kill_on_drop(true);
        let mut child = command.spawn().with_context(|| format!("{command:?}"))?;
        let begun = Instant::now();
        loop {
            let text = std::fs::read_to_string(&log)?;
            if let Some(rest) = text.lines().find_map(|line| line.strip_prefix("ready")) {
                if !rest.is_empty() {
                    self.url = format!("http://127.0.0.1:{}", rest.trim());
                }
                self.peers.push((name, child));
                return Ok(());
            }
            if let Some(status) = child.try_wait()? {
                bail!("{name} ended: {status}; see {}", log.display());
            }
            if begun.elapsed() > READY_MAX {
                bail!("{name} is not ready after {READY_MAX:?}; see {}", log.display());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Ends a peer's processes. Millrace's continue.
    ///
    /// # Errors
    /// If one cannot be ended, or has ended by itself.
    pub(super) async fn end(self) -> anyhow::Result<()> {
        for (name, mut child) in self.peers {
            if let Some(status) = child.try_wait()? {
                bail!("{name} has ended meanwhile: {status}");
            }
            if let Some(pid) = child.id() {
                Command::new("kill").arg(pid.to_string()).status().await?;
            }
            // It leaves its groups first; otherwise the next one would wait for its sessions' end.
            if tokio::time::timeout(END_MAX, child.wait()).await.is_err() {
                child.kill().await.with_context(|| format!("ending {name}"))?;
            }
        }
        Ok(())
    }
}

/// Stops Millrace's own processes.
async fn stop_own() -> anyhow::Result<()> {
    let control = Control::from_env()?;
    for name in own() {
        if control.part(&name).await?.pid.is_some() {
            control.stop(&name).await?;
        }
    }
    Ok(())
}

/// A command whose process the kernel kills when this program dies.
fn guarded(words: &[impl AsRef<std::ffi::OsStr>]) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).args(words);
    command
}
