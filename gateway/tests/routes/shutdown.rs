//! A gateway that shuts down: it keeps nobody waiting, and no connection.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;
use warp::{http::Response, hyper::body::Bytes, test::RequestBuilder};

use crate::support::*;

/// A gateway whose commands are answered so, and a user's token.
async fn answering(answer: Answer) -> (Gateway, String) {
    let gateway = gateway();
    let token = gateway.user("ada@example.org").await;
    gateway.world.inner().notices = Notices::All;
    gateway.world.answers(answer);
    (gateway, token)
}

fn place(token: &str, prefer: &str) -> RequestBuilder {
    let body = json!({ "lines": [{ "sku": "rye", "quantity": 1 }] });
    with(Some(token), request("POST", "/v1/orders")).header("prefer", prefer).json(&body)
}

/// The response to a request during which the shutdown begins, which is then answered at once.
async fn cut_short(gateway: &Gateway, request: RequestBuilder) -> Response<Bytes> {
    let begun = Instant::now();
    let shutdown = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        gateway.state.drain();
    };
    let (response, ()) = tokio::join!(gateway.send(request), shutdown);
    assert!(begun.elapsed() < Duration::from_millis(1_500), "{:?}", begun.elapsed());
    assert_eq!(header(&response, "connection"), "close");
    response
}

#[tokio::test(start_paused = true)]
async fn command_without_an_outcome_is_202_when_the_shutdown_begins() {
    let (gateway, token) = answering(Answer::Silence).await;
    let response = cut_short(&gateway, place(&token, "wait=30")).await;
    assert_eq!((response.status().as_u16(), &json(&response)["state"]), (202, &json!("pending")));
    assert!(header(&response, "location").starts_with("/v1/commands/"));
    // And so is one that comes during the shutdown.
    let begun = Instant::now();
    let next = gateway.send(place(&token, "wait=30")).await;
    assert_eq!((next.status().as_u16(), header(&next, "connection")), (202, "close"));
    assert!(begun.elapsed() < Duration::from_millis(100), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn command_that_is_not_projected_is_202_when_the_shutdown_begins() {
    let (gateway, token) = answering(Answer::Lag).await;
    let response = cut_short(&gateway, place(&token, "wait=30")).await;
    assert_eq!((response.status().as_u16(), &json(&response)["state"]), (202, &json!("accepted")));
}

#[tokio::test(start_paused = true)]
async fn status_of_a_command_is_pending_when_the_shutdown_begins() {
    let (gateway, token) = answering(Answer::Silence).await;
    let taken = gateway.send(place(&token, "respond-async")).await;
    assert_eq!(header(&taken, "connection"), "");
    let status = with(Some(&token), request("GET", header(&taken, "location")));
    let response = cut_short(&gateway, status.header("prefer", "wait=30")).await;
    assert_eq!((response.status().as_u16(), &json(&response)["state"]), (200, &json!("pending")));
}

#[tokio::test(start_paused = true)]
async fn status_that_is_stored_is_shown_during_the_shutdown() {
    let (gateway, token) = answering(Answer::Accept).await;
    let taken = gateway.send(place(&token, "respond-async")).await;
    gateway.state.drain();
    gateway.world.inner().stores_yield = true;
    for prefer in ["wait=30", "respond-async"] {
        let status = with(Some(&token), request("GET", header(&taken, "location")));
        let response = gateway.send(status.header("prefer", prefer)).await;
        let state = json(&response)["state"].clone();
        assert_eq!((response.status().as_u16(), state), (200, json!("accepted")), "{prefer}");
    }
}

#[tokio::test(start_paused = true)]
async fn log_in_gets_its_result_although_the_shutdown_begins() {
    let (gateway, _) = answering(Answer::Accept).await;
    gateway.world.inner().silent = Some("user");
    let log_in = json!({ "email": "ada@example.org", "password": "correct horse" });
    let outcome = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        gateway.state.drain();
        tokio::time::sleep(Duration::from_secs(1)).await;
        gateway.world.catch_up();
    };
    let sent = gateway.send(request("POST", "/v1/sessions").json(&log_in));
    let (response, ()) = tokio::join!(sent, outcome);
    assert_eq!(response.status(), 200);
}
