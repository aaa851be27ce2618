//! The live stream: events as server-sent events. Users get their own, admins all with personal
//! fields masked. The stream ends with its access token, when the gateway shuts down, when the
//! client reads too slowly, and when its user or address opens too many newer ones.

use std::{
    convert::Infallible,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use futures_util::{Stream, StreamExt};
use serde_json::json;
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use warp::{
    Reply,
    http::header,
    sse::{self, Event},
};

use crate::{
    auth::Role,
    call::{Answer, Call},
    client,
    headers::set,
    metrics::Metrics,
    problem::Problem,
    reads::{StreamItem, StreamScope},
};

/// Events that may wait for one client.
const QUEUE_MAX: usize = 256;
/// How long a client may take nothing before its stream ends.
const SLOW_TIMEOUT: Duration = Duration::from_secs(20);
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(15);
/// When a disconnected client should reconnect.
const RECONNECT_AFTER: Duration = Duration::from_secs(2);
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
    let full = || {
        Problem::unavailable("Too many clients read the live stream.")
            .retry_after(Duration::from_secs(10))
    };
    let mut slot =
        call.state.streams.take(caller.user_id, client::bucket(call.client)).ok_or_else(full)?;
    let scope = match caller.role {
        Role::Admin => StreamScope::All,
        Role::User => StreamScope::Own(caller.user_id),
    };
    let items = call.state.reads.stream(scope, position.map(str::to_owned)).await?;

    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let token_end = tokio::time::sleep(Duration::from_secs(caller.expires_s).saturating_sub(now));
    let draining = call.state.draining();
    let (sender, receiver) = mpsc::channel(QUEUE_MAX);
    let metrics = call.state.metrics.clone();
    tokio::spawn(async move {
        metrics.stream_clients.inc();
        let hello = Event::default().comment("millrace").retry(RECONNECT_AFTER);
        if sender.send(Ok(hello)).await.is_ok() {
            let end = async {
                tokio::select! {
                    () = token_end => Some(Event::default().event("end").data("token")),
                    () = slot.lost() => Some(Event::default().event("end").data("replaced")),
                    () = draining => Some(Event::default().event("end").data("leaving")),
                    () = sender.closed() => None,
                }
            };
            tokio::pin!(end);
            let mut items = items.take_until(&mut end);
            let kept_up = forward(&mut items, &sender, &metrics).await;
            if let Some(Some(last)) = items.take_result().filter(|_| kept_up) {
                // If the queue is full, the client learns of the end by the closed connection.
                let _ = sender.try_send(Ok(last));
            }
        }
        metrics.stream_clients.dec();
    });
    let events = sse::keep_alive()
        .interval(KEEP_ALIVE_INTERVAL)
        .text("still here")
        .stream(ReceiverStream::new(receiver));
    let mut response = sse::reply(events).into_response();
    set(&mut response, header::CACHE_CONTROL, "no-store");
    // Asks load balancers to pass events on at once.
    set(&mut response, header::HeaderName::from_static("x-accel-buffering"), "no");
    Ok(response)
}

/// Sends items to the client until there are no more. Returns `false` when the client disconnected
/// or was too slow.
async fn forward(
    items: &mut (impl Stream<Item = StreamItem> + Unpin),
    sender: &mpsc::Sender<Result<Event, Infallible>>,
    metrics: &Metrics,
) -> bool {
    while let Some(item) = items.next().await {
        let event = match item {
            // A client ignores an event without data, but keeps its id.
            StreamItem::Begin { position } => Event::default().id(position),
            StreamItem::Event { position, kind, data } => {
                metrics.stream_events.inc();
                Event::default().id(position).event(kind).data(data.to_string())
            }
            StreamItem::Reset { position } => Event::default()
                .id(position)
                .event("reset")
                .data(json!({ "reason": "too_old" }).to_string()),
        };
        match timeout(SLOW_TIMEOUT, sender.send(Ok(event))).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return false,
            Err(_) => {
                metrics.stream_slow.inc();
                return false;
            }
        }
    }
    true
}
