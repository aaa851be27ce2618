//! To which gateway a request goes, how often, and with which headers.

use std::sync::atomic::Ordering;
use std::time::Duration;

use reqwest::{Client, Method, StatusCode};

use crate::support::{Manner, balancer, closed_port, gateway};

fn http() -> Client {
    integration::http().build().expect("a client")
}

#[tokio::test]
#[ignore = "needs nginx: integration/test runs it"]
async fn a_command_that_may_have_been_taken_is_never_sent_again() {
    for method in [Method::POST, Method::PATCH, Method::PUT, Method::DELETE] {
        let (lost, well) = (gateway(Manner::HangUp).await, gateway(Manner::Echo).await);
        let balancer = balancer(&lost.address, &well.address).await;
        let mut failures = 0;
        for _ in 0..6 {
            let answer = http()
                .request(method.clone(), format!("{}/v1/orders", balancer.url))
                .body("{}")
                .send();
            let answer = answer.await.expect("an answer");
            if answer.status() == StatusCode::SERVICE_UNAVAILABLE {
                failures += 1;
                assert_eq!(
                    "application/problem+json",
                    answer.headers()["content-type"],
                    "{method}"
                );
            }
        }
        let sent = lost.requests.load(Ordering::SeqCst) + well.requests.load(Ordering::SeqCst);
        assert_eq!(6, sent, "{method}: each request reaches one gateway once");
        assert_eq!(
            lost.requests.load(Ordering::SeqCst),
            failures,
            "{method}: the lost ones are owned up to"
        );
        assert!(failures > 0, "{method}: the test met the gateway that hangs up");
    }
}

#[tokio::test]
#[ignore = "needs nginx: integration/test runs it"]
async fn a_read_is_tried_at_the_other_gateway() {
    let (lost, well) = (gateway(Manner::HangUp).await, gateway(Manner::Echo).await);
    let balancer = balancer(&lost.address, &well.address).await;
    for _ in 0..6 {
        let answer =
            integration::get(format!("{}/v1/products", balancer.url)).await.expect("an answer");
        assert_eq!(StatusCode::OK, answer.status());
    }
    assert!(lost.requests.load(Ordering::SeqCst) > 0, "the test met the gateway that hangs up");
}

#[tokio::test]
#[ignore = "needs nginx: integration/test runs it"]
async fn a_command_goes_to_the_other_gateway_when_one_can_not_be_reached() {
    let well = gateway(Manner::Echo).await;
    let balancer = balancer(&closed_port(), &well.address).await;
    for _ in 0..6 {
        let answer = http().post(format!("{}/v1/orders", balancer.url)).body("{}").send().await;
        assert_eq!(StatusCode::OK, answer.expect("an answer").status());
    }
}

#[tokio::test]
#[ignore = "needs nginx: integration/test runs it"]
async fn the_clients_address_comes_from_the_socket() {
    let well = gateway(Manner::Echo).await;
    let balancer = balancer(&well.address, &well.address).await;
    let request = http()
        .get(&balancer.url)
        .header("X-Forwarded-For", "8.8.8.8")
        .header("Forwarded", "for=8.8.8.8");
    let seen =
        request.send().await.expect("an answer").text().await.expect("a body").to_lowercase();
    assert!(seen.contains("x-forwarded-for: 127.0.0.1\r\n") && !seen.contains("8.8.8.8"), "{seen}");
}

#[tokio::test]
#[ignore = "needs nginx: integration/test runs it"]
async fn a_stream_is_passed_on_as_it_comes() {
    let streaming = gateway(Manner::Stream).await;
    let balancer = balancer(&streaming.address, &streaming.address).await;
    for path in ["/v1/stream", "/v1/statistics/stream", "/v1/operations/stream"] {
        let answer = integration::get(format!("{}{path}", balancer.url)).await;
        let mut answer = answer.expect("a head");
        let first = tokio::time::timeout(Duration::from_secs(5), answer.chunk()).await;
        let first = first.expect("no buffering").expect("a chunk");
        assert_eq!(Some(&b"data: first\n\n"[..]), first.as_deref(), "{path}");
    }
}
