//! What happens to every request around its handler: limits before it, conditions, metrics and
//! security headers after it.

use tokio::time::Instant;
use warp::{Reply, reply::Response};

use super::route::{Route, Target};
use crate::{
    call::{Call, render},
    conditions::ReadConditions,
    headers,
    metrics::Metrics,
    problem::Problem,
};

/// Answers a request.
pub(super) async fn respond(target: Target, call: Call) -> Response {
    let begun = Instant::now();
    let in_flight = InFlight::begin(&call.state.metrics);
    let conditions = ReadConditions::of(&call.method, &call.headers);
    // Neither an unknown path nor a made-up method becomes a label.
    let path_label = target.template().unwrap_or("unknown");
    let method_label = target.route.map_or("other", |route| route.method);

    let response = match target.route {
        Some(route) if !route.is_limited => answer(route, target.parameter, call).await,
        _ => limited(target, call).await,
    };
    let response = conditions.apply(response);

    let metrics = &in_flight.metrics;
    let status = response.status();
    metrics.requests.with_label_values(&[path_label, method_label, status.as_str()]).inc();
    metrics
        .request_seconds
        .with_label_values(&[path_label, method_label])
        .observe(begun.elapsed().as_secs_f64());
    headers::secured(response)
}

/// Answers a request that counts against the limits, whether it has a route or not.
async fn limited(target: Target, call: Call) -> Response {
    let state = call.state.clone();
    // A request above the bound is refused at once: a queue would only make all responses late. The
    // permit is held until the response begins; the live stream has a bound of its own.
    let Ok(_permit) = state.requests.try_acquire() else {
        return Problem::overloaded().into_response();
    };
    let rate_limit = match state.limiter.admit(call.client).await {
        Ok(rate_limit) => rate_limit,
        Err(problem) => return problem.into_response(),
    };
    let response = match target.route {
        Some(route) => answer(route, target.parameter, call).await,
        None if target.template().is_some() => {
            Problem::method_not_allowed(&target.methods()).into_response()
        }
        None => Problem::not_found().into_response(),
    };
    rate_limit.apply_headers(response)
}

async fn answer(route: &Route, parameter: String, call: Call) -> Response {
    render((route.handler)(call, parameter).await)
}

/// A request in flight. It ends also when the client disconnects, which drops the future.
struct InFlight {
    metrics: Metrics,
}

impl InFlight {
    fn begin(metrics: &Metrics) -> Self {
        metrics.in_flight.inc();
        Self { metrics: metrics.clone() }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.metrics.in_flight.dec();
    }
}
