//! Users: unique addresses, changed passwords, and sessions that end.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;

use crate::support::{Judge, PASSWORD, SEEN_MAX, Send, any, any_email, eventually, must, system};

#[tokio::test]
#[ignore = "needs the stack"]
async fn one_of_several_concurrent_registrations_gets_the_address() {
    // Given an address that is free
    let system = system().await;
    let email = any_email("ada");

    // When ten clients register it at once, with different passwords and spellings
    let register = |n: usize| {
        let visitor = system.visitor();
        let spelt = if n.is_multiple_of(2) { email.clone() } else { email.to_uppercase() };
        async move {
            visitor.register(&spelt, &format!("password number {n}"), "Ada").wait(20).answer().await
        }
    };
    let answers = join_all((0..10).map(register)).await;

    // Then one is registered, and the others get the answer that it is taken
    let winners: Vec<_> = (0..10).filter(|n| answers[*n].status == 201).collect();
    assert_eq!(
        1,
        winners.len(),
        "{:?}",
        answers.iter().map(|answer| answer.status).collect::<Vec<_>>()
    );
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        answer.problem(409, "address_taken");
    }

    // And only the winner's password works
    let log_in = async |n: usize| {
        system.visitor().log_in(&email, &format!("password number {n}")).answer().await
    };
    log_in(winners[0]).await.expect(200);
    log_in((winners[0] + 1) % 10).await.problem(401, "wrong_credentials");
}

#[tokio::test]
#[ignore = "needs the stack"]
async fn changed_password_ends_all_sessions() {
    // Given a user
    let system = system().await;
    let ada = system.user("Ada").await;

    // When she changes her password
    let change = |current: &str, new: &str| {
        ada.client.put("/v1/users/me/password", &json!({ "current": current, "new": new })).wait(10)
    };
    change("not my password", "does not matter").answer().await.problem(403, "wrong_password");
    change(PASSWORD, "an entirely new one").answer().await.expect(200);

    // Then the old one no longer works, the new one does, and the session has ended
    system.visitor().log_in(&ada.email, PASSWORD).answer().await.problem(401, "wrong_credentials");
    system.log_in(&ada.email, "an entirely new one").await;
    system.visitor().refresh(&ada.refresh_token).answer().await.expect(401);
}

#[tokio::test]
#[ignore = "needs the stack"]
async fn a_refresh_token_is_good_once_and_its_reuse_ends_the_session() {
    // Given a session
    let system = system().await;
    let ada = system.user("Ada").await;
    let visitor = system.visitor();
    let refresh = async |token: &str| visitor.refresh(token).answer().await;

    // When its token is used twice, as by a client that has not got the answer
    let first = refresh(&ada.refresh_token).await;
    let again = refresh(&ada.refresh_token).await;

    // Then both answers have the same successor
    let successor = first.expect(200).string("refresh_token");
    assert_eq!(successor, again.expect(200).string("refresh_token"));
    assert_ne!(ada.refresh_token, successor);
    assert!(
        first.header("cache-control").is_some_and(|value| value.contains("no-store")),
        "{:?}",
        first.headers
    );

    // When the successor has been used and the first token is used again
    let third = refresh(&successor).await.expect(200).string("refresh_token");
    refresh(&ada.refresh_token).await.expect(401);

    // Then the session has ended
    eventually("the session has ended", SEEN_MAX, async || {
        must(refresh(&third).await.status == 401, "still good")
    })
    .await;
}

#[tokio::test]
#[ignore = "needs the stack"]
async fn log_out_ends_the_session() {
    let system = system().await;
    let ada = system.user("Ada").await;
    ada.client.log_out().answer().await.expect(204);
    system.visitor().refresh(&ada.refresh_token).answer().await.expect(401);
    // Other sessions continue.
    let elsewhere = system.log_in(&ada.email, PASSWORD).await;
    system.visitor().refresh(&elsewhere.refresh_token).answer().await.expect(200);
}

#[tokio::test]
#[ignore = "needs the stack"]
async fn a_repeated_key_gives_no_token_of_a_session_that_has_ended() {
    // Given a session that was started and refreshed under a key
    let system = system().await;
    let ada = system.user("Ada").await;
    let (visitor, key) = (system.visitor(), any());
    let log_in = async || visitor.log_in(&ada.email, PASSWORD).key(&key).answer().await;
    let refresh = async |token: &str| visitor.refresh(token).key(&key).answer().await;
    let first = log_in().await.expect(200).string("refresh_token");
    let refreshed = refresh(&first).await;
    let access = refreshed.expect(200).string("access_token");

    // When it has ended, then the same request returns no token
    system.visitor().with_token(access).log_out().answer().await.expect(204);
    refresh(&first).await.problem(401, "invalid_refresh_token");

    // And a new log-in under the same key starts another session
    let second = log_in().await.expect(200).string("refresh_token");
    refresh(&second).await.expect(200);

    // When the password has been changed, then neither request gives a token
    let change = json!({ "current": PASSWORD, "new": "an entirely new one" });
    ada.client.put("/v1/users/me/password", &change).wait(10).answer().await.expect(200);
    refresh(&second).await.problem(401, "invalid_refresh_token");
    log_in().await.problem(401, "wrong_credentials");
}

#[tokio::test]
#[ignore = "needs the stack"]
async fn changed_address_frees_the_old_one() {
    // Given two users
    let system = system().await;
    let (ada, bob) = (system.user("Ada").await, system.user("Bob").await);
    let change = |email: &str, password: &str| {
        ada.client
            .put("/v1/users/me/email", &json!({ "email": email, "password": password }))
            .wait(10)
    };

    // When one asks for the other's address, or with a wrong password, then it is refused
    change(&bob.email, PASSWORD).answer().await.problem(409, "address_taken");
    change(&any_email("ada"), "not my password").answer().await.problem(403, "wrong_password");

    // When she changes to a new one, she can log in with it and no longer with the old one
    let new = any_email("ada");
    change(&new, PASSWORD).answer().await.expect(200);
    system.log_in(&new, PASSWORD).await;
    system.visitor().log_in(&ada.email, PASSWORD).answer().await.problem(401, "wrong_credentials");

    // And another user can register the old one
    eventually("the old address is free", SEEN_MAX, async || {
        system
            .visitor()
            .register(&ada.email, PASSWORD, "Eve")
            .wait(10)
            .answer()
            .await
            .expect_code(201)
            .map(drop)
    })
    .await;
}

#[tokio::test]
#[ignore = "needs the stack"]
async fn deactivated_user_can_do_nothing_and_the_address_is_free() {
    // Given a user
    let system = system().await;
    let ada = system.user("Ada").await;
    let leave = |password: &str| {
        ada.client
            .request(Method::DELETE, "/v1/users/me")
            .json(&json!({ "password": password }))
            .wait(10)
    };

    // When she deactivates her account, which needs her password
    leave("not my password").answer().await.problem(403, "wrong_password");
    leave(PASSWORD).answer().await.expect(204);

    // Then an order with her old token is refused
    ada.client
        .place_order(&[("anything", 1)])
        .wait(10)
        .answer()
        .await
        .problem(401, "invalid_token");

    // And her log-in no longer works, and another user can register the address
    system.visitor().log_in(&ada.email, PASSWORD).answer().await.problem(401, "wrong_credentials");
    system.visitor().refresh(&ada.refresh_token).answer().await.expect(401);
    eventually("the address is free", SEEN_MAX, async || {
        system
            .visitor()
            .register(&ada.email, PASSWORD, "Eve")
            .wait(10)
            .answer()
            .await
            .expect_code(201)
            .map(drop)
    })
    .await;
    system.log_in(&ada.email, PASSWORD).await;
}

#[tokio::test]
#[ignore = "needs the stack"]
async fn guessing_a_password_needs_growing_waits() {
    // Given an account, and one that does not exist
    let system = system().await;
    let ada = system.user("Ada").await;
    for email in [ada.email.clone(), any_email("nobody")] {
        // When somebody guesses passwords
        let (guesser, mut guesses) = (system.visitor(), Vec::new());
        for _ in 0..8 {
            guesses.push(guesser.log_in(&email, &any()).answer().await);
        }

        // Then after a few attempts a wait is needed, the same for both
        assert_eq!(401, guesses[0].status);
        let held = guesses.iter().find(|guess| guess.status == 429).expect("one was held back");
        let wait: u64 = held.header("retry-after").expect("a wait").parse().expect("seconds");
        assert!(Duration::from_secs(wait) >= Duration::from_secs(1));
    }
    // And she is not held back elsewhere
    system.log_in(&ada.email, PASSWORD).await;
}
