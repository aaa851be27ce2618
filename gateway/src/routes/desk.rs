//! The operator's desk, for admins: what is dead or parked, who has done what, and the commands
//! that re-drive a parked key. What such a command does is decided by the key's processor.

use std::str::FromStr;

use redpanda::topics;
use schemas::engine::{Command, Redrive};
use serde::{Deserialize, Serialize};
use serde_json::json;
use warp::{http::StatusCode, reply::Response};

use crate::{
    answers::Page,
    auth::Caller,
    call::{Answer, Body, Call},
    ids::Principal,
    input, outcome,
    problem::Problem,
    submit::Submission,
};

/// The longest key that processors take.
const KEY_BYTES_MAX: usize = 1_024;

/// The parked key to re-drive or to give up, and the reason.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Redriven {
    topic: String,
    key: String,
    /// The offset of the first parked record, as the client knows it.
    offset: Option<i64>,
    reason: String,
}

impl Body for Redriven {
    const SHAPE: &'static str =
        r#"{"topic": string, "key": string, "offset": integer, "reason": string}"#;
}

/// GET /v1/operations/dead-letters
pub(super) async fn dead_letters(call: Call) -> Answer {
    call.admin()?;
    let (cursor, limit) = (cursor(&call)?, call.page_size()?);
    Ok(list(&call, &call.state.reads.dead_letters(cursor, limit).await?))
}

/// GET /v1/operations/parked
pub(super) async fn parked(call: Call) -> Answer {
    call.admin()?;
    let (cursor, limit) = (cursor(&call)?, call.page_size()?);
    Ok(list(&call, &call.state.reads.parked_keys(cursor, limit).await?))
}

/// GET /v1/operations/actions
pub(super) async fn actions(call: Call) -> Answer {
    call.admin()?;
    let (cursor, limit) = (cursor(&call)?, call.page_size()?);
    Ok(list(&call, &call.state.reads.actions(cursor, limit).await?))
}

pub(super) fn cursor<C: FromStr>(call: &Call) -> Result<Option<C>, Problem> {
    call.parameter("cursor")?.as_deref().map(input::cursor).transpose()
}

pub(super) fn list(call: &Call, page: &Page<impl Serialize>) -> Response {
    let body = json!({ "items": page.items, "next": page.next });
    call.representation(StatusCode::OK, &body, None)
}

/// POST /v1/operations/parked:retry
pub(super) async fn retry(call: Call) -> Answer {
    redrive(call, false).await
}

/// POST /v1/operations/parked:drop
pub(super) async fn drop_first(call: Call) -> Answer {
    redrive(call, true).await
}

/// Whether a processor decides on records with this key.
pub(super) fn is_accepted(key: &str) -> bool {
    !key.is_empty() && key.len() <= KEY_BYTES_MAX && !key.contains(char::is_control)
}

/// Checks that a key of this topic can be parked.
pub(super) fn parked_key(topic: &str, key: &str) -> Result<(), Problem> {
    if topics::all().dead(topic).is_none() {
        return Err(Problem::field("topic", "expected a topic that a processor reads"));
    }
    if !is_accepted(key) {
        let expected = format!("expected 1 to {KEY_BYTES_MAX} bytes without control characters");
        return Err(Problem::field("key", expected));
    }
    Ok(())
}

/// Sends the command to the processor that has parked the key. The outcome tells whether all parked
/// records were applied. The lists show it when the projection has read the event.
async fn redrive(mut call: Call, drop_first: bool) -> Answer {
    let caller = call.admin()?;
    let body: Redriven = call.json().await?;
    let Redriven { topic, key, offset: first_offset, .. } = body;
    parked_key(&topic, &key)?;
    // Without it, a repeat would give up the next record too.
    if drop_first && first_offset.is_none() {
        return Err(Problem::field("offset", "expected that of the record to give up").into());
    }
    let reason = Some(input::reason(&body.reason)?);
    decided(&call, &caller, key, Redrive { topic, drop_first, reason, first_offset }).await
}

/// Sends an operator's command under `key`, and answers with its outcome. It needs a password that
/// was given recently.
pub(super) async fn decided<C>(call: &Call, caller: &Caller, key: String, command: C) -> Answer
where
    C: Serialize,
    Command: From<C>,
{
    call.require_recent(caller)?;
    call.require_active(caller).await?;
    let principal = Principal::User(caller.user_id);
    let mut sent = Submission::begin(call, principal, &(&key, &command)).await?;
    sent.write(call, key, Command::from(command)).await?;
    let outcome = sent.decided(call).await?;
    let body = outcome::ended(&outcome);
    Ok(sent.apply_headers(call.representation(StatusCode::OK, &body, None)))
}
