//! The limit of requests of one client address, over all gateways. A window begins with its first
//! request. Without Redis requests pass, and a metric counts them: a lost counter must not stop the
//! shop.

use std::{net::IpAddr, sync::Arc, time::Duration};

use schemas::chain;
use warp::{http::HeaderName, reply::Response};

use crate::{client, counters::Counters, headers::set, metrics::Metrics, problem::Problem};

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// How many requests one address may send, and in which time.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// Requests of one address in a window.
    pub requests: u32,
    /// The length of a window, in seconds.
    pub window_s: u32,
}

/// Counts the requests of each address and refuses those above the limit.
pub struct Limiter {
    limit: Limit,
    counters: Arc<dyn Counters>,
    metrics: Metrics,
}

impl Limiter {
    /// A limiter that counts in `counters`.
    pub fn new(limit: Limit, counters: Arc<dyn Counters>, metrics: Metrics) -> Self {
        Self { limit, counters, metrics }
    }

    /// Counts a request of `client`.
    ///
    /// # Errors
    /// Returns a 429 problem when the request is above the limit.
    pub async fn admit(&self, client: IpAddr) -> Result<RateLimit, Problem> {
        let Limit { requests, window_s } = self.limit;
        let policy = format!(r#""address";q={requests};w={window_s}"#);
        let key = format!("millrace:gateway:limit:{}", client::bucket(client));
        let window = Duration::from_secs(u64::from(window_s));
        let count = match self.counters.hit(&key, window).await {
            Ok(count) => count,
            Err(error) => {
                self.metrics.counters_unavailable.inc();
                tracing::warn!(error = chain(&error), "a request could not be counted and passes");
                return Ok(RateLimit { policy, remaining: None });
            }
        };
        let left = u64::from(requests).saturating_sub(count.count);
        let seconds = count.left.as_secs() + u64::from(count.left.subsec_nanos() > 0);
        let remaining = Some(format!(r#""address";r={left};t={seconds}"#));
        let rate_limit = RateLimit { policy, remaining };
        if count.count <= u64::from(requests) {
            return Ok(rate_limit);
        }
        self.metrics.rate_limited.inc();
        let detail = format!("One address may send {requests} requests in {window_s} seconds.");
        let problem = Problem::too_many("rate_limited", &detail, count.left);
        Err(rate_limit
            .headers()
            .fold(problem, |problem, (name, value)| problem.header(name, value)))
    }
}

/// What a client may still send; becomes the `RateLimit` headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimit {
    policy: String,
    /// `None` when Redis did not answer.
    remaining: Option<String>,
}

impl RateLimit {
    fn headers(&self) -> impl Iterator<Item = (HeaderName, &str)> {
        let remaining = self.remaining.as_deref().map(|remaining| (LIMIT, remaining));
        [(POLICY, self.policy.as_str())].into_iter().chain(remaining)
    }

    /// The response with the `RateLimit` headers.
    pub fn apply_headers(&self, mut response: Response) -> Response {
        for (name, value) in self.headers() {
            set(&mut response, name, value);
        }
        response
    }
}
