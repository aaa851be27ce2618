//! Waits for an outcome and for the read model that holds it. A notice makes the wait short;
//! polling makes it reliable.

use std::time::Duration;

use schemas::{Outcome, Verdict, chain};
use tokio::time::{Instant, sleep, timeout_at};
use uuid::Uuid;

use crate::{
    commands::CommandRecord,
    reads::{Notice, ReadError, Reads, ViewNotice},
};

/// The polling interval for an outcome, if its notice is lost.
const OUTCOME_INTERVAL: Duration = Duration::from_millis(250);
/// The polling interval for the version that a read model holds, if a notice is expected.
/// Longer than without one, because each poll is work for a store that is late already.
const NOTIFIED_VERSION_INTERVAL: Duration = Duration::from_millis(25);

/// What ended a wait; the value of the metric's label.
pub(super) type EndedBy = &'static str;
const NOTICE: EndedBy = "notice";
const POLL: EndedBy = "poll";
const HELD: EndedBy = "held";
const DEADLINE: EndedBy = "deadline";
/// The gateway began to shut down.
pub(super) const SHUTDOWN: EndedBy = "shutdown";

/// Waits for the outcome of a command, which may have one already; `None` when there is none before
/// the deadline.
pub async fn for_outcome(
    reads: &dyn Reads,
    id: Uuid,
    notice: Option<Notice>,
    deadline: Instant,
) -> Option<Outcome> {
    let stored = stored(reads, id).await;
    if stored.is_some() || Instant::now() >= deadline {
        return stored;
    }
    for_new_outcome(reads, id, notice, deadline).await.0
}

/// Waits for the outcome of a command that had none when `notice` was created. The notice carries
/// the outcome, so the store is only asked if it does not come.
pub(super) async fn for_new_outcome(
    reads: &dyn Reads,
    id: Uuid,
    notice: Option<Notice>,
    deadline: Instant,
) -> (Option<Outcome>, EndedBy) {
    let mut notice = notice.unwrap_or_else(|| Box::pin(std::future::pending()));
    loop {
        match timeout_at(deadline.min(Instant::now() + OUTCOME_INTERVAL), &mut notice).await {
            Ok(Some(outcome)) => return (Some(outcome), NOTICE),
            // A future that has ended must not be polled again.
            Ok(None) => notice = Box::pin(std::future::pending()),
            Err(_) => {}
        }
        if let Some(outcome) = stored(reads, id).await {
            return (Some(outcome), POLL);
        }
        if Instant::now() >= deadline {
            return (None, DEADLINE);
        }
    }
}

/// The stored outcome; an error counts as none, because the store may answer the next time.
async fn stored(reads: &dyn Reads, id: Uuid) -> Option<Outcome> {
    reads.outcome(id).await.unwrap_or_else(|error| {
        let error = chain(&error);
        tracing::warn!(error, command.id = %id, "an outcome could not be read");
        None
    })
}

/// A subscription to the versions of a command's aggregate in its read model.
pub(super) struct View {
    aggregate: &'static str,
    id: String,
    notice: ViewNotice,
}

impl View {
    /// Subscribes before the command is written; `None` when no notice would come.
    pub(super) fn subscribed(reads: &dyn Reads, record: &CommandRecord) -> Option<Self> {
        let (aggregate, id) = (record.command.context(), record.key.clone());
        let notice = reads.view_notice(aggregate, &id)?;
        Some(Self { aggregate, id, notice })
    }

    /// The notice of an outcome's version; `None` when the outcome concerns another aggregate than
    /// the command.
    pub(super) fn notice_of(self, outcome: &Outcome) -> Option<ViewNotice> {
        let is_own = self.aggregate == outcome.aggregate && self.id == outcome.aggregate_id;
        is_own.then_some(self.notice)
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
        if is_held(reads, outcome).await? {
            return Ok(true);
        }
        if Instant::now() >= deadline {
            return Ok(false);
        }
        sleep(interval).await;
    }
}

/// The same with a notice, which must have been created for the aggregate before the command was
/// written. The store is only asked if it does not come, and at once after a refusal: the version
/// that a command was refused on is usually an old one.
///
/// # Errors
/// Returns the error of the store.
pub(super) async fn for_notified_version(
    reads: &dyn Reads,
    outcome: &Outcome,
    notice: ViewNotice,
    deadline: Instant,
) -> Result<(bool, EndedBy), ReadError> {
    if outcome.verdict != Verdict::Accepted && is_held(reads, outcome).await? {
        return Ok((true, HELD));
    }
    let mut notified = notice(outcome.version);
    loop {
        let next = deadline.min(Instant::now() + NOTIFIED_VERSION_INTERVAL);
        if timeout_at(next, &mut notified).await.is_ok() {
            return Ok((true, NOTICE));
        }
        if is_held(reads, outcome).await? {
            return Ok((true, POLL));
        }
        if Instant::now() >= deadline {
            return Ok((false, DEADLINE));
        }
    }
}

/// Whether the read model holds the version of an outcome.
async fn is_held(reads: &dyn Reads, outcome: &Outcome) -> Result<bool, ReadError> {
    let held = reads.version(&outcome.aggregate, &outcome.aggregate_id).await?;
    Ok(held.is_some_and(|held| held >= outcome.version))
}
