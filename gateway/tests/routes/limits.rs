//! The limit of requests of one client address.

use std::net::IpAddr;

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
