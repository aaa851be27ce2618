//! The operator's desk, for admins: the first parked record of a key is applied with another value,
//! and then those behind it. The value is checked here before anything is written; the processor
//! that has parked the key checks it again, with the value before, and decides.

use redpanda::topics;
use schemas::{edited, engine::EditParkedRecord, json::Misfit, refusals};
use serde::Deserialize;
use serde_json::{Value, json};
use warp::http::StatusCode;

use super::{
    desk::{decided, parked_key},
    selection::{is_dry_run, missing_reason, present},
};
use crate::{
    call::{Answer, Body, Call},
    conditions, input,
    problem::Problem,
};

/// The engine's commands are on each topic of follow-ups, and are never parked there.
const ENGINE: &str = "millrace.engine.";

/// The parked record to edit, its new value, and the reason.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Edited {
    topic: String,
    key: String,
    /// The offset of the first parked record, as the client knows it.
    offset: i64,
    /// The full name of the record that the value is.
    #[serde(rename = "type")]
    record_type: String,
    value: Value,
    /// Not needed for a dry run.
    #[serde(default, deserialize_with = "present")]
    reason: Option<String>,
}

impl Body for Edited {
    const SHAPE: &'static str = concat!(
        r#"{"topic": string, "key": string, "offset": integer, "type": string, "#,
        r#""value": object, "reason": string}"#
    );
}

/// POST /v1/operations/parked:edit
pub(super) async fn edit(mut call: Call) -> Answer {
    let caller = call.admin()?;
    let is_dry_run = is_dry_run(&call)?;
    let Edited { topic, key, offset, record_type, value, reason } = call.json().await?;
    let reason = reason.map(|reason| input::reason(&reason)).transpose()?;
    parked_key(&topic, &key)?;
    check_type(&topic, &record_type)?;
    edited::check(&record_type, &value).map_err(|misfits| unfit(&misfits))?;
    if is_dry_run {
        let before = first(&call, &topic, &key, offset).await?;
        conditions::check_action(&call)?;
        let body = json!({
            "dry_run": true, "type": record_type, "offset": offset,
            "before": before, "after": value,
        });
        return Ok(call.representation(StatusCode::OK, &body, None));
    }
    let reason = reason.ok_or_else(missing_reason)?;
    let json = value.to_string();
    let command = EditParkedRecord { topic, offset, record_type, json, reason };
    decided(&call, &caller, key, command).await
}

/// Checks that records of this type are on this topic.
fn check_type(topic: &str, record_type: &str) -> Result<(), Problem> {
    let carried = topics::all().get(topic).map_or(&[][..], |topic| &topic.records);
    let mut types = carried.iter().filter(|name| !name.starts_with(ENGINE));
    if types.clone().any(|name| name == record_type) {
        return Ok(());
    }
    let all = types.by_ref().map(String::as_str).collect::<Vec<_>>().join(", ");
    Err(invalid("type", &format!("type: expected one of {all}")))
}

/// The problem of a value that does not fit. It names the first field, and says what is expected of
/// each.
fn unfit(misfits: &[Misfit]) -> Problem {
    let path = |misfit: &Misfit| match &*misfit.path {
        "" => "value".to_owned(),
        path => format!("value.{path}"),
    };
    let each: Vec<_> = misfits.iter().map(|it| format!("{}: {}", path(it), it.why)).collect();
    let field = misfits.first().map_or_else(|| "value".to_owned(), path);
    invalid(&field, &each.join("; "))
}

/// 422, as when the processor refuses the value: the body has the shape that the API describes.
fn invalid(field: &str, detail: &str) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, refusals::INVALID, detail)
        .with("field", json!(field))
}

/// The value of the first parked record of a key, as it is shown; null if there is none to show.
async fn first(call: &Call, topic: &str, key: &str, offset: i64) -> Result<Value, Problem> {
    let page = call.state.reads.parked_records(topic, key, None, 1).await?;
    let conflict = |code, detail: String| Problem::new(StatusCode::CONFLICT, code, detail);
    match page.items.into_iter().next() {
        None => {
            let detail = format!("No record of key {key:?} in {topic} is parked.");
            Err(conflict("nothing_parked", detail))
        }
        Some(first) if first.offset != offset => {
            let found = first.offset;
            let detail = format!(
                "The first parked record of key {key:?} in {topic} is at offset {found}, not \
                 {offset}."
            );
            Err(conflict("other_record_first", detail))
        }
        Some(first) => Ok(first.value.unwrap_or_default()),
    }
}
