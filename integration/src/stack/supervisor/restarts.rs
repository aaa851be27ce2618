//! Notices that a part's process has ended, reports it, and restarts the part if the policy says
//! so.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{RestartPolicy, Slot, Supervisor};
use crate::chain;
use crate::stack::{PartKind, process};

/// A part that ran for this long is restarted without a wait.
const STEADY_AFTER: Duration = Duration::from_secs(60);

/// The longest wait before a restart.
const BACKOFF_MAX: Duration = Duration::from_secs(30);

impl Supervisor {
    /// Waits for the end of one process, reports it, and restarts the part if the policy says so.
    pub(super) async fn watch(self: Arc<Self>, slot: Arc<Slot>, mut child: tokio::process::Child) {
        let begun = Instant::now();
        let pid = child.id();
        let ended = child.wait().await;
        if let Some(pid) = pid {
            // Its group must not outlive it. `signal` and `stop` have killed the rest of its tree
            // before it. If it has ended by itself, a descendant with a session of its own can't be
            // found any more: PostgreSQL's backends end when they notice its end.
            process::kill_group(pid);
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
        // If the part was never ready, the caller that waits for it reports its death.
        if !before.wanted || !before.came_up || slot.part.kind == PartKind::OneShot {
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
        if self.policy == RestartPolicy::Restart {
            let wait =
                if begun.elapsed() > STEADY_AFTER { 0 } else { 1 << (before.starts - 1).min(5) };
            self.restart(slot, Duration::from_secs(wait).min(BACKOFF_MAX)).await;
        }
    }

    // Boxed, because `watch` and `restart` call each other.
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
                tell!("stack: {}", chain(&error));
            }
        })
    }
}
