//! What an outcome means over HTTP: refusal codes to statuses, in one table. The domain decides on
//! the codes; the gateway does not know its rules.

use schemas::{Outcome, Verdict};
use serde_json::{Value, json};
use uuid::Uuid;
use warp::http::StatusCode;

use crate::problem::Problem;

/// Codes that are no plain conflict. Everything else is 409.
const STATUS_BY_CODE: &[(&str, StatusCode)] = &[
    ("not_found", StatusCode::NOT_FOUND),
    ("version_mismatch", StatusCode::PRECONDITION_FAILED),
    ("invalid", StatusCode::UNPROCESSABLE_ENTITY),
    ("token_reused", StatusCode::UNAUTHORIZED),
    ("session_ended", StatusCode::UNAUTHORIZED),
    ("failed", StatusCode::INTERNAL_SERVER_ERROR),
];

/// The word for a verdict.
pub fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Accepted => "accepted",
        Verdict::Refused => "refused",
        Verdict::Failed => "failed",
    }
}

/// Where the thing is that a command was about.
pub fn link(aggregate: &str, aggregate_id: &str) -> Option<String> {
    match aggregate {
        "user" => Some("/v1/users/me".to_owned()),
        "order" => Some(format!("/v1/orders/{aggregate_id}")),
        "stock" => Some(format!("/v1/products/{aggregate_id}")),
        "notification" => Some("/v1/notifications".to_owned()),
        _ => None,
    }
}

/// The address of a command.
pub fn location(command: Uuid) -> String {
    format!("/v1/commands/{command}")
}

/// The problem that a refused or failed command ends in.
pub fn problem(outcome: &Outcome) -> Problem {
    let links = json!({ "self": location(outcome.command_id) });
    if outcome.verdict == Verdict::Failed {
        // What went wrong inside is in the log and in the dead letter.
        let detail =
            "The command could not be processed. It has not been done and will not be tried again.";
        return Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "failed", detail)
            .with("links", links);
    }
    let code = outcome.code.as_deref().unwrap_or("refused");
    let status = STATUS_BY_CODE
        .iter()
        .find(|(known, _)| *known == code)
        .map_or(StatusCode::CONFLICT, |row| row.1);
    let detail = outcome.detail.clone().unwrap_or_else(|| "The command was refused.".to_owned());
    Problem::new(status, code, detail).with("links", links)
}

/// A command that has ended, as JSON.
pub fn ended(outcome: &Outcome) -> Value {
    let mut body = json!({
        "id": outcome.command_id,
        "state": word(outcome.verdict),
        "type": outcome.command_type,
        "aggregate": { "type": outcome.aggregate, "id": outcome.aggregate_id, "version": outcome.version },
        "decided_at": crate::time::text(outcome.decided_at),
        "links": { "self": location(outcome.command_id) },
    });
    if outcome.verdict == Verdict::Refused {
        body["code"] = json!(outcome.code);
        body["detail"] = json!(outcome.detail);
    }
    if outcome.verdict == Verdict::Accepted
        && let Some(link) = link(&outcome.aggregate, &outcome.aggregate_id)
    {
        body["links"]["result"] = json!(link);
    }
    body
}

/// A command that nothing is known of yet, as JSON.
pub fn pending(command: Uuid) -> Value {
    json!({ "id": command, "state": "pending", "links": { "self": location(command) } })
}
