//! The operator's desk, for admins: what single records say. Personal fields are masked. An admin
//! who gives a reason reads those of a dead letter, after an event has recorded who does so, and
//! why. With a reason too, a dead letter is sent again; its processor decides whether it may be.

use redpanda::topics;
use schemas::engine::{Command, ResendDeadLetter, RevealDeadLetter};
use serde::Deserialize;
use warp::http::StatusCode;

use super::desk::{cursor, decided, is_accepted, list, parked_key};
use crate::{
    answers::Page,
    call::{Answer, Body, Call, EarlyResponse},
    desk::{DeadContent, DeadId},
    ids::Principal,
    input,
    problem::Problem,
    submit::Submission,
};

/// A dead letter, and why its personal fields are shown or it is sent again.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WithReason {
    id: String,
    reason: String,
}

impl Body for WithReason {
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
    let Page { items, next } = call.state.reads.parked_records(&topic, &key, after, limit).await?;
    let ids = items.iter().filter_map(|it| it.schema_id);
    let versions = call.state.schema_versions.read(ids).await;
    let items = items.into_iter().map(|it| it.versioned(&versions)).collect();
    Ok(list(&call, &Page { items, next }))
}

/// POST /v1/operations/dead-letters:reveal
///
/// If the outcome is not known in time, a repeat with the same `Idempotency-Key` shows the content.
pub(super) async fn reveal(mut call: Call) -> Answer {
    let caller = call.admin()?;
    let (id, reason) = with_reason(&mut call).await?;
    content(&call, &id).await?;
    call.require_recent(&caller)?;
    call.require_active(&caller).await?;
    let key = id.to_string();
    let DeadId { topic, partition, dead_offset } = id.clone();
    let command = RevealDeadLetter { topic, partition, dead_offset, reason };
    let principal = Principal::User(caller.user_id);
    let mut sent = Submission::begin(&call, principal, &(&key, &command)).await?;
    sent.write(&call, key, Command::from(command)).await?;
    let outcome = sent.decided(&call).await?;
    let found = sent.shown(&outcome, call.state.reads.dead_letter(&id).await)?;
    let revealed = versioned(&call, found).await.revealed();
    Ok(sent.apply_headers(call.representation(StatusCode::OK, &revealed, None)))
}

/// POST /v1/operations/dead-letters:resend
///
/// The command has the key of the dead letter, so it is ordered with everything else of that key.
pub(super) async fn resend(mut call: Call) -> Answer {
    let caller = call.admin()?;
    let (id, reason) = with_reason(&mut call).await?;
    let key = content(&call, &id).await?.key.filter(|key| is_accepted(key));
    let key = key.ok_or_else(|| {
        let detail = "The record has no key that a processor accepts, so none can decide on it.";
        Problem::new(StatusCode::CONFLICT, "no_key", detail)
    })?;
    let DeadId { topic, partition, dead_offset } = id;
    let command = ResendDeadLetter { topic, partition, dead_offset, reason };
    decided(&call, &caller, key, command).await
}

/// Reads which dead letter the body means, and the reason.
async fn with_reason(call: &mut Call) -> Result<(DeadId, String), EarlyResponse> {
    let body: WithReason = call.json().await?;
    let reason = input::reason(&body.reason)?;
    let id = DeadId::parse(&body.id).filter(|id| topics::all().dead(&id.topic).is_some());
    Ok((id.ok_or_else(Problem::not_found)?, reason))
}

async fn content(call: &Call, id: &DeadId) -> Result<DeadContent, Problem> {
    let found = call.state.reads.dead_letter(id).await?.ok_or_else(Problem::not_found)?;
    Ok(versioned(call, found).await)
}

async fn versioned(call: &Call, found: DeadContent) -> DeadContent {
    let versions = call.state.schema_versions.read(found.schema_id).await;
    found.versioned(&versions)
}
