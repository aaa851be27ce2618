//! The stream of the operator's desk, for admins: its lists as they change, and the figures of the
//! processors and projections.

use std::sync::Arc;

use futures_util::{Stream, StreamExt as _, stream};
use tokio::sync::watch;
use warp::sse::Event;

use super::{pipeline, sse};
use crate::{
    call::{Answer, Call},
    desk::Lists,
};

/// Events that may wait for one client: the next one is made when there is room.
const QUEUE_MAX: usize = 1;

/// GET /v1/operations/stream
pub(super) async fn open(call: Call) -> Answer {
    let caller = call.admin()?;
    let seat = sse::take_seat(&call, Some(&caller))?;
    let lists = events(call.state.desk.subscribe());
    let events = stream::select(lists, pipeline::events(call.state.clone()));
    Ok(sse::respond(&call, Some(&caller), seat, QUEUE_MAX, events))
}

/// All lists, then those that change. A client that has missed a frame gets what is new in it.
fn events(frames: watch::Receiver<Option<Arc<Lists>>>) -> impl Stream<Item = Event> {
    let changed = stream::unfold((frames, 0), |(mut frames, seen)| async move {
        loop {
            let frame = frames.borrow_and_update().clone();
            if let Some(frame) = frame.filter(|frame| frame.number > seen) {
                let changed: Vec<_> = frame.events(seen).collect();
                return Some((changed, (frames, frame.number)));
            }
            frames.changed().await.ok()?;
        }
    });
    changed.flat_map(stream::iter).map(|(name, data)| Event::default().event(name).data(&*data))
}
