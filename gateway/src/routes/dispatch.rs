//! What happens to every request around its handler: limits before it, conditions, metrics and
//! security headers after it.

use redpanda::spans::Request;
use tokio::time::Instant;
use warp::{Reply, http::header, reply::Response};

use super::route::{Route, Target};
use crate::{
    call::{Call, render},
    conditions::ReadConditions,
    headers,
    metrics::Metrics,
    problem::Problem,
};

/// Answers a request.
pub(super) async fn respond(target: Target, mut call: Call) -> Response {
    let begun = Instant::now();
    let state = call.state.clone();
    let in_flight = InFlight::begin(&state.metrics);
    let conditions = ReadConditions::of(&call.method, &call.headers);
    // Neither an unknown path nor a made-up method becomes a label.
    let path_label = target.template().unwrap_or("unknown");
    let method_label = target.route.map_or("other", |route| route.method);

    let span = request_span(&target, &call);
    call.span = span.as_ref().map(Request::trace_parent);

    let response = match target.route {
        Some(route) if !route.is_limited => answer(route, target.parameter, call).await,
        _ => limited(target, call).await,
    };
    let mut response = conditions.apply(response);
    // The next request of the connection should find another gateway.
    if state.is_draining() {
        headers::set(&mut response, header::CONNECTION, "close");
    }

    let metrics = &in_flight.metrics;
    let status = response.status();
    if let Some(span) = span {
        span.end(status.as_u16());
    }
    metrics.requests.with_label_values(&[path_label, method_label, status.as_str()]).inc();
    metrics
        .request_seconds
        .with_label_values(&[path_label, method_label])
        .observe(begun.elapsed().as_secs_f64());
    headers::secured(response)
}

/// The span of a request, if spans are exported; none for pages and for what a load balancer asks.
fn request_span(target: &Target, call: &Call) -> Option<Request> {
    if target.route.is_some_and(|route| !route.is_limited) {
        return None;
    }
    let template = target.template();
    Request::begin(call.method.as_str(), &call.resource, template, call.client_trace_parent())
}

/// Answers a request that counts against the limits, whether it has a route or not.
async fn limited(target: Target, mut call: Call) -> Response {
    let (state, class) = (call.state.clone(), target.class());
    // A request above the limit is refused at once: a queue would only make all responses late. The
    // slot is held until the response begins; the live stream has a bound of its own.
    let slot = match state.load.take(class, call.client) {
        Ok(slot) => slot,
        Err(problem) => return problem.into_response(),
    };
    let rate_limit = match state.limiter.admit(call.client).await {
        Ok(rate_limit) => rate_limit,
        Err(problem) => {
            drop(slot);
            return problem.into_response();
        }
    };
    call.slot = Some(slot.clone());
    let response = match target.route {
        Some(route) => match route.check_query(&call.query) {
            Ok(()) => answer(route, target.parameter, call).await,
            Err(problem) => problem.into_response(),
        },
        None if target.template().is_some() => {
            Problem::method_not_allowed(&target.methods()).into_response()
        }
        None => Problem::not_found().into_response(),
    };
    if class.is_measured(response.status()) {
        slot.record();
    }
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
