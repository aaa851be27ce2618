//! How much one client address may ask, and how much all of them at once.

use std::{net::IpAddr, time::Duration};

use serde_json::json;

use crate::support::*;

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

#[tokio::test]
async fn one_request_too_many_is_429() {
    let gateway = limited(2);
    let first = gateway.get("/v1/products", None).await;
    assert_eq!(header(&first, "ratelimit-policy"), r#""address";q=2;w=900"#);
    assert_eq!(header(&first, "ratelimit"), r#""address";r=1;t=900"#);
    // Failures count and tell too.
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
async fn operations_and_static_things_do_not_count() {
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
async fn addresses_are_told_apart_and_a_client_can_not_choose_its_own() {
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
    // Behind the balancer it is the client's address that counts, whatever stands left of it.
    assert_eq!(from("10.0.0.1", Some("198.51.100.1")).await, 200);
    assert_eq!(from("10.0.0.1", Some("6.6.6.6, 198.51.100.1")).await, 429);
    assert_eq!(from("10.0.0.1", Some("198.51.100.2")).await, 200);
    assert_eq!(from("2001:db8:0:1::1", None).await, 200);
    assert_eq!(from("2001:db8:0:1::2", None).await, 429);
}

#[tokio::test]
async fn without_redis_requests_are_let_through_and_counted_for_operators() {
    let gateway = limited(1);
    gateway.world.inner().counters_down = true;
    for _ in 0..3 {
        let response = gateway.get("/v1/products", None).await;
        assert_eq!((response.status().as_u16(), header(&response, "ratelimit")), (200, ""));
    }
    assert_eq!(gateway.state.metrics.counters_unavailable.get(), 3);
}

#[tokio::test]
async fn one_request_more_than_can_be_answered_at_once_is_503_and_the_others_go_on() {
    let gateway = gateway();
    gateway.product("rye").await;
    let token = gateway.someone("ada@example.org").await;
    gateway.world.answers(Answer::Silence);
    let before = gateway.world.written();
    // Given as many requests as there is room for, which wait for an outcome
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
    // When there comes one more
    let response = gateway.get("/v1/products", None).await;
    // Then it is turned away uncounted, and what operators ask is answered
    assert_problem(&response, 503, "overloaded");
    assert_eq!(header(&response, "retry-after"), "1");
    assert_eq!(header(&response, "ratelimit"), "");
    assert_eq!(gateway.get("/livez", None).await.status(), 200);
    assert!(waiting.iter().all(|order| !order.is_finished()));
    // And a client that leaves makes room
    waiting[0].abort();
    while !waiting[0].is_finished() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(gateway.get("/v1/products", None).await.status(), 200);
}
