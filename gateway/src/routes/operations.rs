//! For operators and balancers: whether the gateway lives and is ready. Outside only yes or no; on
//! the inner listener also why, and the metrics.

use std::sync::Arc;

use prometheus::{Registry, TextEncoder};
use serde_json::{Map, json};
use warp::{
    Filter, Reply,
    filters::BoxedFilter,
    http::{StatusCode, header},
    path,
    reply::Response,
};

use crate::{
    call::{Answer, Call, set},
    problem::Problem,
    state::{State, is_ready},
};

/// GET /livez
pub(super) async fn live(_call: Call) -> Answer {
    Ok(plain(&json!({ "status": "live" })))
}

/// GET /readyz
pub(super) async fn ready(call: Call) -> Answer {
    if !is_ready(&call.state.health().await) {
        return Err(Problem::unavailable("Not ready.").into());
    }
    Ok(plain(&json!({ "status": "ready" })))
}

/// What the inner listener serves.
pub fn inner(state: &Arc<State>, registry: Registry) -> BoxedFilter<(Response,)> {
    let metrics = path!("metrics").and(warp::get()).map(move || {
        let text = TextEncoder::new().encode_to_string(&registry.gather()).unwrap_or_default();
        let mut response = text.into_response();
        set(&mut response, header::CONTENT_TYPE, "text/plain; version=0.0.4");
        response
    });
    let live = path!("livez").and(warp::get()).map(|| plain(&json!({ "status": "live" })));
    let state = state.clone();
    let ready = path!("readyz").and(warp::get()).then(move || {
        let state = state.clone();
        async move {
            let health = state.health().await;
            let ready = is_ready(&health);
            let told = |result: Result<(), String>| {
                json!(result.map_or_else(|why| why, |()| "ok".to_owned()))
            };
            let parts: Map<_, _> =
                health.into_iter().map(|(name, result)| (name.to_owned(), told(result))).collect();
            let mut response = plain(
                &json!({ "status": if ready { "ready" } else { "not ready" }, "parts": parts }),
            );
            if !ready {
                *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            }
            response
        }
    });
    metrics.or(live).unify().or(ready).unify().recover(crate::problem::recover).unify().boxed()
}

fn plain(body: &serde_json::Value) -> Response {
    let mut response = warp::reply::json(body).into_response();
    set(&mut response, header::CACHE_CONTROL, "no-store");
    response
}
