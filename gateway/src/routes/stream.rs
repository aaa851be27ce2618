//! The live stream: events as server-sent events. Users get their own, admins all with personal
//! fields masked.

use futures_util::StreamExt as _;
use serde_json::json;
use warp::sse::Event;

use super::sse;
use crate::{
    auth::Role,
    call::{Answer, Call},
    reads::{StreamItem, StreamScope},
};

/// Events that may wait for one client.
const QUEUE_MAX: usize = 256;

/// GET /v1/stream
pub(super) async fn open(call: Call) -> Answer {
    let caller = call.caller()?;
    // Whatever its bytes and its length, bounded by that of all headers: a client with a position
    // that no gateway has issued gets a `reset`, and an `EventSource` gives up after a failure.
    let position = call.headers.get("last-event-id");
    let position =
        position.map(|value| String::from_utf8_lossy(value.as_bytes()).trim().to_owned());
    let position = position.filter(|position| !position.is_empty());
    let seat = sse::take_seat(&call, Some(&caller))?;
    let scope = match caller.role {
        Role::Admin => StreamScope::All,
        Role::User => StreamScope::Own(caller.user_id),
    };
    let items = call.state.reads.stream(scope, position).await?;
    let metrics = call.state.metrics.clone();
    let events = items.map(move |item| {
        if matches!(item, StreamItem::Event { .. }) {
            metrics.stream_events.inc();
        }
        event(item)
    });
    Ok(sse::respond(&call, Some(&caller), seat, QUEUE_MAX, events))
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
