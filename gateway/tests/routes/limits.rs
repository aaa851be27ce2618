//! The limit of requests of one client address, and of requests in flight.

use std::{net::IpAddr, time::Duration};

use serde_json::json;

use crate::support::*;

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

#[tokio::test]
async fn request_above_the_limit_is_429() {
    let gateway = limited(2);
    let first = gateway.get("/v1/products", None).await;
    assert_eq!(header(&first, "ratelimit-policy"), r#""address";q=2;w=900"#);
    assert_eq!(header(&first, "ratelimit"), r#""address";r=1;t=900"#);
    // Failures count too, and have the headers.
    let second = gateway.get("/nowhere", None).await;
    assert_problem(&second, 404, "not_found");
    assert_eq!(header(&second, "ratelimit"), r#""address";r=0;t=900"#);

    let third = gateway.get("/v1/products", None).await;

    assert_problem(&third, 429, "rate_limited");
    assert_eq!(header(&third, "retry-after"), "900");
    assert_eq!(header(&third, "ratelimit"), r#""address";r=0;t=900"#);
    assert_eq!(header(&third, "ratelimit-policy"), r#""address";q=2;w=900"#);
}

#[tokio::test]
async fn health_and_documents_do_not_count() {
    let gateway = limited(1);
    for path in ["/", "/livez", "/readyz", "/openapi.json", "/.well-known/jwks.json"] {
        let response = gateway.get(path, None).await;
        assert_eq!(
            (response.status().as_u16(), header(&response, "ratelimit")),
            (200, ""),
            "{path}"
        );
    }
    assert_eq!(gateway.get("/v1/products", None).await.status(), 200);
}

#[tokio::test]
async fn each_address_has_its_own_limit_and_no_client_chooses_its_address() {
    let gateway = limited(1);
    let from = |client: &str, forwarded: Option<&str>| {
        let request = request("GET", "/v1/products");
        let request = match forwarded {
            Some(forwarded) => request.header("x-forwarded-for", forwarded),
            None => request,
        };
        let client = address(client);
        let gateway = &gateway;
        async move { gateway.send_from(client, request).await.status().as_u16() }
    };
    assert_eq!(from("192.0.2.1", None).await, 200);
    assert_eq!(from("192.0.2.2", None).await, 200);
    assert_eq!(from("192.0.2.1", Some("198.51.100.1")).await, 429);
    // Behind the load balancer the rightmost address counts, whatever is left of it.
    assert_eq!(from("10.0.0.1", Some("198.51.100.1")).await, 200);
    assert_eq!(from("10.0.0.1", Some("6.6.6.6, 198.51.100.1")).await, 429);
    assert_eq!(from("10.0.0.1", Some("198.51.100.2")).await, 200);
    assert_eq!(from("2001:db8:0:1::1", None).await, 200);
    assert_eq!(from("2001:db8:0:1::2", None).await, 429);
}

#[tokio::test]
async fn requests_without_redis_pass_and_are_counted_in_a_metric() {
    let gateway = limited(1);
    gateway.world.inner().counters_down = true;
    for _ in 0..3 {
        let response = gateway.get("/v1/products", None).await;
        assert_eq!((response.status().as_u16(), header(&response, "ratelimit")), (200, ""));
    }
    assert_eq!(gateway.state.metrics.counters_unavailable.get(), 3);
}

#[tokio::test]
async fn request_above_those_in_flight_is_503_and_the_others_continue() {
    let gateway = gateway();
    gateway.product("rye").await;
    let token = gateway.user("ada@example.org").await;
    gateway.world.answers(Answer::Silence);
    let before = gateway.world.written();
    // Given as many requests in flight as are allowed, which wait for an outcome
    let waiting: Vec<_> = (0..REQUESTS_MAX)
        .map(|_| {
            let body = json!({ "lines": [{ "sku": "rye", "quantity": 1 }] });
            let order =
                with(Some(&token), request("POST", "/v1/orders").header("prefer", "wait=30"));
            let order = order.json(&body).extension(gateway::client::Peer(CLIENT));
            let routes = gateway.routes.clone();
            tokio::spawn(async move { order.reply(&routes).await.status() })
        })
        .collect();
    while gateway.world.written() < before + REQUESTS_MAX {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // When one more comes
    let response = gateway.get("/v1/products", None).await;
    // Then it is refused uncounted, and health checks are answered
    assert_problem(&response, 503, "overloaded");
    assert_eq!(header(&response, "retry-after"), "1");
    assert_eq!(header(&response, "ratelimit"), "");
    assert_eq!(gateway.get("/livez", None).await.status(), 200);
    assert!(waiting.iter().all(|order| !order.is_finished()));
    // And a client that disconnects makes room
    waiting[0].abort();
    while !waiting[0].is_finished() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(gateway.get("/v1/products", None).await.status(), 200);
}
