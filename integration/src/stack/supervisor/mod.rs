//! Runs the parts: starts them stage by stage, waits until each is ready, notices deaths and stops
//! all of them in reverse order. In `up` it restarts a part that dies by itself, as compose's
//! `unless-stopped` does. In tests it restarts nothing, so that a test sees exactly what it caused.

mod restarts;
mod start;
mod stop;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::sys::signal::Signal;
use tokio::sync::watch;

use crate::stack::status::PartStatus;
use crate::stack::{Layout, Part, PartKind, StackError};

/// What happens when a part dies by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestartPolicy {
    /// It is started again, after a growing wait.
    Restart,
    /// It stays dead.
    Leave,
}

/// The state of one part.
#[derive(Clone, Debug, Default)]
struct State {
    pid: Option<u32>,
    /// Whether it should run.
    wanted: bool,
    /// Whether it was ready since its last start.
    ready: bool,
    /// Whether it was ever ready.
    came_up: bool,
    /// The last signal that was sent by request, which explains its death.
    signalled: Option<Signal>,
    /// How its last process ended.
    ended: Option<String>,
    succeeded: bool,
    starts: u32,
}

struct Slot {
    part: Part,
    state: Mutex<State>,
    changed: watch::Sender<()>,
    /// Held while the steps after readiness run, so that two callers do not run them at once.
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
    policy: RestartPolicy,
    slots: Vec<Arc<Slot>>,
}

impl Supervisor {
    /// Creates a supervisor of `parts` and starts none of them.
    pub fn new(layout: Layout, parts: Vec<Part>, policy: RestartPolicy) -> Arc<Self> {
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

    /// Every part's state.
    pub fn status(&self) -> Vec<PartStatus> {
        let status = |slot: &Arc<Slot>| {
            let state = slot.state().clone();
            let word = match (state.pid, state.ready, state.wanted, state.starts) {
                (Some(_), true, ..) => "ready",
                (Some(_), false, ..) => "starting",
                (None, _, _, _) if state.succeeded && slot.part.kind == PartKind::OneShot => "done",
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
