//! The operator's desk, for admins: re-drives of all parked keys with one error, or of one topic.
//! Each key gets a command of its own, ordered with everything else of that key, and its own event.

use std::time::Duration;

use projections::postgres::ParkedSelection;
use redpanda::topics;
use schemas::engine::{Command, Redrive};
use serde::{Deserialize, Deserializer};
use serde_json::json;
use tokio::time::Instant;
use warp::http::StatusCode;

use crate::{
    call::{Answer, Body, Call},
    conditions,
    desk::ParkedKey,
    ids::Principal,
    input,
    problem::Problem,
    submit::{Part, Submission},
};

/// The most keys of one request. The rest needs a further one.
const KEYS_MAX: usize = 1_000;
/// How long a request works without a `Prefer: wait`.
const WORK_MAX: Duration = Duration::from_secs(10);
/// When a client should ask again if too many requests wait already.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A selection of parked keys, and the reason.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Selected {
    #[serde(default, deserialize_with = "present")]
    topic: Option<String>,
    #[serde(default, deserialize_with = "present")]
    error: Option<String>,
    /// Not needed for a dry run.
    #[serde(default, deserialize_with = "present")]
    reason: Option<String>,
}

/// Reads a field that may be missing, but not null.
pub(super) fn present<'de, D: Deserializer<'de>>(field: D) -> Result<Option<String>, D::Error> {
    String::deserialize(field).map(Some)
}

impl Body for Selected {
    const SHAPE: &'static str = r#"{"topic": string, "error": string, "reason": string}"#;
}

/// POST /v1/operations/parked:retry-all
pub(super) async fn retry(call: Call) -> Answer {
    redrive(call, false).await
}

/// POST /v1/operations/parked:drop-all
pub(super) async fn drop_first(call: Call) -> Answer {
    redrive(call, true).await
}

/// Sends a command for each key that the projection shows. A key that has changed since is refused
/// by its processor, because the command names the first record of the key.
async fn redrive(mut call: Call, drop_first: bool) -> Answer {
    let caller = call.admin()?;
    let is_dry_run = is_dry_run(&call)?;
    call.idempotency_key()?;
    let Selected { topic, error, reason } = call.json().await?;
    let reason = reason.map(|reason| input::reason(&reason)).transpose()?;
    let selection = selection(topic, error)?;
    if !is_dry_run {
        if reason.is_none() {
            return Err(missing_reason().into());
        }
        call.require_recent(&caller)?;
        call.require_active(&caller).await?;
    }
    let page = call.state.reads.selected_keys(&selection, KEYS_MAX).await?;
    let mut body = json!({
        "dry_run": is_dry_run,
        "keys": page.items.len(),
        "records": page.items.iter().map(|key| key.records).sum::<i64>(),
        "is_cut": page.next.is_some(),
    });
    if !is_dry_run {
        // It takes far longer than one command, which says nothing about the system's latency.
        let _waiting = call.begin_wait().ok_or_else(|| Problem::overloaded(RETRY_AFTER))?;
        let deadline = Instant::now() + call.wait().unwrap_or(WORK_MAX);
        let canonical = (&selection.topic, &selection.error, &reason);
        let sent = Submission::begin(&call, Principal::User(caller.user_id), &canonical).await?;
        let part = |it: ParkedKey| {
            let (topic, first_offset) = (it.topic.clone(), Some(it.offset));
            let redrive = Redrive { topic, drop_first, reason: reason.clone(), first_offset };
            let command = Command::from(redrive).into();
            Part { topic: it.topic, key: it.key, command }
        };
        let parts = page.items.into_iter().map(part).collect();
        body["commands"] = json!(sent.write_each(&call, deadline, parts).await?);
        return Ok(sent.apply_headers(call.representation(StatusCode::OK, &body, None)));
    }
    conditions::check_action(&call)?;
    Ok(call.representation(StatusCode::OK, &body, None))
}

/// The body has the shape that the API describes, so it is no 400: only a dry run needs no reason.
pub(super) fn missing_reason() -> Problem {
    let detail = "reason: expected why this is done, unless it is a dry run";
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "reason_missing", detail)
        .with("field", json!("reason"))
}

pub(super) fn is_dry_run(call: &Call) -> Result<bool, Problem> {
    match call.parameter("dry_run")?.as_deref() {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(Problem::field("dry_run", "expected true or false")),
    }
}

fn selection(topic: Option<String>, error: Option<String>) -> Result<ParkedSelection, Problem> {
    if topic.is_none() && error.is_none() {
        return Err(Problem::field("error", "expected an error, a topic, or both"));
    }
    if topic.as_deref().is_some_and(|topic| topics::all().dead(topic).is_none()) {
        return Err(Problem::field("topic", "expected a topic that a processor reads"));
    }
    if error.as_deref().is_some_and(str::is_empty) {
        return Err(Problem::field("error", "expected the error of a parked key"));
    }
    Ok(ParkedSelection { topic, error })
}
