//! The internal listener of a service: metrics and health. It is never published to the outside.

use std::{net::SocketAddr, sync::Arc};

use anyhow::Context;
use prometheus::{Registry, TextEncoder};
use warp::{Filter, http::StatusCode};

/// Returns why a part of the service is not ready; `None` if it is.
pub type Check = Arc<dyn Fn() -> Option<String> + Send + Sync>;

/// Binds `address` and serves `/metrics`, `/livez` and `/readyz` until the process ends.
///
/// # Errors
/// When the address can't be bound.
pub async fn serve(
    address: SocketAddr,
    metrics: Registry,
    checks: Vec<(&'static str, Check)>,
) -> anyhow::Result<()> {
    let listener = tokio::net::TcpListener::bind(address).await.with_context(|| {
        format!("binding the internal listener to {address} (MILLRACE_INTERNAL)")
    })?;
    let exported = warp::path!("metrics").map(move || {
        let text = TextEncoder::new().encode_to_string(&metrics.gather()).unwrap_or_default();
        warp::reply::with_header(text, "content-type", "text/plain; version=0.0.4")
    });
    let live = warp::path!("livez").map(|| "live\n");
    let ready = warp::path!("readyz").map(move || {
        let failing: Vec<_> = checks
            .iter()
            .filter_map(|(name, check)| check().map(|why| format!("{name}: {why}\n")))
            .collect();
        match failing.is_empty() {
            true => warp::reply::with_status("ready\n".to_owned(), StatusCode::OK),
            false => warp::reply::with_status(failing.concat(), StatusCode::SERVICE_UNAVAILABLE),
        }
    });
    let routes = warp::get().and(exported.or(live).or(ready));
    tokio::spawn(warp::serve(routes).incoming(listener).run());
    Ok(())
}
