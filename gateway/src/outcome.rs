//! Outcomes over HTTP: one table maps refusal codes to statuses. The domain decides on the codes;
//! the gateway does not know its rules.

use schemas::{Outcome, Verdict, refusals};
use serde_json::{Value, json};
use uuid::Uuid;
use warp::http::StatusCode;

use crate::problem::Problem;

/// The statuses of refusal codes. Any other code is a conflict, 409.
const STATUS_BY_CODE: &[(&str, StatusCode)] = &[
    (refusals::NOT_FOUND, StatusCode::NOT_FOUND),
    (refusals::VERSION_MISMATCH, StatusCode::PRECONDITION_FAILED),
    (refusals::INVALID, StatusCode::UNPROCESSABLE_ENTITY),
    (refusals::TOKEN_REUSED, StatusCode::UNAUTHORIZED),
    (refusals::SESSION_ENDED, StatusCode::UNAUTHORIZED),
    (refusals::FAILED, StatusCode::INTERNAL_SERVER_ERROR),
];

/// The name of a verdict in JSON and in metrics.
pub fn verdict_name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Accepted => "accepted",
        Verdict::Refused => "refused",
        Verdict::Failed => "failed",
    }
}

/// The path of an aggregate's resource.
fn resource_path(aggregate: &str, aggregate_id: &str) -> Option<String> {
    match aggregate {
        "user" => Some("/v1/users/me".to_owned()),
        "order" => Some(format!("/v1/orders/{aggregate_id}")),
        "stock" => Some(format!("/v1/products/{aggregate_id}")),
        "notification" => Some("/v1/notifications".to_owned()),
        _ => None,
    }
}

/// The path of a command's status.
pub fn command_path(command: Uuid) -> String {
    format!("/v1/commands/{command}")
}

/// The path of a command's trace.
pub fn trace_path(command: Uuid) -> String {
    format!("/v1/commands/{command}/trace")
}

/// The links of a command.
fn links(command: Uuid) -> Value {
    json!({ "self": command_path(command), "trace": trace_path(command) })
}

/// The problem that a refused or failed command is answered with.
pub fn problem(outcome: &Outcome) -> Problem {
    let links = links(outcome.command_id);
    if outcome.verdict == Verdict::Failed {
        // The cause is in the service's log and in the dead letter, not for the client.
        let detail =
            "The command could not be processed. It has changed nothing and is not retried.";
        return Problem::new(StatusCode::INTERNAL_SERVER_ERROR, refusals::FAILED, detail)
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

/// The status of a command that has an outcome, as JSON.
pub fn ended(outcome: &Outcome) -> Value {
    let mut body = json!({
        "id": outcome.command_id,
        "state": verdict_name(outcome.verdict),
        "type": outcome.command_type,
        "aggregate": {
            "type": outcome.aggregate,
            "id": outcome.aggregate_id,
            "version": outcome.version,
        },
        "decided_at": crate::time::text(outcome.decided_at),
        "links": links(outcome.command_id),
    });
    if outcome.verdict == Verdict::Refused {
        body["code"] = json!(outcome.code);
        body["detail"] = json!(outcome.detail);
    }
    if outcome.verdict == Verdict::Accepted
        && let Some(path) = resource_path(&outcome.aggregate, &outcome.aggregate_id)
    {
        body["links"]["result"] = json!(path);
    }
    body
}

/// The status of a command without a known outcome, as JSON.
pub fn pending(command: Uuid) -> Value {
    json!({ "id": command, "state": "pending", "links": links(command) })
}
