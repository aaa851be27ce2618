//! The checks of `/readyz`. Stores do not count: a service decides without them.

use std::sync::{Arc, OnceLock};

use engine::Status;

use crate::{
    internal::Check,
    threads::{TURN_MAX, Threads},
};

/// The statuses of all workers; unset until they are started.
pub(super) type Statuses = Arc<OnceLock<Vec<Arc<Status>>>>;

/// Ready while no thread has ended or is stuck.
pub(super) fn threads_alive(threads: Threads) -> Check {
    Arc::new(move || threads.failing(TURN_MAX))
}

/// Ready when every worker has its session and its partitions, hears from the broker, and has all
/// tasks restored. Names every reason, since one often follows from another: a worker that hears
/// from no broker loses its session too.
pub(super) fn engine_ready(statuses: Statuses) -> Check {
    Arc::new(move || {
        let Some(all) = statuses.get() else { return Some("waiting for the schemas".to_owned()) };
        if all.iter().all(|status| status.is_ready()) {
            return None;
        }
        let mut reasons: Vec<String> = all.iter().flat_map(|status| status.stuck()).collect();
        if !all.iter().all(|status| status.is_in_contact()) {
            reasons
                .push(format!("no broker was heard from for {} s", engine::SILENCE_MAX.as_secs()));
        }
        if reasons.is_empty() {
            reasons.push(
                "a session is being opened, partitions are awaited or a task is restored"
                    .to_owned(),
            );
        }
        Some(reasons.join("; "))
    })
}
