//! Runs the parts: starts them stage by stage, waits until each is ready, notices deaths, stops all
//! in reverse order. In `up` it restarts what dies by itself, as compose's `unless-stopped` does;
//! in tests it restarts nothing, so that a test sees exactly what it caused.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::{join_all, try_join_all};
use nix::sys::signal::Signal;
use tokio::sync::watch;

use super::control::PartStatus;
use super::{Kind, Layout, Part, StackError, process, ready};

/// How long a part gets to become ready.
const READY_MAX: Duration = Duration::from_secs(120);
/// How long a part gets to stop before it is killed.
const STOP_MAX: Duration = Duration::from_secs(25);
/// A part that lived this long is restarted without waiting.
const STEADY_AFTER: Duration = Duration::from_secs(60);
/// The longest wait before a restart.
const BACKOFF_MAX: Duration = Duration::from_secs(30);

/// What happens to a part that dies by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Started again, with a growing wait.
    Restart,
    /// Left dead.
    Leave,
}

/// The state of one part.
#[derive(Clone, Debug, Default)]
struct State {
    pid: Option<u32>,
    /// Whether it is meant to run.
    wanted: bool,
    /// Whether it was seen ready since its last start.
    ready: bool,
    /// Whether it was ever seen ready.
    came_up: bool,
    /// A signal sent on purpose, so that its death is no surprise.
    signalled: Option<Signal>,
    /// How it last ended.
    ended: Option<String>,
    succeeded: bool,
    starts: u32,
}

struct Slot {
    part: Part,
    state: Mutex<State>,
    changed: watch::Sender<()>,
    /// Held while the last steps to readiness are taken, which must not be taken twice at once.
    finishing: tokio::sync::Mutex<()>,
}

impl Slot {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn update(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changed.send_replace(());
    }
}

/// All parts of one stack.
pub struct Supervisor {
    layout: Layout,
    policy: Policy,
    slots: Vec<Arc<Slot>>,
}

impl Supervisor {
    /// A supervisor of `parts`, none of them started.
    pub fn new(layout: Layout, parts: Vec<Part>, policy: Policy) -> Arc<Self> {
        let slot = |part| {
            Arc::new(Slot {
                part,
                state: Mutex::new(State::default()),
                changed: watch::Sender::new(()),
                finishing: tokio::sync::Mutex::default(),
            })
        };
        Arc::new(Self { layout, policy, slots: parts.into_iter().map(slot).collect() })
    }

    fn slot(&self, name: &str) -> Result<&Arc<Slot>, StackError> {
        self.slots
            .iter()
            .find(|slot| slot.part.name == name)
            .ok_or_else(|| StackError::Unknown(name.to_owned()))
    }

    /// Starts every part that starts by itself, stage by stage, with a line for each.
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
                let done = if slot.part.kind == Kind::OneShot { "done" } else { "ready" };
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

    /// The same with more in its environment, for this one start.
    pub async fn start_with(
        self: &Arc<Self>,
        name: &str,
        extra: &[(&str, &str)],
    ) -> Result<u32, StackError> {
        let slot = self.slot(name)?;
        if let Some(pid) = slot.state().pid {
            return Err(StackError::Refused(format!("{name} runs already (pid {pid})")));
        }
        slot.update(|state| state.wanted = true);
        self.launch(slot.clone(), extra).await
    }

    async fn launch(
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
        // Whoever asked for the start may wait for it too; this one only notes that it happened.
        let supervisor = self.clone();
        tokio::spawn(async move { supervisor.wait(&slot.part.name, READY_MAX).await });
        Ok(pid)
    }

    /// Notices the end of one process, and starts the next one where the policy says so.
    async fn watch(self: Arc<Self>, slot: Arc<Slot>, mut child: tokio::process::Child) {
        let begun = Instant::now();
        let pid = child.id();
        let ended = child.wait().await;
        if let Some(pid) = pid {
            // Whatever its children still do, they do it without it.
            let _ = process::signal(pid, Signal::SIGKILL);
        }
        process::forget(&slot.part.name, &self.layout);
        let how =
            ended.as_ref().map_or_else(ToString::to_string, |status| process::describe(*status));
        let succeeded = ended.is_ok_and(|status| status.success());
        let before = slot.state().clone();
        slot.update(|state| {
            state.pid = None;
            state.ready = false;
            state.succeeded = succeeded;
            state.ended = Some(how.clone());
        });
        // One that never came up is reported by who waits for it.
        if !before.wanted || !before.came_up || slot.part.kind == Kind::OneShot {
            return;
        }
        let name = &slot.part.name;
        match before.signalled {
            Some(signal) => tell!("stack: {name} {how} (asked for: {signal})"),
            None => {
                let log = self.layout.log(name);
                tell!(
                    "stack: {name} {how}; its log ends with:\n{}\n  ({})",
                    process::tail(&log),
                    log.display()
                );
            }
        }
        if self.policy == Policy::Restart {
            let wait =
                if begun.elapsed() > STEADY_AFTER { 0 } else { 1 << (before.starts - 1).min(5) };
            self.restart(slot, Duration::from_secs(wait).min(BACKOFF_MAX)).await;
        }
    }

    // Boxed: it starts what watches, and what watches restarts.
    fn restart(
        self: Arc<Self>,
        slot: Arc<Slot>,
        wait: Duration,
    ) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            tell!("stack: starting {} again in {} s", slot.part.name, wait.as_secs());
            tokio::time::sleep(wait).await;
            let due = { slot.state().wanted && slot.state().pid.is_none() };
            if due && let Err(error) = self.launch(slot, &[]).await {
                tell!("stack: {error}");
            }
        })
    }

    /// Waits until a part is ready (a one-shot: has succeeded).
    pub async fn wait(&self, name: &str, at_most: Duration) -> Result<(), StackError> {
        let slot = self.slot(name)?;
        let begun = Instant::now();
        let mut changed = slot.changed.subscribe();
        loop {
            let state = slot.state().clone();
            if slot.part.kind == Kind::OneShot && state.succeeded {
                return Ok(());
            }
            match (state.pid, &state.ended) {
                (Some(_), _) if ready::ask(&slot.part.ready, slot.part.user.as_ref()).await => {
                    break;
                }
                // Someone else may answer on the port of a part that is dead.
                (None, Some(how))
                    if self.policy == Policy::Leave || !state.wanted || !state.came_up =>
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

    /// Sends a signal to a part. After SIGKILL it is gone when this returns.
    pub async fn signal(&self, name: &str, signal: Signal) -> Result<(), StackError> {
        let slot = self.slot(name)?;
        let pid =
            slot.state().pid.ok_or_else(|| StackError::Refused(format!("{name} does not run")))?;
        slot.update(|state| state.signalled = Some(signal));
        process::signal(pid, signal)
            .map_err(|error| StackError::Refused(format!("{signal} to {name}: {error}")))?;
        if signal == Signal::SIGKILL {
            self.gone(slot, pid, STOP_MAX).await;
        }
        Ok(())
    }

    /// Stops a part, killing it when it does not stop in time. One that does not run is left as it
    /// is.
    pub async fn stop(&self, name: &str) -> Result<(), StackError> {
        let slot = self.slot(name)?;
        self.stop_by(slot, slot.part.stop).await;
        Ok(())
    }

    async fn stop_by(&self, slot: &Slot, signal: Signal) {
        slot.update(|state| state.wanted = false);
        let Some(pid) = slot.state().pid else { return };
        // A process that is frozen by SIGSTOP can't stop.
        let _ = process::signal(pid, Signal::SIGCONT);
        let _ = process::signal(pid, signal);
        if !self.gone(slot, pid, STOP_MAX).await {
            let name = &slot.part.name;
            tell!("stack: {name} did not stop within {} s, killing it", STOP_MAX.as_secs());
            let _ = process::signal(pid, Signal::SIGKILL);
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
        // Nothing that waits for its restart may come back meanwhile.
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
    pub fn kill_all(&self) {
        for slot in &self.slots {
            slot.update(|state| state.wanted = false);
            if let Some(pid) = slot.state().pid {
                let _ = process::signal(pid, Signal::SIGKILL);
            }
        }
    }

    /// Every part's state.
    pub fn status(&self) -> Vec<PartStatus> {
        let status = |slot: &Arc<Slot>| {
            let state = slot.state().clone();
            let word = match (state.pid, state.ready, state.wanted, state.starts) {
                (Some(_), true, ..) => "ready",
                (Some(_), false, ..) => "starting",
                (None, _, _, _) if state.succeeded && slot.part.kind == Kind::OneShot => "done",
                (None, _, _, 0) => "not started",
                (None, _, true, _) => "dead",
                (None, _, false, _) => "stopped",
            };
            PartStatus {
                name: slot.part.name.clone(),
                state: word.to_owned(),
                pid: state.pid,
                address: slot.part.address.clone(),
                starts: state.starts,
                ended: state.ended,
            }
        };
        self.slots.iter().map(status).collect()
    }
}
