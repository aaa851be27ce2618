//! The live stream: events as server-sent events. Users get their own, admins all with personal
//! fields masked.

use futures_util::StreamExt as _;
use serde_json::json;
use warp::sse::Event;

use super::sse;
use crate::{
    auth::Role,
    call::{Answer, Call},
    problem::Problem,
    reads::{StreamItem, StreamScope},
};

/// Events that may wait for one client.
const QUEUE_MAX: usize = 256;
/// The longest `Last-Event-ID`; a position names each partition of each topic.
const POSITION_BYTES_MAX: usize = 2048;

/// GET /v1/stream
pub(super) async fn open(call: Call) -> Answer {
    let caller = call.caller()?;
    let position =
        call.header("last-event-id").map(str::trim).filter(|position| !position.is_empty());
    if position.is_some_and(|position| position.len() > POSITION_BYTES_MAX) {
        let detail = "Last-Event-ID: expected the id of an event of this stream.";
        return Err(Problem::invalid(detail).into());
    }
    let slot = sse::take_slot(&call, Some(&caller))?;
    let scope = match caller.role {
        Role::Admin => StreamScope::All,
        Role::User => StreamScope::Own(caller.user_id),
    };
    let items = call.state.reads.stream(scope, position.map(str::to_owned)).await?;
    let metrics = call.state.metrics.clone();
    let events = items.map(move |item| {
        if matches!(item, StreamItem::Event { .. }) {
            metrics.stream_events.inc();
        }
        event(item)
    });
    Ok(sse::respond(&call, Some(&caller), slot, QUEUE_MAX, events))
}

fn event(item: StreamItem) -> Event {
    match item {
        // A client ignores an event without data, but keeps its id.
        StreamItem::Position { position } => Event::default().id(position),
        StreamItem::Event { position, kind, data } => {
            Event::default().id(position).event(kind).data(data.to_string())
        }
        StreamItem::Reset { position } => Event::default()
            .id(position)
            .event("reset")
            .data(json!({ "reason": "too_old" }).to_string()),
    }
}
