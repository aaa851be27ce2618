//! The live stream: events as they happen, as server-sent events. Users see their own, admins all
//! with personal fields masked. It ends with the token, a client that reads too slowly is let go,
//! and so is the oldest of a user or an address that has too many.

use std::{
    convert::Infallible,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use futures_util::StreamExt;
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
    call::{Answer, Call, set},
    client,
    metrics::Metrics,
    problem::Problem,
    reads::{Seen, Watch},
};

/// Events that wait for one client.
const WAITING_MAX: usize = 256;
/// A client that takes nothing for so long is let go.
const SLOW_MAX: Duration = Duration::from_secs(20);
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// When a client that was let go comes back.
const RETRY: Duration = Duration::from_secs(2);
/// A position names each partition of each topic.
const POSITION_MAX: usize = 2048;

/// GET /v1/stream
pub(super) async fn watch(call: Call) -> Answer {
    let caller = call.caller()?;
    let position =
        call.text("last-event-id").map(str::trim).filter(|position| !position.is_empty());
    if position.is_some_and(|position| position.len() > POSITION_MAX) {
        return Err(Problem::invalid("Last-Event-ID is not one of ours.").into());
    }
    let full =
        || Problem::unavailable("Too many are watching.").retry_after(Duration::from_secs(10));
    let mut place =
        call.state.streams.take(caller.user_id, client::bucket(call.client)).ok_or_else(full)?;
    let watch = if caller.role == Role::Admin { Watch::All } else { Watch::Own(caller.user_id) };
    let seen = call.state.reads.watch(watch, position.map(str::to_owned)).await?;

    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let ends = tokio::time::sleep(Duration::from_secs(caller.expires_s).saturating_sub(now));
    let leaving = call.state.leaving();
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    let metrics = call.state.metrics.clone();
    tokio::spawn(async move {
        metrics.stream_clients.inc();
        let hello = Event::default().comment("millrace").retry(RETRY);
        if sender.send(Ok(hello)).await.is_ok() {
            let over = async {
                tokio::select! {
                    () = ends => Some(Event::default().event("end").data("token")),
                    () = place.lost() => Some(Event::default().event("end").data("replaced")),
                    () = leaving => Some(Event::default().event("end").data("leaving")),
                    () = sender.closed() => None,
                }
            };
            tokio::pin!(over);
            let mut seen = seen.take_until(&mut over);
            let kept_up = pump(&mut seen, &sender, &metrics).await;
            if let Some(Some(farewell)) = seen.take_result().filter(|_| kept_up) {
                // Whether it still fits in or not: the stream is over.
                let _ = sender.try_send(Ok(farewell));
            }
        }
        metrics.stream_clients.dec();
    });
    let events = sse::keep_alive()
        .interval(KEEP_ALIVE)
        .text("still here")
        .stream(ReceiverStream::new(receiver));
    let mut response = sse::reply(events).into_response();
    set(&mut response, header::CACHE_CONTROL, "no-store");
    // Asks balancers not to collect events before passing them on.
    set(&mut response, header::HeaderName::from_static("x-accel-buffering"), "no");
    Ok(response)
}

/// Sends events until there are no more, or the client is too slow for them: then `false`.
async fn pump(
    seen: &mut (impl futures_util::Stream<Item = Seen> + Unpin),
    sender: &mpsc::Sender<Result<Event, Infallible>>,
    metrics: &Metrics,
) -> bool {
    while let Some(seen) = seen.next().await {
        let event = match seen {
            // Without data it is no event to anyone, and its id counts all the same.
            Seen::Begin { position } => Event::default().id(position),
            Seen::Event { position, kind, data } => {
                metrics.stream_events.inc();
                Event::default().id(position).event(kind).data(data.to_string())
            }
            Seen::Reset { position } => Event::default()
                .id(position)
                .event("reset")
                .data(json!({ "reason": "too_old" }).to_string()),
        };
        match timeout(SLOW_MAX, sender.send(Ok(event))).await {
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
