//! Waits for an outcome and for the read model that holds it. A notification makes the wait short;
//! polling makes it reliable.

use std::time::Duration;

use schemas::{Outcome, chain};
use tokio::time::{Instant, sleep, timeout_at};
use uuid::Uuid;

use crate::reads::{Notice, ReadError, Reads};

/// The polling interval for an outcome, if its notification is lost.
const OUTCOME_INTERVAL: Duration = Duration::from_millis(250);

/// Waits for the outcome of a command; `None` when there is none before the deadline. `notice`
/// must have been created before the command was written, so that it misses nothing.
pub async fn for_outcome(
    reads: &dyn Reads,
    id: Uuid,
    notice: Option<Notice>,
    deadline: Instant,
) -> Option<Outcome> {
    let mut notice = notice.unwrap_or_else(|| Box::pin(std::future::pending()));
    loop {
        match reads.outcome(id).await {
            Ok(Some(outcome)) => return Some(outcome),
            Ok(None) => {}
            // The command is on its way, and the store may answer the next time.
            Err(error) => {
                let error = chain(&error);
                tracing::warn!(error, command.id = %id, "an outcome could not be read");
            }
        }
        let now = Instant::now();
        if now >= deadline {
            return None;
        }
        if timeout_at(deadline.min(now + OUTCOME_INTERVAL), &mut notice).await.is_ok() {
            // A future that has ended must not be polled again.
            notice = Box::pin(std::future::pending());
        }
    }
}

/// Waits until the read model holds the version of an outcome, which it asks for in this interval;
/// `false` when it does not before the deadline.
///
/// # Errors
/// Returns the error of the store.
pub(super) async fn for_version(
    reads: &dyn Reads,
    outcome: &Outcome,
    interval: Duration,
    deadline: Instant,
) -> Result<bool, ReadError> {
    loop {
        let held = reads.version(&outcome.aggregate, &outcome.aggregate_id).await?;
        if held.is_some_and(|held| held >= outcome.version) {
            return Ok(true);
        }
        if Instant::now() >= deadline {
            return Ok(false);
        }
        sleep(interval).await;
    }
}
