//! The shop's statistics: all figures for admins, and some for everyone if the gateway is
//! configured so.

use std::sync::Arc;

use futures_util::{Stream, StreamExt as _, stream};
use tokio::sync::watch;
use warp::{
    http::{HeaderValue, header},
    sse::Event,
};

use super::{pipeline, sse};
use crate::{
    auth::{Caller, Role},
    cache::{Key, Representation},
    call::{Answer, Call},
    problem::Problem,
    statistics::{Audience, By, Frame},
};

/// Events that may wait for one client: the next one is made when there is room.
const QUEUE_MAX: usize = 1;

/// Who reads. Without a token everyone does, if that is allowed.
fn audience(call: &Call) -> Result<(Audience, Option<Caller>), Problem> {
    let is_public = call.state.public_dashboard;
    if is_public && !call.headers.contains_key(header::AUTHORIZATION) {
        return Ok((Audience::Everyone, None));
    }
    let caller = call.caller()?;
    match caller.role {
        Role::Admin => Ok((Audience::Admins, Some(caller))),
        Role::User if is_public => Ok((Audience::Everyone, Some(caller))),
        Role::User => Err(Problem::forbidden()),
    }
}

/// GET /v1/statistics
pub(super) async fn read(call: Call) -> Answer {
    let (audience, _) = audience(&call)?;
    let by = match call.parameter("by")?.as_deref() {
        None | Some("minute") => By::Minute,
        Some("hour") => By::Hour,
        Some(_) => return Err(Problem::field("by", "expected minute or hour").into()),
    };
    let load = async {
        let statistics = call.state.reads.statistics(by).await?;
        Representation::tagged(&statistics.shown(audience)).map(Some)
    };
    let found = call.state.cache.get(Key::Statistics { by, audience }, load).await?;
    let mut response = found.ok_or_else(Problem::not_found)?.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(header::VARY, HeaderValue::from_static("Authorization"));
    Ok(response)
}

/// GET /v1/statistics/stream
pub(super) async fn open(call: Call) -> Answer {
    let (audience, caller) = audience(&call)?;
    let seat = sse::take_seat(&call, caller.as_ref())?;
    let statistics = events(call.state.statistics.subscribe(), audience);
    let events = match audience {
        Audience::Admins => {
            stream::select(statistics, pipeline::events(call.state.clone())).left_stream()
        }
        Audience::Everyone => statistics.right_stream(),
    };
    Ok(sse::respond(&call, caller.as_ref(), seat, QUEUE_MAX, events))
}

/// All windows, then those that change. A client that has missed a frame gets all windows again.
fn events(
    frames: watch::Receiver<Option<Arc<Frame>>>,
    audience: Audience,
) -> impl Stream<Item = Event> {
    stream::unfold((frames, None), move |(mut frames, mut seen)| async move {
        loop {
            let frame = frames.borrow_and_update().clone();
            if let Some(frame) = frame.filter(|frame| seen != Some(frame.number)) {
                let event = frame.event(audience, seen);
                seen = Some(frame.number);
                if let Some((name, data)) = event {
                    return Some((Event::default().event(name).data(&*data), (frames, seen)));
                }
            }
            frames.changed().await.ok()?;
        }
    })
}
