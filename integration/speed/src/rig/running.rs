//! A contender at work, and what the kernel counts of its process.

use std::process::{Child, Command};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use redpanda::log::LogError;
use redpanda::scan::Group;

use crate::contender::ContenderMessage;
use crate::work::{INPUTS, PARTITIONS};

/// A contender that makes no progress for this long has failed.
const STUCK: Duration = Duration::from_secs(60);

/// The pause between two checks of the progress.
const LOOK: Duration = Duration::from_millis(100);

/// A running contender. It is killed when this is dropped.
pub(crate) struct Running {
    pub(super) child: Child,
    pub(super) messages: mpsc::Receiver<ContenderMessage>,
    pub(super) group: Group,
    pub(crate) changelog: String,
    pub(super) name: String,
    pub(super) broker: u32,
}

/// What a contender and the broker have used, from its first commit to its last.
pub(crate) struct Worked {
    pub(crate) own: Usage,
    pub(crate) broker_cpu: Duration,
    /// The inputs that were committed in that time: those of the first commit came before.
    pub(crate) records: u64,
}

/// CPU time, and the peak of memory in MB.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    pub(crate) cpu: Duration,
    pub(crate) memory_mb: f64,
}

impl Running {
    /// The number of inputs that it has committed.
    pub(crate) fn committed(&self) -> anyhow::Result<u64> {
        let all = self.group.committed(INPUTS, PARTITIONS)?;
        Ok(all.iter().map(|next| next.unsigned_abs()).sum())
    }

    /// Waits until it has committed `records` inputs.
    ///
    /// # Errors
    /// When it ends, or commits nothing for a minute.
    pub(crate) fn wait_for(&mut self, records: u64) -> anyhow::Result<Worked> {
        let (mut first, mut last, mut since) = (None, 0, Instant::now());
        loop {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended: {status}", self.name);
            }
            let committed = match self.committed() {
                Ok(committed) => committed,
                // The coordinator may have to be found first; the check below bounds how long.
                Err(error) if matches!(error.downcast_ref(), Some(LogError::Retriable { .. })) => {
                    last
                }
                Err(error) => return Err(error),
            };
            if committed > last {
                (last, since) = (committed, Instant::now());
                first.get_or_insert((committed, self.usage()?, usage(self.broker)?));
            }
            if committed >= records {
                let (before, own, broker) = first.unwrap_or_default();
                let (own_end, broker_end) = (self.usage()?, usage(self.broker)?);
                return Ok(Worked {
                    own: Usage { cpu: own_end.cpu - own.cpu, ..own_end },
                    broker_cpu: broker_end.cpu - broker.cpu,
                    records: committed - before,
                });
            }
            ensure!(
                since.elapsed() < STUCK,
                "{}: {committed} of {records} after {STUCK:?} without progress",
                self.name
            );
            std::thread::sleep(LOOK);
        }
    }

    pub(crate) fn usage(&self) -> anyhow::Result<Usage> {
        usage(self.child.id())
    }

    /// Waits for its next message.
    pub(crate) fn next_message(&self) -> anyhow::Result<ContenderMessage> {
        self.messages.recv_timeout(STUCK).with_context(|| format!("{} sends no message", self.name))
    }

    /// Ends it in order. Returns the mean time of its commits, if it measures that.
    pub(crate) fn end(mut self) -> anyhow::Result<Option<f64>> {
        let pid = i32::try_from(self.child.id())?;
        let status = Command::new("kill").arg(pid.to_string()).status()?;
        ensure!(status.success(), "{} could not be stopped", self.name);
        self.child.wait()?;
        let mut mean = None;
        while let Ok(said) = self.messages.recv() {
            if let ContenderMessage::Commits { mean_ms, .. } = said {
                mean = Some(mean_ms);
            }
        }
        Ok(mean)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A process that has ended needs neither.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// CPU time and memory of a process, as the kernel counts them (proc(5): `stat` fields 14 and 15 in
/// ticks of 10 ms, `status` VmHWM).
pub(crate) fn usage(pid: u32) -> anyhow::Result<Usage> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name in parentheses may contain anything.
    let fields: Vec<&str> =
        stat.rsplit_once(')').context("/proc stat")?.1.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("VmHWM")?;
    let kilobytes: f64 = peak.trim().trim_end_matches(" kB").parse()?;
    Ok(Usage { cpu: Duration::from_millis(ticks * 10), memory_mb: kilobytes / 1024.0 })
}
