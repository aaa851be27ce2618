//! Starts parts, and waits until they are ready.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;

use super::{RestartPolicy, Slot, State, Supervisor};
use crate::stack::{PartKind, StackError, process, ready};

/// How long a part may take to become ready.
const READY_MAX: Duration = Duration::from_secs(120);

impl Supervisor {
    /// Starts every part that needs no request, stage by stage, and prints a line for each.
    pub async fn start_all(self: &Arc<Self>) -> Result<(), StackError> {
        let mut stages: Vec<u8> = self.slots.iter().map(|slot| slot.part.stage).collect();
        stages.sort_unstable();
        stages.dedup();
        for stage in stages {
            let starting =
                self.slots.iter().filter(|slot| slot.part.stage == stage && slot.part.autostart);
            try_join_all(starting.map(|slot| async move {
                let begun = Instant::now();
                self.start(&slot.part.name).await?;
                self.wait(&slot.part.name, READY_MAX).await?;
                let done = if slot.part.kind == PartKind::OneShot { "done" } else { "ready" };
                say!(
                    "  {:<16} {:<40} {done} in {:.1} s",
                    slot.part.name,
                    slot.part.address,
                    begun.elapsed().as_secs_f64()
                );
                Ok::<(), StackError>(())
            }))
            .await?;
        }
        Ok(())
    }

    /// Starts one part and returns its process id without waiting until it is ready.
    pub async fn start(self: &Arc<Self>, name: &str) -> Result<u32, StackError> {
        self.start_with(name, &[]).await
    }

    /// Starts one part with `extra` in its environment, for this one start.
    pub async fn start_with(
        self: &Arc<Self>,
        name: &str,
        extra: &[(&str, &str)],
    ) -> Result<u32, StackError> {
        let slot = self.slot(name)?;
        if let Some(pid) = slot.state().pid {
            return Err(StackError::Refused(format!("{name} is already running (pid {pid})")));
        }
        slot.update(|state| state.wanted = true);
        self.launch(slot.clone(), extra).await
    }

    pub(super) async fn launch(
        self: &Arc<Self>,
        slot: Arc<Slot>,
        extra: &[(&str, &str)],
    ) -> Result<u32, StackError> {
        for step in &slot.part.before {
            process::run_step(step, &slot.part, &self.layout).await?;
        }
        let child = process::spawn(&slot.part, extra, &self.layout)?;
        let pid = child.id().unwrap_or_default();
        slot.update(|state| {
            let (starts, came_up) = (state.starts + 1, state.came_up);
            *state = State { pid: Some(pid), wanted: true, starts, came_up, ..State::default() };
        });
        tokio::spawn(self.clone().watch(slot.clone(), child));
        // This task records when the part becomes ready, also if no caller waits for that.
        let supervisor = self.clone();
        tokio::spawn(async move { supervisor.wait(&slot.part.name, READY_MAX).await });
        Ok(pid)
    }

    /// Waits until a part is ready (a one-shot: has succeeded).
    pub async fn wait(&self, name: &str, at_most: Duration) -> Result<(), StackError> {
        let slot = self.slot(name)?;
        let begun = Instant::now();
        let mut changed = slot.changed.subscribe();
        loop {
            let state = slot.state().clone();
            if slot.part.kind == PartKind::OneShot && state.succeeded {
                return Ok(());
            }
            match (state.pid, &state.ended) {
                (Some(_), _) if ready::ask(&slot.part.ready, slot.part.user.as_ref()).await => {
                    break;
                }
                // The check above is not made for a dead part: another program may listen on its
                // port.
                (None, Some(how))
                    if self.policy == RestartPolicy::Leave || !state.wanted || !state.came_up =>
                {
                    return Err(process::failed(&self.layout, name, how.clone()));
                }
                (None, None) if !state.wanted => {
                    return Err(StackError::Refused(format!("{name} is not started")));
                }
                _ => {}
            }
            if begun.elapsed() > at_most {
                let why = format!("was not ready within {} s", at_most.as_secs());
                return Err(process::failed(&self.layout, name, why));
            }
            let _ = tokio::time::timeout(Duration::from_millis(100), changed.changed()).await;
        }
        let _finishing = slot.finishing.lock().await;
        if !slot.state().ready {
            for step in &slot.part.after {
                process::run_step(step, &slot.part, &self.layout).await?;
            }
            slot.update(|state| (state.ready, state.came_up) = (true, true));
        }
        Ok(())
    }
}
