//! Requests that wait for a result: notices spare them reads, and a lost one costs a poll.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use crate::support::*;

/// Places an order; returns the time that it took and the number of reads that it made.
async fn placed(notices: Notices) -> (Duration, usize, Gateway) {
    let gateway = gateway();
    let token = gateway.user("ada@example.org").await;
    let before = {
        let mut inner = gateway.world.inner();
        inner.notices = notices;
        inner.reads
    };
    let begun = Instant::now();
    let body = json!({ "lines": [{ "sku": "rye", "quantity": 1 }] });
    let response = gateway.command("POST", "/v1/orders", Some(&token), body).await;
    assert_eq!(response.status(), 201, "{:?}", response.body());
    let reads = gateway.world.inner().reads - before;
    (begun.elapsed(), reads, gateway)
}

fn waits(gateway: &Gateway, waited_for: &str, ended_by: &str) -> u64 {
    gateway.state.metrics.waits.with_label_values(&[waited_for, ended_by]).get()
}

#[tokio::test(start_paused = true)]
async fn notified_order_reads_only_its_user_and_itself() {
    let (took, reads, gateway) = placed(Notices::All).await;
    assert_eq!(reads, 2, "whether the user is active, and the order");
    assert!(took < Duration::from_millis(10), "{took:?}");
    assert_eq!(waits(&gateway, "view", "notice"), 1);
}

#[tokio::test(start_paused = true)]
async fn lost_notice_of_an_outcome_costs_a_poll() {
    let (took, _, gateway) = placed(Notices::None).await;
    assert!((250..300).contains(&took.as_millis()), "{took:?}");
    assert_eq!(waits(&gateway, "outcome", "poll"), 1);
}

#[tokio::test(start_paused = true)]
async fn lost_notice_of_a_read_model_costs_a_poll() {
    let (took, _, gateway) = placed(Notices::LostViews).await;
    assert!((25..50).contains(&took.as_millis()), "{took:?}");
    assert_eq!(waits(&gateway, "view", "poll"), 1);
}

#[tokio::test(start_paused = true)]
async fn read_model_without_notices_is_asked_at_once() {
    let (took, reads, _) = placed(Notices::Outcomes).await;
    assert_eq!(reads, 3, "the version too");
    assert!(took < Duration::from_millis(10), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn order_that_is_not_projected_in_time_is_202() {
    let gateway = gateway();
    let token = gateway.user("ada@example.org").await;
    gateway.world.inner().notices = Notices::All;
    gateway.world.answers(Answer::Lag);
    let begun = Instant::now();
    let body = json!({ "lines": [{ "sku": "rye", "quantity": 1 }] });
    let response = gateway.command("POST", "/v1/orders", Some(&token), body).await;
    assert_eq!(response.status(), 202);
    assert_eq!(json(&response)["state"], "accepted");
    assert!((5_000..5_100).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
    assert_eq!(waits(&gateway, "view", "deadline"), 1);
}

#[tokio::test(start_paused = true)]
async fn refusal_of_a_version_that_is_held_waits_for_no_notice() {
    let gateway = gateway();
    let token = gateway.user("ada@example.org").await;
    // No notice comes of a version that was announced before.
    gateway.world.inner().notices = Notices::LostViews;
    gateway.world.answers(Answer::Refuse("not_found"));
    let begun = Instant::now();
    let body = json!({ "name": "Ada L." });
    let response = gateway.command("PATCH", "/v1/users/me", Some(&token), body).await;
    assert_problem(&response, 404, "not_found");
    assert!(begun.elapsed() < Duration::from_millis(10), "{:?}", begun.elapsed());
    assert_eq!(waits(&gateway, "view", "held"), 1);
}
