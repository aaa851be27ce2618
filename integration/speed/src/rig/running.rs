//! A contender at work, and what the kernel counts of its process.

use std::process::{Child, Command};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use redpanda::log::LogError;
use redpanda::scan::Group;

use crate::contender::Said;
use crate::work::{INPUTS, PARTITIONS};

/// A contender that has not begun, or makes no headway, for so long has failed.
const STUCK: Duration = Duration::from_secs(60);

/// How often headway is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// A contender at work. Killed when it is dropped.
pub(crate) struct Running {
    pub(super) child: Child,
    pub(super) said: mpsc::Receiver<Said>,
    pub(super) group: Group,
    pub(crate) changelog: String,
    pub(super) name: String,
    pub(super) broker: u32,
}

/// CPU time used, and the most memory, in MB.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    pub(crate) cpu: Duration,
    pub(crate) memory_mb: f64,
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
