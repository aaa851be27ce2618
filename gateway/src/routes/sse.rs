//! Server-sent events for one client. The stream ends with the client's access token, when the
//! gateway shuts down, when the client reads too slowly, and when its seat is lost to a newer one.
//! This module does not know what is streamed.

use std::{
    convert::Infallible,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use futures_util::{FutureExt as _, Stream, StreamExt as _};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use warp::{
    Reply,
    http::header,
    reply::Response,
    sse::{self, Event},
};

use crate::{
    auth::Caller, call::Call, client, headers::set, metrics::Metrics, problem::Problem,
    streams::StreamSeat,
};

/// How long a client may take nothing before its stream ends.
const SLOW_TIMEOUT: Duration = Duration::from_secs(20);
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(15);
/// When a disconnected client should reconnect.
const RECONNECT_AFTER: Duration = Duration::from_secs(2);

/// Takes a seat for a client, who may be anonymous.
pub(super) fn take_seat(call: &Call, caller: Option<&Caller>) -> Result<StreamSeat, Problem> {
    let user = caller.map(|caller| caller.user_id);
    let full = || {
        Problem::unavailable("Too many clients read the live stream.")
            .retry_after(Duration::from_secs(10))
    };
    call.state.streams.take(user, client::bucket(call.client)).ok_or_else(full)
}

/// The response that streams `events`, of which `queue_max` may wait for the client.
pub(super) fn respond(
    call: &Call,
    caller: Option<&Caller>,
    mut seat: StreamSeat,
    queue_max: usize,
    events: impl Stream<Item = Event> + Send + 'static,
) -> Response {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let token_end = match caller {
        Some(caller) => {
            let left = Duration::from_secs(caller.expires_s).saturating_sub(now);
            tokio::time::sleep(left).left_future()
        }
        None => std::future::pending().right_future(),
    };
    let draining = call.state.draining();
    let (sender, receiver) = mpsc::channel(queue_max);
    let metrics = call.state.metrics.clone();
    tokio::spawn(async move {
        metrics.stream_clients.inc();
        let hello = Event::default().comment("millrace").retry(RECONNECT_AFTER);
        if sender.send(Ok(hello)).await.is_ok() {
            let end = async {
                tokio::select! {
                    () = token_end => Some(Event::default().event("end").data("token")),
                    () = seat.lost() => Some(Event::default().event("end").data("replaced")),
                    () = draining => Some(Event::default().event("end").data("leaving")),
                    () = sender.closed() => None,
                }
            };
            tokio::pin!(end);
            let mut events = Box::pin(events).take_until(&mut end);
            let kept_up = forward(&mut events, &sender, &metrics).await;
            if let Some(Some(last)) = events.take_result().filter(|_| kept_up) {
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
    response
}

/// Sends events to the client until there are no more. Returns `false` when the client disconnected
/// or was too slow.
async fn forward(
    events: &mut (impl Stream<Item = Event> + Unpin),
    sender: &mpsc::Sender<Result<Event, Infallible>>,
    metrics: &Metrics,
) -> bool {
    while let Some(event) = events.next().await {
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
