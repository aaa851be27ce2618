//! The operator's desk, for admins: what single records say. Personal fields are masked. An admin
//! who gives a reason reads those of a dead letter, after an event has told who has done so, and
//! why.

use redpanda::topics;
use schemas::engine::{Command, RevealDeadLetter};
use serde::Deserialize;
use warp::http::StatusCode;

use super::desk::{cursor, list, parked_key};
use crate::{
    call::{Answer, Body, Call},
    desk::{DeadContent, DeadId},
    ids::Principal,
    input,
    problem::Problem,
    submit::Submission,
};

/// Which dead letter is meant, and why its personal fields are needed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Revealed {
    id: String,
    reason: String,
}

impl Body for Revealed {
    const SHAPE: &'static str = r#"{"id": string, "reason": string}"#;
}

/// GET /v1/operations/dead-letters/{id}
pub(super) async fn dead_letter(call: Call, id: String) -> Answer {
    call.admin()?;
    let id = DeadId::parse(&id).ok_or_else(Problem::not_found)?;
    let found = content(&call, &id).await?;
    Ok(call.representation(StatusCode::OK, &found, None))
}

/// GET /v1/operations/parked/records
pub(super) async fn parked(call: Call) -> Answer {
    call.admin()?;
    let missing = |name| Problem::field(name, "expected that of a parked key");
    let topic = call.parameter("topic")?.ok_or_else(|| missing("topic"))?;
    let key = call.parameter("key")?.ok_or_else(|| missing("key"))?;
    parked_key(&topic, &key)?;
    let (after, limit) = (cursor(&call)?, call.page_size()?);
    Ok(list(&call, &call.state.reads.parked_records(&topic, &key, after, limit).await?))
}

/// POST /v1/operations/dead-letters:reveal
///
/// If the outcome is not known in time, a repeat with the same `Idempotency-Key` shows the content.
pub(super) async fn reveal(mut call: Call) -> Answer {
    let caller = call.admin()?;
    let body: Revealed = call.json().await?;
    let reason = input::reason(&body.reason)?;
    let id = DeadId::parse(&body.id).filter(|id| topics::all().dead(&id.topic).is_some());
    let id = id.ok_or_else(Problem::not_found)?;
    content(&call, &id).await?;
    call.require_active(&caller).await?;
    let key = id.to_string();
    let DeadId { topic, partition, dead_offset } = id.clone();
    let command = RevealDeadLetter { topic, partition, dead_offset, reason };
    let principal = Principal::User(caller.user_id);
    let mut sent = Submission::begin(&call, principal, &(&key, &command)).await?;
    if sent.is_new() {
        sent.write(&call, key, Command::from(command)).await?;
    }
    sent.decided(&call).await?;
    let revealed = content(&call, &id).await?.revealed();
    Ok(sent.apply_headers(call.representation(StatusCode::OK, &revealed, None)))
}

async fn content(call: &Call, id: &DeadId) -> Result<DeadContent, Problem> {
    call.state.reads.dead_letter(id).await?.ok_or_else(Problem::not_found)
}
