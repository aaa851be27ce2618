//! Products from the gateway's cache: the same responses as from the stores, and none that is older
//! than the bound.

use std::time::Duration;

use gateway::cache::AGE_MAX;
use tokio::time::{Instant, advance};
use warp::{http::Response, hyper::body::Bytes};

use crate::support::*;

/// A gateway with the product `rye`, whose cache is used.
async fn cached() -> Gateway {
    let gateway = gateway();
    gateway.product("rye").await;
    gateway.state.cache.track(true);
    gateway
}

/// Receives stock of `rye` without the gateway, as the projectors do after another one's command.
fn receive(gateway: &Gateway, available: i64) {
    let mut inner = gateway.world.inner();
    let product = inner.products.get_mut("rye").unwrap();
    (product.available, product.version) = (available, product.version + 1);
    let version = product.version;
    inner.versions.insert(("stock".to_owned(), "rye".to_owned()), version);
}

async fn available(gateway: &Gateway) -> (i64, i64) {
    let list = json(&gateway.get("/v1/products", None).await);
    let one = json(&gateway.get("/v1/products/rye", None).await);
    (list["items"][0]["available"].as_i64().unwrap(), one["available"].as_i64().unwrap())
}

fn parts(response: &Response<Bytes>) -> (u16, Vec<(String, Vec<u8>)>, Bytes) {
    let headers = response.headers().iter().filter(|(name, _)| *name != "ratelimit");
    let mut headers: Vec<_> =
        headers.map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect();
    headers.sort();
    (response.status().as_u16(), headers, response.body().clone())
}

#[tokio::test(start_paused = true)]
async fn hit_has_the_response_of_a_read_from_the_stores() {
    let gateway = gateway();
    for sku in ["rye", "oat", "malt"] {
        gateway.product(sku).await;
    }
    let tag = header(&gateway.get("/v1/products/rye", None).await, "etag").to_owned();
    let requests: [(&str, &str, &str); 15] = [
        ("/v1/products", "accept", "*/*"),
        ("/v1/products", "origin", "https://example.org"),
        ("/v1/products?limit=2", "accept", "*/*"),
        ("/v1/products?limit=2&cursor=malt", "accept", "*/*"),
        ("/v1/products?limit=0", "accept", "*/*"),
        ("/v1/products?cursor=a/b", "accept", "*/*"),
        ("/v1/products", "if-none-match", "*"),
        ("/v1/products", "if-none-match", "\"1-x\""),
        ("/v1/products", "if-match", "\"1-x\""),
        ("/v1/products/rye", "accept", "*/*"),
        ("/v1/products/rye", "if-none-match", &tag),
        ("/v1/products/rye", "if-match", &tag),
        ("/v1/products/rye", "if-match", "\"1-x\""),
        ("/v1/products/spelt", "accept", "*/*"),
        ("/v1/products/rye", "read-after", "stock/rye@1"),
    ];
    for (path, name, value) in requests {
        let send = async || parts(&gateway.send(request("GET", path).header(name, value)).await);
        gateway.state.cache.track(false);
        let from_stores = send().await;
        gateway.state.cache.track(true);
        assert_eq!(send().await, from_stores, "a miss: {path} {name}: {value}");
        assert_eq!(send().await, from_stores, "a hit: {path} {name}: {value}");
    }
    assert!(gateway.state.metrics.cache_hits.get() > 5);
}

#[tokio::test(start_paused = true)]
async fn hit_asks_no_store() {
    let gateway = cached().await;
    assert_eq!(available(&gateway).await, (0, 0));
    let reads = gateway.world.inner().reads;
    assert_eq!(available(&gateway).await, (0, 0));
    assert_eq!(gateway.world.inner().reads, reads);
}

#[tokio::test(start_paused = true)]
async fn change_is_visible_within_50_ms_although_nothing_reports_it() {
    let gateway = cached().await;
    assert_eq!(available(&gateway).await, (0, 0));
    receive(&gateway, 7);
    let begun = Instant::now();
    while available(&gateway).await != (7, 7) {
        advance(Duration::from_millis(1)).await;
    }
    assert!(begun.elapsed() <= AGE_MAX, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn reported_change_is_visible_after_10_ms() {
    let gateway = cached().await;
    assert_eq!(available(&gateway).await, (0, 0));
    receive(&gateway, 7);
    gateway.state.cache.change();
    advance(Duration::from_millis(10)).await;
    assert_eq!(available(&gateway).await, (7, 7));
}

#[tokio::test(start_paused = true)]
async fn nothing_stale_is_served_while_changes_are_not_reported() {
    let gateway = cached().await;
    assert_eq!(available(&gateway).await, (0, 0));
    receive(&gateway, 7);
    gateway.state.cache.track(false);
    assert_eq!(available(&gateway).await, (7, 7));
    receive(&gateway, 8);
    assert_eq!(available(&gateway).await, (8, 8));
    receive(&gateway, 9);
    gateway.state.cache.track(true);
    assert_eq!(available(&gateway).await, (9, 9));
}

#[tokio::test(start_paused = true)]
async fn client_reads_its_own_change_at_once() {
    let gateway = cached().await;
    assert_eq!(available(&gateway).await, (0, 0));
    let body = serde_json::json!({ "quantity": 5 });
    let admin = gateway.admin();
    let sent = gateway.command("POST", "/v1/products/rye/stock", Some(&admin), body).await;
    assert_eq!(sent.status(), 200);
    assert_eq!(available(&gateway).await, (5, 5));
}

#[tokio::test(start_paused = true)]
async fn read_after_is_answered_from_the_stores() {
    let gateway = cached().await;
    assert_eq!(available(&gateway).await, (0, 0));
    receive(&gateway, 7);
    for path in ["/v1/products", "/v1/products/rye"] {
        let response = gateway.send(request("GET", path).header("read-after", "stock/rye@2")).await;
        assert_eq!(header(&response, "read-after-satisfied"), "true");
        let body = String::from_utf8(response.body().to_vec()).unwrap();
        assert!(body.contains(r#""available":7"#), "{body}");
    }
}
