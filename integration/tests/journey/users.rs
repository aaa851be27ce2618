//! People: addresses that one of them has, passwords that stop to work, sessions that end.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;

use crate::support::{Judge, PASSWORD, SEEN_MAX, Send, any, any_email, eventually, must, system};

#[tokio::test]
#[ignore = "needs the stack"]
async fn two_race_for_one_address_and_one_gets_it() {
    // Given an address that nobody has
    let system = system().await;
    let email = any_email("ada");

    // When ten people want it at once, each with a password of their own and however they spell it
    let register = |n: usize| {
        let visitor = system.visitor();
        let spelt = if n.is_multiple_of(2) { email.clone() } else { email.to_uppercase() };
        async move {
            visitor.register(&spelt, &format!("password number {n}"), "Ada").wait(20).answer().await
        }
    };
    let answers = join_all((0..10).map(register)).await;

    // Then one is registered, and the others are told that it is taken
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
async fn a_changed_password_ends_everything_that_the_old_one_began() {
    // Given a user
    let system = system().await;
    let ada = system.user("Ada").await;

    // When she changes her password
    let change = |current: &str, new: &str| {
        ada.client.put("/v1/users/me/password", &json!({ "current": current, "new": new })).wait(10)
    };
    change("not my password", "does not matter").answer().await.problem(403, "wrong_password");
    change(PASSWORD, "an entirely new one").answer().await.expect(200);

    // Then the old one does not work from now on, the new one does, and the session has ended
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

    // When its token is used twice, as by a client that has lost the answer
    let first = refresh(&ada.refresh_token).await;
    let again = refresh(&ada.refresh_token).await;

    // Then both times the same successor is given
    let successor = first.expect(200).string("refresh_token");
    assert_eq!(successor, again.expect(200).string("refresh_token"));
    assert_ne!(ada.refresh_token, successor);
    assert!(
        first.header("cache-control").is_some_and(|value| value.contains("no-store")),
        "{:?}",
        first.headers
    );

    // When the successor has been used and the first one comes back
    let third = refresh(&successor).await.expect(200).string("refresh_token");
    refresh(&ada.refresh_token).await.expect(401);

    // Then the whole family has ended
    eventually("the family has ended", SEEN_MAX, async || {
        must(refresh(&third).await.status == 401, "still good")
    })
    .await;
}

#[tokio::test]
#[ignore = "needs the stack"]
async fn who_logs_out_is_out() {
    let system = system().await;
    let ada = system.user("Ada").await;
    ada.client.log_out().answer().await.expect(204);
    system.visitor().refresh(&ada.refresh_token).answer().await.expect(401);
    // Other sessions go on.
    let elsewhere = system.log_in(&ada.email, PASSWORD).await;
    system.visitor().refresh(&elsewhere.refresh_token).answer().await.expect(200);
}

#[tokio::test]
#[ignore = "needs the stack"]
async fn a_repeated_key_gives_no_token_of_a_session_that_has_ended() {
    // Given a session that was begun and refreshed under a key
    let system = system().await;
    let ada = system.user("Ada").await;
    let (visitor, key) = (system.visitor(), any());
    let log_in = async || visitor.log_in(&ada.email, PASSWORD).key(&key).answer().await;
    let refresh = async |token: &str| visitor.refresh(token).key(&key).answer().await;
    let first = log_in().await.expect(200).string("refresh_token");
    let refreshed = refresh(&first).await;
    let access = refreshed.expect(200).string("access_token");

    // When it has ended, then the same request gives nothing any more
    system.visitor().with_token(access).log_out().answer().await.expect(204);
    refresh(&first).await.problem(401, "invalid_refresh_token");

    // And logging in again under the same key is another session, which lives
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
async fn an_address_can_be_changed_and_is_free_then() {
    // Given two users
    let system = system().await;
    let (ada, bob) = (system.user("Ada").await, system.user("Bob").await);
    let change = |email: &str, password: &str| {
        ada.client
            .put("/v1/users/me/email", &json!({ "email": email, "password": password }))
            .wait(10)
    };

    // When one wants the other's address, or does not know her password, then no
    change(&bob.email, PASSWORD).answer().await.problem(409, "address_taken");
    change(&any_email("ada"), "not my password").answer().await.problem(403, "wrong_password");

    // When she takes a new one, she logs in with it and no more with the old
    let new = any_email("ada");
    change(&new, PASSWORD).answer().await.expect(200);
    system.log_in(&new, PASSWORD).await;
    system.visitor().log_in(&ada.email, PASSWORD).answer().await.problem(401, "wrong_credentials");

    // And someone else can have the old one
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
async fn who_leaves_is_gone_and_the_address_is_free() {
    // Given a user
    let system = system().await;
    let ada = system.user("Ada").await;
    let leave = |password: &str| {
        ada.client
            .request(Method::DELETE, "/v1/users/me")
            .json(&json!({ "password": password }))
            .wait(10)
    };

    // When she leaves, which takes her password
    leave("not my password").answer().await.problem(403, "wrong_password");
    leave(PASSWORD).answer().await.expect(204);

    // Then she orders nothing with the token that she still has
    ada.client
        .place_order(&[("anything", 1)])
        .wait(10)
        .answer()
        .await
        .problem(401, "invalid_token");

    // And nothing of hers works any more, and the address can be taken by another
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
async fn guessing_a_password_takes_longer_and_longer() {
    // Given an account, and one that does not exist
    let system = system().await;
    let ada = system.user("Ada").await;
    for email in [ada.email, any_email("nobody")] {
        // When passwords are guessed
        let mut guesses = Vec::new();
        for _ in 0..8 {
            guesses.push(system.visitor().log_in(&email, &any()).answer().await);
        }

        // Then after a few it takes a wait, the same for both
        assert_eq!(401, guesses[0].status);
        let held = guesses.iter().find(|guess| guess.status == 429).expect("one was held back");
        let wait: u64 = held.header("retry-after").expect("a wait").parse().expect("seconds");
        assert!(Duration::from_secs(wait) >= Duration::from_secs(1));
    }
}
