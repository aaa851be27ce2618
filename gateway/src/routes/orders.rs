//! A user's own orders: place, read, cancel. A price never comes from the client.

use std::collections::BTreeMap;

use schemas::{
    bounds::ORDER_LINES_MAX,
    order::{self, CancelOrder, Command, PlaceOrder},
};
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;
use warp::http::StatusCode;

use crate::{
    auth::Role,
    call::{Answer, Body, Call},
    conditions,
    ids::{Ids, Principal},
    input,
    json::Object,
    problem::Problem,
    read_after::ReadAfter,
    reads::{Order, ReadError},
    submit::Submission,
    trace::{Seen, Trace},
};

/// The most commands of which the trace of an order shows records. Its user sends one or two.
const TRACED_COMMANDS_MAX: usize = 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewOrder {
    lines: Vec<Object<Line>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    sku: String,
    quantity: i64,
}

impl Body for NewOrder {
    const SHAPE: &'static str = r#"{"lines": [{"sku": string, "quantity": integer}, ...]}"#;
}

/// POST /v1/orders
pub(super) async fn place(mut call: Call) -> Answer {
    let caller = call.caller()?;
    let body: NewOrder = call.json().await?;
    let lines: Vec<_> = body.lines.into_iter().map(|Object(line)| line).collect();
    let lines = merged(&lines)?;
    let (is_active, sent) = tokio::join!(
        call.require_active(&caller),
        Submission::begin(&call, Principal::User(caller.user_id), &lines),
    );
    is_active?;
    let mut sent = sent?;
    let order_id = Ids::created_by(sent.id, "order");
    if sent.is_new() {
        let check = conditions::check_creation(&call, "order", &order_id.to_string()).await;
        if sent.checked(&call, check).await?.is_some() {
            let lines = lines.into_iter();
            let lines = lines.map(|(sku, quantity)| order::Line { sku, quantity }).collect();
            let command = PlaceOrder { order_id, user_id: caller.user_id, lines };
            sent.write(&call, order_id.to_string(), Command::from(command)).await?;
        }
    }
    let outcome = sent.conclude(&call).await?;
    let order = sent.shown(&outcome, read_own(&call, caller.user_id, order_id).await)?;
    let location = format!("/v1/orders/{order_id}");
    let entity_tag = entity_tag(&call, &order, outcome.version);
    Ok(sent.created(&call, &location, &order, entity_tag))
}

/// Merges the lines of each SKU into one.
fn merged(lines: &[Line]) -> Result<BTreeMap<String, i32>, Problem> {
    // The sum can't overflow: each line is bounded, and so is the body that holds them.
    let mut merged: BTreeMap<String, i64> = BTreeMap::new();
    for line in lines {
        *merged.entry(input::sku(&line.sku)?).or_default() +=
            i64::from(input::quantity(line.quantity)?);
    }
    if !(1..=ORDER_LINES_MAX).contains(&merged.len()) {
        return Err(Problem::field("lines", format!("expected 1 to {ORDER_LINES_MAX} lines")));
    }
    merged.into_iter().map(|(sku, pieces)| Ok((sku, input::quantity(pieces)?))).collect()
}

/// GET /v1/orders
pub(super) async fn list(call: Call) -> Answer {
    let caller = call.caller()?;
    let limit = call.page_size()?;
    let cursor = call.parameter("cursor")?.as_deref().map(input::cursor).transpose()?;
    let read_after = ReadAfter::wait(&call).await?;
    let page = call.state.reads.orders(caller.user_id, cursor, limit).await?;
    let body = json!({ "items": page.items, "next": page.next });
    Ok(read_after.apply_headers(call.representation(StatusCode::OK, &body, None)))
}

/// GET /v1/orders/{id}
pub(super) async fn read(call: Call, id: String) -> Answer {
    let caller = call.caller()?;
    let read_after = ReadAfter::wait(&call).await?;
    let order = own(&call, caller.user_id, parse_id(&id)?).await?;
    let entity_tag = entity_tag(&call, &order, 0);
    Ok(read_after.apply_headers(call.representation(StatusCode::OK, &order, Some(entity_tag))))
}

/// GET /v1/orders/{id}/history
pub(super) async fn history(call: Call, id: String) -> Answer {
    let caller = call.caller()?;
    let read_after = ReadAfter::wait(&call).await?;
    let order = own(&call, caller.user_id, parse_id(&id)?).await?;
    let items = call.state.reads.history(order.id).await?;
    // That of the history itself: the order may have changed between the two reads.
    let version = items.last().map_or(order.version, |last| last.version);
    let entity_tag = call.entity_tag("order-history", order.id, version);
    let body = json!({ "items": items });
    Ok(read_after.apply_headers(call.representation(StatusCode::OK, &body, Some(entity_tag))))
}

/// GET /v1/orders/{id}/trace
pub(super) async fn trace(call: Call, id: String) -> Answer {
    let caller = call.caller()?;
    let is_admin = caller.role == Role::Admin;
    let reads = &*call.state.reads;
    let order = reads.order(parse_id(&id)?).await?;
    let order = order.filter(|order| is_admin || order.user_id == caller.user_id);
    let order = order.ok_or_else(Problem::not_found)?;
    let mut commands = Vec::new();
    for command in reads.history(order.id).await?.into_iter().filter_map(|entry| entry.command) {
        if commands.len() < TRACED_COMMANDS_MAX && !commands.contains(&command) {
            commands.push(command);
        }
    }
    let is_own = |id: &Uuid| is_admin || call.state.ids.may_read(Some(caller.user_id), *id);
    let (own, others): (Vec<Uuid>, _) = commands.iter().partition(|id| is_own(id));
    let mut view = reads.trace(own).await?;
    // Of what somebody else sent, such as an operator, the user sees what it did to the order.
    if !others.is_empty() {
        let others = reads.trace(others).await?;
        let key = Some(order.id.to_string());
        view.entries.extend(others.entries.into_iter().filter(|entry| entry.key == key));
        view.entries.sort_by_key(|entry| entry.at_ms);
        view.is_cut |= others.is_cut;
    }
    let seen = Seen::read(&call.state, view).await?;
    let trace = Trace::of_order(&order, commands, seen);
    Ok(call.representation(StatusCode::OK, &trace, None))
}

/// POST /v1/orders/{id}/cancel
pub(super) async fn cancel(call: Call, id: String) -> Answer {
    let caller = call.caller()?;
    let order_id = parse_id(&id)?;
    // The order itself decides whether it belongs to the caller, not the read model: an order that
    // is not projected yet can be cancelled too.
    let mut sent = Submission::begin(&call, Principal::User(caller.user_id), &order_id).await?;
    if sent.is_new() {
        let check = conditions::expected_version(&call, "order", &order_id.to_string()).await;
        if let Some(expected_version) = sent.checked(&call, check).await? {
            let command = CancelOrder { order_id, user_id: caller.user_id, expected_version };
            sent.write(&call, order_id.to_string(), Command::from(command)).await?;
        }
    }
    let outcome = sent.conclude(&call).await?;
    let order = sent.shown(&outcome, read_own(&call, caller.user_id, order_id).await)?;
    let entity_tag = entity_tag(&call, &order, outcome.version);
    Ok(sent.changed(&call, &order, entity_tag))
}

/// The entity tag of an order, at the newer of the decided version and the projected one.
fn entity_tag(call: &Call, order: &Order, decided: i64) -> String {
    call.entity_tag("order", order.id, decided.max(order.version))
}

fn parse_id(id: &str) -> Result<Uuid, Problem> {
    Uuid::parse_str(id).map_err(|_| Problem::not_found())
}

/// The order, if it belongs to this user; otherwise 404, as for one that does not exist.
async fn own(call: &Call, user_id: Uuid, id: Uuid) -> Result<Order, Problem> {
    read_own(call, user_id, id).await?.ok_or_else(Problem::not_found)
}

async fn read_own(call: &Call, user_id: Uuid, id: Uuid) -> Result<Option<Order>, ReadError> {
    let order = call.state.reads.order(id).await?;
    Ok(order.filter(|order| order.user_id == user_id))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(sku: &str, quantity: i64) -> Line {
        Line { sku: sku.into(), quantity }
    }

    #[test]
    fn lines_of_one_sku_are_merged() {
        let lines = merged(&[line("b", 1), line("a", 2), line("b", 3)]).expect("lines");
        assert_eq!(lines, BTreeMap::from([("a".into(), 2), ("b".into(), 4)]));
    }

    #[test]
    fn order_outside_its_bounds_is_refused() {
        assert!(merged(&[]).is_err());
        assert!(merged(&[line("a", 600_000), line("a", 600_000)]).is_err());
        let many: Vec<_> = (0..51).map(|index| line(&format!("sku-{index}"), 1)).collect();
        assert!(merged(&many).is_err());
        assert!(merged(&many[..50]).is_ok());
    }
}
