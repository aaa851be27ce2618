//! Health and metrics, for operators and load balancers. The public routes say only whether the
//! gateway is live and ready; the internal listener says also why not, and serves the metrics.

use std::sync::Arc;

use prometheus::{Registry, TextEncoder};
use schemas::chain;
use serde_json::{Map, Value, json};
use warp::{
    Filter, Reply,
    filters::BoxedFilter,
    http::{StatusCode, header},
    path,
    reply::Response,
};

use crate::{
    call::{Answer, Call},
    headers::set,
    health::is_ready,
    problem::{self, Problem},
    state::State,
};

/// GET /livez
pub(super) async fn live(_call: Call) -> Answer {
    Ok(uncached(&json!({ "status": "live" })))
}

/// GET /readyz
pub(super) async fn ready(call: Call) -> Answer {
    if !is_ready(&call.state.health().await) {
        return Err(Problem::unavailable("The gateway is not ready.").into());
    }
    Ok(uncached(&json!({ "status": "ready" })))
}

/// The routes of the internal listener.
pub fn internal(state: &Arc<State>, registry: Registry) -> BoxedFilter<(Response,)> {
    let metrics = path!("metrics").and(warp::get()).map(move || {
        let text = TextEncoder::new().encode_to_string(&registry.gather()).unwrap_or_default();
        let mut response = text.into_response();
        set(&mut response, header::CONTENT_TYPE, "text/plain; version=0.0.4");
        response
    });
    let live = path!("livez").and(warp::get()).map(|| uncached(&json!({ "status": "live" })));
    let state = state.clone();
    let ready = path!("readyz").and(warp::get()).then(move || {
        let state = state.clone();
        async move { detailed_readiness(&state).await }
    });
    metrics.or(live).unify().or(ready).unify().recover(problem::recover).unify().boxed()
}

/// Readiness with the health of each part.
async fn detailed_readiness(state: &State) -> Response {
    let health = state.health().await;
    let is_ready = is_ready(&health);
    let parts: Map<_, _> = health
        .into_iter()
        .map(|(part, health)| {
            let text = health.map_or_else(|cause| chain(&*cause), |()| "ok".to_owned());
            (part.to_owned(), Value::String(text))
        })
        .collect();
    let status = if is_ready { "ready" } else { "not ready" };
    let mut response = uncached(&json!({ "status": status, "parts": parts }));
    if !is_ready {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    response
}

fn uncached(body: &Value) -> Response {
    let mut response = warp::reply::json(body).into_response();
    set(&mut response, header::CACHE_CONTROL, "no-store");
    response
}
