//! The pipeline's own figures, for admins: once as a resource, and as events beside the statistics.

use std::sync::Arc;

use futures_util::{Stream, stream};
use warp::{Reply as _, http::header, sse::Event};

use crate::{
    call::{Answer, Call},
    headers::set,
    pipeline::MAX_AGE,
    problem::Problem,
    state::State,
};

/// GET /v1/pipeline
pub(super) async fn read(call: Call) -> Answer {
    call.admin()?;
    if !call.state.pipeline.is_configured() {
        let detail = "This gateway knows no Prometheus: set MILLRACE_PROMETHEUS_URL.";
        return Err(Problem::unavailable(detail).into());
    }
    let figures = call.state.pipeline.read().await;
    let figures = figures.ok_or_else(|| Problem::unavailable("Prometheus does not answer."))?;
    let mut response = figures.to_string().into_response();
    set(&mut response, header::CONTENT_TYPE, "application/json");
    set(&mut response, header::CACHE_CONTROL, "no-store");
    Ok(response)
}

/// The figures as events, as long as the client reads. An event with `null` says that Prometheus
/// can't be read; without one there are no events.
pub(super) fn events(state: Arc<State>) -> impl Stream<Item = Event> {
    stream::unfold((state, false), |(state, is_later)| async move {
        if !state.pipeline.is_configured() {
            return None;
        }
        if is_later {
            tokio::time::sleep(MAX_AGE).await;
        }
        let figures = state.pipeline.read().await;
        let event = Event::default().event("pipeline").data(figures.as_deref().unwrap_or("null"));
        Some((event, (state, true)))
    })
}
