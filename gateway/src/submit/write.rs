//! Writes a command to the log, and counts and logs the result.

use redpanda::spans::{self, Sending};
use schemas::Message as _;
use schemas::chain;
use tokio::time::Instant;

use crate::{
    call::Call,
    commands::{Command, CommandRecord, Confirmed, Unwritten},
    ids::Principal,
    state::State,
};

/// Writes a command, and does what `confirmed` says as soon as the log has it. A failure is logged
/// here.
///
/// # Errors
/// Returns an error when the log did not confirm the command: it may be written or not.
pub(super) async fn write(
    state: &State,
    mut record: CommandRecord,
    confirmed: Confirmed,
) -> Result<(), Unwritten> {
    let (command_type, id) = (record.command.name(), record.id);
    let span = span(&record);
    if let Some(span) = &span {
        record.trace_parent = Some(span.trace_parent());
    }
    let begun = Instant::now();
    let written = state.commands.write(record, confirmed).await;
    state.metrics.write_seconds.observe(begun.elapsed().as_secs_f64());
    if let Some(span) = span {
        span.end(written.is_ok());
    }
    let result = if written.is_ok() { "written" } else { "failed" };
    state.metrics.commands.with_label_values(&[command_type, result]).inc();
    if let Err(error) = &written {
        tracing::error!(
            error = chain(error),
            command.id = %id,
            command.type = command_type,
            "the log did not confirm a command"
        );
    }
    written
}

/// The span of the write, if spans are exported and the trace is sampled.
fn span(record: &CommandRecord) -> Option<Sending> {
    let parent = record.trace_parent.as_deref().filter(|_| spans::is_on())?;
    let (topic, id) = (record.command.topic().ok()?, record.id.to_string());
    Sending::begin(parent, &topic, &id, record.command.name())
}

/// Writes a command that the request does not depend on, such as a better hash of a password.
pub async fn write_in_background(
    call: &Call,
    principal: &Principal,
    key: String,
    command: Command,
) {
    let id = call.state.ids.command(principal, "ASIDE", command.name(), None);
    let fingerprint = call.state.ids.request("ASIDE", command.name(), id.as_bytes());
    let record = CommandRecord {
        id,
        principal: principal.to_string(),
        fingerprint,
        key,
        trace_parent: call.trace_parent(),
        command,
    };
    // The failure has been logged, and the next log-in tries again.
    let _ = write(&call.state, record, Box::new(|| ())).await;
}
