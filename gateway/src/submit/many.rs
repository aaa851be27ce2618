//! The commands of a request that makes many, such as a re-drive of all keys with one error. The
//! next one is written when an earlier one has its outcome, so that such a request adds no more to
//! the backlog of a processor than a few clients do.

use futures_util::{StreamExt, stream};
use schemas::{Message as _, Outcome, Verdict};
use serde::Serialize;
use tokio::time::Instant;

use super::{Submission, wait, write::write};
use crate::{
    call::Call,
    commands::{Command, CommandRecord},
    outcome,
    problem::Problem,
};

/// How many commands of a request are written and have no outcome yet.
const IN_FLIGHT_MAX: usize = 32;

/// How many commands of a request have ended in which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CommandCounts {
    /// Accepted.
    pub accepted: usize,
    /// Refused.
    pub refused: usize,
    /// Failed.
    pub failed: usize,
    /// Written, without an outcome before the deadline.
    pub pending: usize,
    /// Not written before the deadline, or the log did not confirm them.
    pub unsent: usize,
}

/// One of the commands of a request.
pub struct Part {
    /// The topic whose records it is about.
    pub topic: String,
    /// The key of those records, and of the command.
    pub key: String,
    /// The command.
    pub command: Command,
}

impl Submission {
    /// Writes commands, and waits for their outcomes until the deadline. The id of a command
    /// derives from that of this submission and from what it is about, but not from its content: a
    /// repeat of the request may find another first record of a key, and must have no second
    /// effect.
    ///
    /// # Errors
    /// Returns a 412 problem when the conditions are not met, and 422 when another request has the
    /// idempotency key. Then nothing is written.
    pub async fn write_each(
        &self,
        call: &Call,
        deadline: Instant,
        parts: Vec<Part>,
    ) -> Result<CommandCounts, Problem> {
        self.before_write(call).await?;
        let records: Vec<_> = parts.into_iter().map(|part| self.record(call, part)).collect();
        let sent = stream::iter(records).map(|record| sent(call, deadline, record));
        let count = |mut counts: CommandCounts, end: End| async move {
            *match end {
                End::Decided(Verdict::Accepted) => &mut counts.accepted,
                End::Decided(Verdict::Refused) => &mut counts.refused,
                End::Decided(Verdict::Failed) => &mut counts.failed,
                End::Pending => &mut counts.pending,
                End::Unsent => &mut counts.unsent,
            } += 1;
            counts
        };
        Ok(sent.buffer_unordered(IN_FLIGHT_MAX).fold(CommandCounts::default(), count).await)
    }

    /// One command of this request. The request's own fingerprint is in its id, which repeats with
    /// the same key only if the body is the same.
    fn record(&self, call: &Call, part: Part) -> CommandRecord {
        let Part { topic, key, command } = part;
        let (ids, method, resource) = (&call.state.ids, call.method.as_str(), &call.resource);
        let subject = format!("{} {topic} {key}", self.id);
        CommandRecord {
            id: ids.command(&self.principal, method, resource, Some(&subject)),
            principal: self.principal.to_string(),
            fingerprint: ids.request(method, resource, subject.as_bytes()),
            key,
            trace_parent: call.trace_parent(),
            command,
        }
    }
}

/// How a command has ended.
enum End {
    Decided(Verdict),
    Pending,
    Unsent,
}

async fn sent(call: &Call, deadline: Instant, record: CommandRecord) -> End {
    if Instant::now() >= deadline || call.state.is_draining() {
        return End::Unsent;
    }
    let (reads, metrics) = (&*call.state.reads, &call.state.metrics);
    let (id, command_type) = (record.id, record.command.name());
    // Before the write, so that no outcome is missed.
    let notice = reads.notice(id);
    if write(&call.state, record, Box::new(|| ())).await.is_err() {
        return End::Unsent;
    }
    let waited = wait::for_new_outcome(reads, id, Some(notice), deadline);
    let waited = call.state.before_shutdown(waited).await;
    let (outcome, ended_by) = waited.unwrap_or((None, wait::SHUTDOWN));
    metrics.waits.with_label_values(&["outcome", ended_by]).inc();
    let verdict = outcome.as_ref().map(|outcome: &Outcome| outcome.verdict);
    let name = verdict.map_or("none", outcome::verdict_name);
    metrics.outcomes.with_label_values(&[command_type, name]).inc();
    verdict.map_or(End::Pending, End::Decided)
}
