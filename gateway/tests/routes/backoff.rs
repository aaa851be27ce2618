//! Wrong passwords: each client is delayed at an account, and no client can lock its owner out.

use std::{net::IpAddr, time::Duration};

use serde_json::{Value, json};
use tokio::time::timeout;
use warp::{http::Response, hyper::body::Bytes};

use crate::support::*;

fn log_in(password: &str) -> Value {
    json!({ "email": "ada@example.org", "password": password })
}

impl Gateway {
    /// Tries a password of Ada's account from an address.
    async fn tried(&self, client: IpAddr, password: &str) -> Response<Bytes> {
        self.send_from(client, request("POST", "/v1/sessions").json(&log_in(password))).await
    }
}

fn elsewhere(host: u8) -> IpAddr {
    IpAddr::from([198, 51, 100, host])
}

#[tokio::test]
async fn log_in_after_five_wrong_passwords_is_delayed() {
    let gateway = gateway();
    gateway.user("ada@example.org").await;
    let guess = || json!({ "email": "ada@example.org", "password": "battery staple" });
    for _ in 0..5 {
        assert_problem(
            &gateway.command("POST", "/v1/sessions", None, guess()).await,
            401,
            "wrong_credentials",
        );
    }

    let right = json!({ "email": "ada@example.org", "password": "correct horse" });
    let response = gateway.command("POST", "/v1/sessions", None, right.clone()).await;

    assert_problem(&response, 429, "too_many_attempts");
    assert_eq!(header(&response, "retry-after"), "1");
    // Without Redis there is no delay.
    gateway.world.inner().counters_down = true;
    assert_eq!(gateway.command("POST", "/v1/sessions", None, right).await.status(), 200);
}

#[tokio::test]
async fn password_that_could_not_be_compared_does_not_count_as_wrong() {
    let gateway = gateway();
    let token = gateway.user("ada@example.org").await;
    let ada = gateway.user_of(&token);
    let log_in = |password: &str| {
        let body = json!({ "email": "ada@example.org", "password": password });
        gateway.command("POST", "/v1/sessions", None, body)
    };
    let change_hash = |hash: String| {
        let mut inner = gateway.world.inner();
        let (_, credential) = inner.credentials.get_mut(&ada).unwrap();
        std::mem::replace(&mut credential.password_hash, hash)
    };
    for _ in 0..4 {
        assert_problem(&log_in("battery staple").await, 401, "wrong_credentials");
    }
    let hash = change_hash("no hash".to_owned());
    for _ in 0..10 {
        assert_problem(&log_in("correct horse").await, 500, "internal");
    }
    // The wrong ones before still count, and the next one begins the delay.
    change_hash(hash);
    assert_problem(&log_in("battery staple").await, 401, "wrong_credentials");
    assert_problem(&log_in("correct horse").await, 429, "too_many_attempts");
}

#[tokio::test]
async fn passwords_that_are_guessed_at_once_do_not_pass_the_delay_together() {
    let gateway = gateway();
    gateway.user("ada@example.org").await;
    let guess = || {
        let body = json!({ "email": "ada@example.org", "password": "battery staple" });
        gateway.command("POST", "/v1/sessions", None, body)
    };
    let answers = futures_util::future::join_all((0..20).map(|_| guess())).await;
    let with = |status| answers.iter().filter(|answer| answer.status() == status).count();
    assert_eq!((with(401), with(429)), (5, 15));
}

#[tokio::test]
async fn wrong_passwords_of_a_log_in_and_of_a_change_count_together() {
    let gateway = gateway();
    let ada = gateway.user("ada@example.org").await;
    for _ in 0..5 {
        let body = json!({ "email": "ada@example.org", "password": "battery staple" });
        gateway.command("POST", "/v1/sessions", None, body).await;
    }
    let body = json!({ "current": "correct horse", "new": "a new password" });
    let response = gateway.command("PUT", "/v1/users/me/password", Some(&ada), body).await;
    assert_problem(&response, 429, "too_many_attempts");
}

#[tokio::test]
async fn guesses_of_another_client_do_not_delay_the_owner() {
    let gateway = gateway();
    gateway.user("ada@example.org").await;
    for number in 0..20 {
        let guessed = gateway.tried(elsewhere(1), "battery staple").await;
        assert_eq!(guessed.status(), if number < 5 { 401 } else { 429 });
    }
    assert_eq!(gateway.tried(CLIENT, "correct horse").await.status(), 200);
    // An address that was never seen before is not delayed either.
    assert_eq!(gateway.tried(elsewhere(2), "correct horse").await.status(), 200);
    assert_problem(&gateway.tried(elsewhere(1), "x").await, 429, "too_many_attempts");
}

#[tokio::test]
async fn guesses_of_many_clients_delay_those_who_are_not_known_and_not_for_long() {
    let gateway = gateway();
    gateway.user("ada@example.org").await;
    // Given the owner, who has logged in from one address
    for host in 1..=60 {
        let guessed = gateway.tried(elsewhere(host), "battery staple").await;
        assert_eq!(guessed.status(), if host <= 50 { 401 } else { 429 }, "{host}");
    }
    let delayed = gateway.tried(elsewhere(99), "correct horse").await;
    assert_problem(&delayed, 429, "too_many_attempts");
    assert_eq!(header(&delayed, "retry-after"), "1");
    assert_eq!(gateway.tried(CLIENT, "correct horse").await.status(), 200);
    // The owner's log-in gives nobody further guesses, and the delay stays short.
    let delays = |seconds: u64| {
        let mut inner = gateway.world.inner();
        let delays = inner.counts.iter_mut().filter(|(key, _)| key.contains(":hold:"));
        let longest = delays.map(|(_, (_, left))| *left).max();
        assert_eq!(longest, Some(Duration::from_secs(seconds)));
        inner.counts.retain(|key, _| !key.contains(":hold:"));
    };
    for (host, seconds) in [(101, 1), (102, 2), (103, 4), (104, 5), (105, 5)] {
        delays(seconds);
        if host < 105 {
            let guessed = gateway.tried(elsewhere(host), "battery staple").await;
            assert_eq!(guessed.status(), 401, "{host}");
        }
    }
}

#[tokio::test]
async fn attempt_that_is_cut_off_is_taken_back() {
    let gateway = gateway();
    let counts = |what: &str| {
        let inner = gateway.world.inner();
        let of = inner.counts.iter().filter(|(key, _)| key.contains(what));
        of.map(|(_, (count, _))| *count).collect::<Vec<_>>()
    };
    for _ in 0..4 {
        let attempt = gateway.state.backoff.begin("ada", CLIENT).await.unwrap();
        attempt.record_mismatch();
    }
    // Given an attempt that begins a delay
    let attempt = gateway.state.backoff.begin("ada", CLIENT).await.unwrap();
    assert_eq!((counts(":wrong:"), counts(":hold:")), (vec![5, 5], vec![1]));

    drop(attempt);

    let taken_back = async {
        while (counts(":wrong:"), counts(":hold:")) != (vec![4, 4], vec![]) {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(10), taken_back).await.expect("it is taken back");
}
