//! A command that may be in the log and has no outcome yet. It keeps the slot of its request,
//! whether the request waits, has been answered with 202, or was cut off by its client. So the
//! slots bound the backlog of the processors and projectors, and a slow command is measured too.
//! A command whose write was not confirmed keeps no slot: it may never have been written, and then
//! no outcome would come.

use std::{sync::Arc, time::Duration};

use schemas::Verdict;
use tokio::{
    runtime::Handle,
    time::{Instant, timeout},
};
use uuid::Uuid;

use super::wait;
use crate::{
    call::Call,
    load::Slot,
    reads::{self, Notice},
    state::State,
};

/// How long a slot is kept. Then something is wrong with the processor, and few commands are let
/// in.
const KEEP_MAX: Duration = Duration::from_secs(60);
/// The polling interval for the outcome, if its notice is lost.
const OUTCOME_INTERVAL: Duration = Duration::from_secs(1);
/// The polling interval for the version that a read model holds.
const VERSION_INTERVAL: Duration = Duration::from_millis(100);

/// A command without an outcome. When it is dropped, a task of its own continues to wait.
pub(super) struct Undecided(Option<Kept>);

struct Kept {
    state: Arc<State>,
    command: Uuid,
    slot: Slot,
}

impl Undecided {
    /// The command of a request, before it is written. Without a slot there is nothing to keep.
    pub(super) fn new(call: &Call, command: Uuid) -> Self {
        let kept = |slot: &Slot| Kept { state: call.state.clone(), command, slot: slot.clone() };
        Self(call.slot.as_ref().map(kept))
    }

    /// Ends the wait: the request has the outcome, or the log did not confirm the command.
    pub(super) fn end(mut self) {
        self.0 = None;
    }
}

impl Drop for Undecided {
    fn drop(&mut self) {
        let Some(kept) = self.0.take() else { return };
        // The request may be dropped with its runtime, at the end of the process.
        if let Ok(runtime) = Handle::try_current() {
            let notice = kept.state.reads.notice(kept.command);
            runtime.spawn(kept.wait(notice));
        }
    }
}

impl Kept {
    /// Waits until the read model holds the outcome's version, which is when a request that waits
    /// would be answered. Then frees the slot.
    async fn wait(self, mut notice: Notice) {
        let deadline = Instant::now() + KEEP_MAX;
        let models = &*self.state.reads;
        while Instant::now() < deadline {
            let mut known = None;
            if let Ok(notified) = timeout(OUTCOME_INTERVAL, &mut notice).await {
                known = notified;
                // A future that has ended must not be polled again.
                notice = Box::pin(std::future::pending());
            }
            if known.is_none() {
                // An error is repeated, or logged by requests that wait for the same store.
                known = models.outcome(self.command).await.ok().flatten();
            }
            if let Some(outcome) = known {
                // What has no version, or no read model, is visible nowhere.
                let is_shown = outcome.version > 0 && reads::has_versions(&outcome.aggregate);
                if outcome.verdict == Verdict::Accepted && is_shown {
                    let seen = wait::for_version(models, &outcome, VERSION_INTERVAL, deadline);
                    let _ = seen.await;
                }
                break;
            }
        }
        self.slot.record();
    }
}
