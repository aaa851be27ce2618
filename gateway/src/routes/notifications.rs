//! The inbox: a user's own notifications.

use schemas::chain;
use schemas::notification::{Command, MarkRead};
use serde_json::json;
use uuid::Uuid;
use warp::http::StatusCode;

use crate::{
    call::{Answer, Call},
    conditions,
    ids::Principal,
    input,
    problem::Problem,
    read_after::ReadAfter,
    submit::Submission,
};

/// GET /v1/notifications
pub(super) async fn list(call: Call) -> Answer {
    let caller = call.caller()?;
    let limit = call.page_size()?;
    let cursor = call.parameter("cursor")?.as_deref().map(input::cursor).transpose()?;
    let read_after = ReadAfter::wait(&call).await?;
    let reads = &call.state.reads;
    let page = reads.notifications(caller.user_id, cursor, limit).await?;
    // The inbox is useful without this number too.
    let unread = reads.unread(caller.user_id).await.unwrap_or_else(|error| {
        tracing::warn!(error = chain(&error), "unread notifications could not be counted");
        None
    });
    let body = json!({ "items": page.items, "next": page.next, "unread": unread });
    Ok(read_after.apply_headers(call.representation(StatusCode::OK, &body, None)))
}

/// POST /v1/notifications/{id}/read
pub(super) async fn mark_read(call: Call, id: String) -> Answer {
    let caller = call.caller()?;
    let notification_id = Uuid::parse_str(&id).map_err(|_| Problem::not_found())?;
    let principal = Principal::User(caller.user_id);
    let mut sent = Submission::begin(&call, principal, &notification_id).await?;
    if sent.is_new() {
        let id = notification_id.to_string();
        let check = conditions::check_change(&call, "notification", &id).await;
        if sent.checked(&call, check).await?.is_some() {
            let command = MarkRead { notification_id, user_id: caller.user_id };
            sent.write(&call, id, Command::from(command)).await?;
        }
    }
    let outcome = sent.conclude(&call).await?;
    let notification = call.state.reads.notification(notification_id).await;
    let own = notification.map(|found| found.filter(|it| it.user_id == caller.user_id));
    let notification = sent.shown(&outcome, own)?;
    let version = outcome.version.max(notification.version);
    let entity_tag = call.entity_tag("notification", notification_id, version);
    Ok(sent.changed(&call, &notification, entity_tag))
}
