//! The limit of requests of one client address, over all gateways: a window begins with its first
//! request. Without Redis requests are let through, and counted as uncounted: a lost counter must
//! not stop the shop.

use std::{net::IpAddr, sync::Arc, time::Duration};

use warp::{
    http::{HeaderMap, HeaderName, HeaderValue},
    reply::Response,
};

use crate::{
    client::{self, Networks},
    problem::Problem,
    state::State,
};

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// How many requests in which time.
#[derive(Clone, Debug)]
pub struct Limit {
    /// Requests of one address.
    pub requests: u32,
    /// In so many seconds.
    pub window_s: u32,
    /// Balancers that are believed about addresses.
    pub trusted: Networks,
}

/// Where a client stands; becomes headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    policy: String,
    limit: Option<String>,
}

impl Limit {
    /// The client's address.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        client::address(peer, headers, &self.trusted)
    }
}

/// Counts a request of `client`.
///
/// # Errors
/// The problem to answer with, if it is one too many.
pub async fn admit(state: &Arc<State>, client: IpAddr) -> Result<Standing, Problem> {
    let Limit { requests, window_s, .. } = state.limit;
    let policy = format!(r#""address";q={requests};w={window_s}"#);
    let key = format!("millrace:gateway:limit:{}", client::bucket(client));
    let window = Duration::from_secs(u64::from(window_s));
    let count = match state.counters.hit(&key, window).await {
        Ok(count) => count,
        Err(error) => {
            state.metrics.counters_unavailable.inc();
            tracing::warn!(%error, "a request could not be counted and is let through");
            return Ok(Standing { policy, limit: None });
        }
    };
    let remaining = u64::from(requests).saturating_sub(count.count);
    let seconds = count.left.as_secs() + u64::from(count.left.subsec_nanos() > 0);
    let standing =
        Standing { policy, limit: Some(format!(r#""address";r={remaining};t={seconds}"#)) };
    if count.count <= u64::from(requests) {
        return Ok(standing);
    }
    state.metrics.rate_limited.inc();
    let detail = format!("At most {requests} requests in {window_s} seconds from one address.");
    let mut problem = Problem::too_many("rate_limited", &detail, count.left);
    for (name, value) in standing.headers() {
        problem = problem.header(name, &value);
    }
    Err(problem)
}

impl Standing {
    fn headers(self) -> impl Iterator<Item = (HeaderName, String)> {
        [(POLICY, Some(self.policy)), (LIMIT, self.limit)]
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
    }

    /// Tells the client.
    pub fn told(self, mut response: Response) -> Response {
        for (name, value) in self.headers() {
            if let Ok(value) = HeaderValue::from_str(&value) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}
