//! Wrong passwords: each client is delayed at an account, and its first attempt never for others.

use std::{net::IpAddr, time::Duration};

use futures_util::FutureExt as _;
use gateway::auth::Attempt;
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

impl Gateway {
    /// The times that are left of all delays, which then end.
    fn end_delays(&self) -> Vec<u64> {
        let holds = |key: &String| key.contains(":hold:");
        let mut inner = self.world.inner();
        let ended = inner.claims.extract_if(|key, _| holds(key));
        ended.map(|(_, (_, left))| left.as_secs()).collect()
    }

    /// The counts of attempts, and how many delays there are.
    fn counted(&self) -> (Vec<u64>, usize) {
        let inner = self.world.inner();
        let counts = inner.counts.iter().filter(|(key, _)| key.contains(":wrong:"));
        let holds = inner.claims.keys().filter(|key| key.contains(":hold:"));
        (counts.map(|(_, (count, _))| *count).collect(), holds.count())
    }

    /// Waits until this is counted.
    async fn counts(&self, expected: (Vec<u64>, usize)) {
        let counted = async {
            while self.counted() != expected {
                tokio::task::yield_now().await;
            }
        };
        let counted = timeout(Duration::from_secs(10), counted).await;
        counted.unwrap_or_else(|_| panic!("{:?} instead of {expected:?}", self.counted()));
    }

    async fn begin(&self) -> Attempt {
        self.state.backoff.begin("ada", CLIENT).await.unwrap()
    }
}

#[tokio::test]
async fn first_attempt_of_a_client_is_not_delayed_by_guesses_of_many_others() {
    let gateway = gateway();
    gateway.user("ada@example.org").await;
    for host in 1..=60 {
        let guessed = gateway.tried(elsewhere(host), "battery staple").await;
        assert_eq!(guessed.status(), 401, "{host}");
    }
    // A client that guesses again begins the delay of all who do so.
    assert_eq!(gateway.tried(elsewhere(1), "battery staple").await.status(), 401);
    for host in 1..=60 {
        let delayed = gateway.tried(elsewhere(host), "battery staple").await;
        assert_problem(&delayed, 429, "too_many_attempts");
        assert_eq!(header(&delayed, "retry-after"), "5", "{host}");
    }
    assert_eq!(gateway.tried(elsewhere(99), "correct horse").await.status(), 200);
    // The owner's log-in gives the others no further guesses.
    assert_eq!(gateway.tried(elsewhere(2), "correct horse").await.status(), 429);
    // Attempts of a new client at the same time are not all its first one.
    let guesses = (0..4).map(|_| gateway.tried(elsewhere(97), "battery staple"));
    let answers = futures_util::future::join_all(guesses).await;
    let with = |status| answers.iter().filter(|answer| answer.status() == status).count();
    assert_eq!((with(401), with(429)), (1, 3));
}

#[tokio::test]
async fn delay_of_all_clients_grows_and_stays_short() {
    let gateway = gateway();
    gateway.user("ada@example.org").await;
    for host in 1..=49 {
        gateway.tried(elsewhere(host), "battery staple").await;
    }
    for (host, delay) in [(1, 1), (2, 2), (3, 4), (4, 5), (5, 5)] {
        let guessed = gateway.tried(elsewhere(host), "battery staple").await;
        assert_eq!(guessed.status(), 401, "{host}");
        assert_eq!(gateway.end_delays(), [delay], "{host}");
    }
}

#[tokio::test]
async fn attempt_that_is_cut_off_is_taken_back() {
    let gateway = gateway();
    for _ in 0..4 {
        gateway.begin().await.record_mismatch();
    }
    // Given an attempt that begins a delay
    let attempt = gateway.begin().await;
    assert_eq!(gateway.counted(), (vec![5, 5], 1));

    drop(attempt);

    gateway.counts((vec![4, 4], 0)).await;
}

#[tokio::test]
async fn attempt_is_taken_back_though_the_request_is_cut_off_meanwhile() {
    let gateway = gateway();
    gateway.begin().await.record_mismatch();

    let attempt = gateway.begin().await;
    assert_eq!(gateway.counted(), (vec![2, 2], 0));
    assert!(attempt.withdraw().now_or_never().is_none(), "it was not cut off");
    gateway.counts((vec![1, 1], 0)).await;

    // The attempts of a client that gives the right password are forgotten at its address.
    let attempt = gateway.begin().await;
    assert!(attempt.record_match().now_or_never().is_none(), "it was not cut off");
    gateway.counts((vec![1], 0)).await;
}

#[test]
fn attempt_that_ends_with_its_runtime_begins_no_task() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let gateway = runtime.block_on(async {
        let gateway = gateway();
        let attempt = gateway.begin().await;
        tokio::spawn(async move {
            std::future::pending::<()>().await;
            drop(attempt);
        });
        gateway
    });
    drop(runtime);
    assert_eq!(gateway.counted(), (vec![1, 1], 0));
}

#[tokio::test]
async fn attempt_that_is_taken_back_leaves_the_delay_of_another_one() {
    let gateway = gateway();
    for _ in 0..4 {
        gateway.begin().await.record_mismatch();
    }
    let slow = gateway.begin().await;
    assert_eq!(gateway.end_delays(), [1]);
    gateway.begin().await.record_mismatch();
    assert_eq!(gateway.counted(), (vec![6, 6], 1));

    slow.withdraw().await;

    assert_eq!(gateway.counted(), (vec![5, 5], 1));
}

#[tokio::test]
async fn attempts_that_are_all_taken_back_leave_nothing() {
    let gateway = gateway();
    gateway.begin().await.withdraw().await;
    assert_eq!(gateway.counted(), (vec![], 0));
}
