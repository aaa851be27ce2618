//! Commands: 202 or the result, repeated requests, read-your-writes.

use serde_json::{Value, json};
use tokio::time::Instant;
use uuid::Uuid;
use warp::test::RequestBuilder;

use crate::support::*;

fn order() -> Value {
    json!({ "lines": [{ "sku": "rye", "quantity": 1 }] })
}

fn place(token: &str) -> RequestBuilder {
    with(Some(token), request("POST", "/v1/orders")).json(&order())
}

#[tokio::test]
async fn write_is_202_with_the_path_of_its_status() {
    let gateway = gateway();
    let token = gateway.user("ada@example.org").await;

    let response = gateway.send(place(&token)).await;

    assert_eq!(response.status(), 202);
    let location = header(&response, "location").to_owned();
    assert_eq!(location, format!("/v1/commands/{}", gateway.world.last().id));
    assert_eq!(json(&response)["state"], "pending");
    assert_eq!(json(&response)["links"]["self"], location);
    let trace = format!("{location}/trace");
    assert_eq!(json(&response)["links"]["trace"], trace);
    assert_eq!(header(&response, "link"), format!("<{trace}>; rel=\"related\"; title=\"trace\""));
    assert_eq!(header(&response, "preference-applied"), "");
    let command = json(&gateway.get(&location, Some(&token)).await);
    assert_eq!(command["state"], "accepted");
    assert_eq!(command["links"]["result"], format!("/v1/orders/{}", gateway.world.last().key));
    assert_eq!(command["aggregate"]["version"], 1);
}

#[tokio::test]
async fn status_of_a_command_is_shown_only_to_its_sender() {
    let gateway = gateway();
    let ada = gateway.user("ada@example.org").await;
    let bob = gateway.user("bob@example.org").await;
    gateway.world.answers(Answer::Silence);
    let location = header(&gateway.send(place(&ada)).await, "location").to_owned();

    let pending = gateway.get(&location, Some(&ada)).await;
    assert_eq!((pending.status().as_u16(), &json(&pending)["state"]), (200, &json!("pending")));
    assert_eq!(header(&pending, "retry-after"), "1");
    assert_problem(&gateway.get(&location, Some(&bob)).await, 404, "not_found");
    assert_problem(&gateway.get(&location, None).await, 404, "not_found");
    let guessed = format!("/v1/commands/{}", Uuid::new_v4());
    assert_problem(&gateway.get(&guessed, Some(&ada)).await, 404, "not_found");

    gateway.world.answers(Answer::Refuse("address_taken"));
    let body = json!({ "email": "c@example.org", "password": "correct horse", "name": "C" });
    let registered = gateway.send(request("POST", "/v1/users").json(&body)).await;
    let command = json(&gateway.get(header(&registered, "location"), None).await);
    assert_eq!((&command["state"], &command["code"]), (&json!("refused"), &json!("address_taken")));
}

#[tokio::test(start_paused = true)]
async fn wait_without_a_result_in_time_is_202() {
    let gateway = gateway();
    let token = gateway.user("ada@example.org").await;
    for answer in [Answer::Silence, Answer::Lag] {
        gateway.world.answers(answer);
        let response = gateway.send(place(&token).header("prefer", "respond-async, wait=2")).await;
        assert_eq!(response.status(), 202);
        assert_eq!(header(&response, "preference-applied"), "wait=2");
        assert!(header(&response, "location").starts_with("/v1/commands/"));
    }
    let longest = gateway.send(place(&token).header("prefer", "wait=3600")).await;
    assert_eq!(header(&longest, "preference-applied"), "wait=30");
}

#[tokio::test]
async fn repeat_is_answered_without_a_second_write() {
    let gateway = gateway();
    let token = gateway.user("ada@example.org").await;
    let repeat = || place(&token).header("idempotency-key", "\"k-1\"").header("prefer", "wait=5");
    let first = gateway.send(repeat()).await;
    let before = gateway.world.written();

    let again = gateway.send(repeat()).await;

    assert_eq!((first.status(), first.body()), (again.status(), again.body()));
    assert_eq!(header(&first, "location"), header(&again, "location"));
    assert_eq!(gateway.world.written(), before);
}

#[tokio::test]
async fn repeats_before_the_outcome_are_the_same_command() {
    let gateway = gateway();
    let token = gateway.user("ada@example.org").await;
    gateway.world.answers(Answer::Silence);
    let mut sent = Vec::new();
    for _ in 0..3 {
        gateway.send(place(&token).header("idempotency-key", "k-1")).await;
        sent.push(gateway.world.last());
    }
    assert_eq!(sent[0], sent[1]);
    assert_eq!(sent[0], sent[2]);
}

#[tokio::test]
async fn another_request_with_the_same_key_is_422() {
    let gateway = gateway();
    let token = gateway.user("ada@example.org").await;
    gateway.send(place(&token).header("idempotency-key", "k-1")).await;
    let before = gateway.world.written();

    let other = json!({ "lines": [{ "sku": "rye", "quantity": 2 }] });
    let request = with(Some(&token), request("POST", "/v1/orders")).json(&other);
    let response = gateway.send(request.header("idempotency-key", "k-1")).await;

    assert_problem(&response, 422, "idempotency_key_reused");
    assert_eq!(gateway.world.written(), before);
}

#[tokio::test]
async fn key_belongs_to_the_resource_in_every_spelling() {
    let gateway = gateway();
    let token = gateway.user("ada@example.org").await;
    gateway.world.answers(Answer::Silence);
    let id = Uuid::new_v4();
    let cancel = |id: String| {
        let path = format!("/v1/orders/{id}/cancel");
        let request = with(Some(&token), request("POST", &path)).header("idempotency-key", "k-1");
        async { gateway.send(request).await.status().as_u16() }
    };
    let mut ids = Vec::new();
    for id in [id.to_string(), id.to_string().to_uppercase(), id.simple().to_string()] {
        assert_eq!(cancel(id).await, 202);
        ids.push(gateway.world.last().id);
    }
    assert_eq!((ids[0], ids[0]), (ids[1], ids[2]));

    let before = gateway.world.written();
    let slash = with(Some(&token), request("POST", "/v1/orders/")).header("idempotency-key", "k-1");
    assert_problem(&gateway.send(slash.json(&order())).await, 404, "not_found");
    assert_eq!(gateway.world.written(), before);
}

#[tokio::test]
async fn another_request_with_a_key_in_flight_is_422() {
    let gateway = gateway();
    let token = gateway.user("ada@example.org").await;
    gateway.world.answers(Answer::Silence);
    let send = |quantity: i64| {
        let order = json!({ "lines": [{ "sku": "rye", "quantity": quantity }] });
        gateway.send(
            with(Some(&token), request("POST", "/v1/orders"))
                .header("idempotency-key", "k-1")
                .json(&order),
        )
    };
    assert_eq!(send(1).await.status(), 202);
    let before = gateway.world.written();

    assert_problem(&send(2).await, 422, "idempotency_key_reused");

    assert_eq!(gateway.world.written(), before);
    assert_eq!(send(1).await.status(), 202);
    // Without Redis the request passes, as every other one does.
    gateway.world.inner().counters_down = true;
    assert_eq!(send(2).await.status(), 202);
}

#[tokio::test]
async fn request_that_was_not_written_leaves_its_key_unused() {
    let gateway = gateway();
    let token = gateway.user("ada@example.org").await;
    let rename = |condition: &'static str| {
        with(Some(&token), request("PATCH", "/v1/users/me"))
            .header("idempotency-key", "k-1")
            .header("if-match", condition)
            .json(&json!({ "name": "A." }))
    };
    assert_problem(&gateway.send(rename("\"0\"")).await, 412, "version_mismatch");
    assert_eq!(gateway.send(rename("*")).await.status(), 202);
}

#[tokio::test]
async fn key_belongs_to_its_user_and_has_bounds() {
    let gateway = gateway();
    let ada = gateway.user("ada@example.org").await;
    let bob = gateway.user("bob@example.org").await;
    gateway.send(place(&ada).header("idempotency-key", "k-1")).await;
    let adas = gateway.world.last().id;
    gateway.send(place(&bob).header("idempotency-key", "k-1")).await;
    assert_ne!(gateway.world.last().id, adas);
    for key in ["", "with space", &"x".repeat(256)] {
        let response = gateway.send(place(&ada).header("idempotency-key", key)).await;
        assert_problem(&response, 400, "invalid_request");
    }
}

#[tokio::test]
async fn unconfirmed_write_is_503_with_the_path_of_its_status() {
    let gateway = gateway();
    let token = gateway.user("ada@example.org").await;
    gateway.world.answers(Answer::Unwritten);
    let response = gateway.send(place(&token)).await;
    assert_problem(&response, 503, "not_written");
    assert!(header(&response, "location").starts_with("/v1/commands/"));
    assert_eq!(header(&response, "retry-after"), "2");
}

#[tokio::test(start_paused = true)]
async fn read_after_waits_for_the_version_or_says_how_stale_the_read_is() {
    let gateway = gateway();
    gateway.product("rye").await;
    let read = |after: &str| request("GET", "/v1/products").header("read-after", after);

    let held = gateway.send(read("stock/rye@1")).await;
    assert_eq!(header(&held, "read-after-satisfied"), "true");
    let stale = gateway.send(read("stock/rye@1, stock/rye@2")).await;
    assert_eq!((stale.status().as_u16(), header(&stale, "read-after-satisfied")), (200, "false"));
    assert_eq!(header(&stale, "read-after-held"), "stock/rye@1");
    for wrong in ["stock/rye", "stock/rye@x", "session/1@1", "rye@1"] {
        assert_problem(&gateway.send(read(wrong)).await, 400, "invalid_request");
    }
    assert_eq!(header(&gateway.get("/v1/products", None).await, "read-after-satisfied"), "");
}

#[tokio::test(start_paused = true)]
async fn read_after_of_an_anonymous_client_reads_once() {
    let gateway = gateway();
    gateway.product("rye").await;
    let token = gateway.user("ada@example.org").await;
    let read = async |token: Option<&str>| {
        let (begun, before) = (Instant::now(), gateway.world.inner().reads);
        let read = request("GET", "/v1/products").header("read-after", "stock/rye@2");
        let response = gateway.send(with(token, read)).await;
        assert_eq!(header(&response, "read-after-satisfied"), "false");
        (begun.elapsed().as_secs(), gateway.world.inner().reads - before)
    };
    // That of the version, and the list
    assert_eq!(read(None).await, (0, 2));
    let (seconds, reads) = read(Some(&token)).await;
    assert!(seconds == 2 && reads > 2, "{seconds} s, {reads} reads");
}

#[tokio::test(start_paused = true)]
async fn read_after_waits_no_longer_for_a_store_that_does_not_answer() {
    let gateway = gateway();
    let token = gateway.user("ada@example.org").await;
    gateway.world.inner().stores_stuck = true;
    let begun = Instant::now();
    let read = request("GET", "/v1/products").header("read-after", "stock/rye@1");
    assert_problem(&gateway.send(with(Some(&token), read)).await, 503, "unavailable");
    assert_eq!(begun.elapsed().as_secs(), 2);
}

#[tokio::test(start_paused = true)]
async fn read_after_of_another_users_aggregate_is_never_satisfied() {
    let gateway = gateway();
    let ada = gateway.user("ada@example.org").await;
    let bob = gateway.user("bob@example.org").await;
    gateway.send(place(&ada)).await;
    let after = format!("order/{}@1", gateway.world.last().key);
    let read =
        |token: &str| with(Some(token), request("GET", "/v1/orders")).header("read-after", &after);
    assert_eq!(header(&gateway.send(read(&ada)).await, "read-after-satisfied"), "true");
    let bobs = gateway.send(read(&bob)).await;
    assert_eq!(header(&bobs, "read-after-satisfied"), "false");
    assert!(header(&bobs, "read-after-held").ends_with("@0"));
}
