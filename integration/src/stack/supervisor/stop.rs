//! Sends signals to parts and stops them, each within a bound.

use std::time::Duration;

use futures_util::future::join_all;
use nix::sys::signal::Signal;

use super::{Slot, Supervisor};
use crate::stack::{StackError, tree};

/// How long a part may take to stop before it is killed.
const STOP_MAX: Duration = Duration::from_secs(25);

impl Supervisor {
    /// Sends a signal to a part: SIGSTOP, SIGCONT and SIGKILL to its process and all descendants,
    /// any other to its process alone. After SIGSTOP all of them are stopped when this returns, and
    /// after SIGKILL all have ended.
    pub async fn signal(&self, name: &str, signal: Signal) -> Result<(), StackError> {
        let slot = self.slot(name)?;
        let pid =
            slot.state().pid.ok_or_else(|| StackError::Refused(format!("{name} does not run")))?;
        slot.update(|state| state.signalled = Some(signal));
        tree::signal(pid, signal)
            .await
            .map_err(|error| StackError::Refused(format!("{signal} to {name}: {error}")))?;
        if signal == Signal::SIGKILL {
            self.gone(slot, pid, STOP_MAX).await;
        }
        Ok(())
    }

    /// Stops a part if it runs, and kills it if it does not stop in time.
    pub async fn stop(&self, name: &str) -> Result<(), StackError> {
        let slot = self.slot(name)?;
        self.stop_by(slot, slot.part.stop).await;
        Ok(())
    }

    async fn stop_by(&self, slot: &Slot, signal: Signal) {
        slot.update(|state| state.wanted = false);
        let Some(pid) = slot.state().pid else { return };
        // A process that is stopped by SIGSTOP can't end.
        let _ = tree::signal(pid, Signal::SIGCONT).await;
        let _ = tree::signal(pid, signal).await;
        if !self.gone(slot, pid, STOP_MAX).await {
            let name = &slot.part.name;
            tell!("stack: {name} did not stop within {} s, killing it", STOP_MAX.as_secs());
            let _ = tree::signal(pid, Signal::SIGKILL).await;
            self.gone(slot, pid, STOP_MAX).await;
        }
    }

    async fn gone(&self, slot: &Slot, pid: u32, at_most: Duration) -> bool {
        let mut changed = slot.changed.subscribe();
        let waited = tokio::time::timeout(at_most, async {
            while slot.state().pid == Some(pid) {
                let _ = changed.changed().await;
            }
        });
        waited.await.is_ok()
    }

    /// Stops everything in reverse order: the parts of one stage together, the last stage first.
    pub async fn stop_all(&self) {
        let mut stages: Vec<u8> = self.slots.iter().map(|slot| slot.part.stage).collect();
        stages.sort_unstable();
        stages.dedup();
        // A part that waits for its restart must not start again meanwhile.
        self.slots.iter().for_each(|slot| slot.update(|state| state.wanted = false));
        for stage in stages.into_iter().rev() {
            let stopping = self.slots.iter().filter(|slot| slot.part.stage == stage);
            let running: Vec<_> = stopping.filter(|slot| slot.state().pid.is_some()).collect();
            if running.is_empty() {
                continue;
            }
            let names: Vec<_> = running.iter().map(|slot| slot.part.name.as_str()).collect();
            say!("stopping {}", names.join(", "));
            let by = |slot: &Slot| slot.part.stop_with_all.unwrap_or(slot.part.stop);
            join_all(running.iter().map(|slot| self.stop_by(slot, by(slot)))).await;
        }
    }

    /// Kills everything at once.
    pub async fn kill_all(&self) {
        self.slots.iter().for_each(|slot| slot.update(|state| state.wanted = false));
        let pids: Vec<_> = self.slots.iter().filter_map(|slot| slot.state().pid).collect();
        join_all(pids.into_iter().map(|pid| tree::signal(pid, Signal::SIGKILL))).await;
    }
}
