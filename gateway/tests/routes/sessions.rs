//! Log-in, refresh and log-out.

use gateway::{auth::Passwords, commands::Command};
use schemas::user::Command as User;
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::support::*;

#[tokio::test]
async fn log_in_issues_tokens_that_no_command_holds() {
    let gateway = gateway();
    gateway.user("ada@example.org").await;

    let body = json!({ "email": "ADA@example.org", "password": "correct horse" });
    let response = gateway.command("POST", "/v1/sessions", None, body).await;

    assert_eq!(response.status(), 200);
    assert_eq!(header(&response, "cache-control"), "no-store");
    let tokens = json(&response);
    assert_eq!((&tokens["token_type"], &tokens["expires_in"]), (&json!("Bearer"), &json!(600)));
    let written = gateway.world.last();
    let refresh = tokens["refresh_token"].as_str().unwrap();
    assert!(!format!("{written:?}").contains(refresh));
    assert!(!format!("{written:?}").contains("correct horse"));
    let Command::User(User::StartSession(command)) = written.command else { panic!("a session") };
    assert_eq!(command.credential_version, 1);
    let me = gateway.get("/v1/users/me", tokens["access_token"].as_str()).await;
    assert_eq!(json(&me)["name"], "Ada");
}

#[tokio::test]
async fn refreshed_token_tells_when_the_password_was_given() {
    let gateway = gateway();
    gateway.user("ada@example.org").await;
    let body = json!({ "email": "ada@example.org", "password": "correct horse" });
    let first = json(&gateway.command("POST", "/v1/sessions", None, body).await);
    let caller = |tokens: &Value| {
        let token = tokens["access_token"].as_str().unwrap().to_owned();
        gateway.state.tokens.verify(&token).unwrap()
    };
    assert!(caller(&first).is_recent());
    let refresh = async |tokens: &Value| {
        let body = json!({ "refresh_token": tokens["refresh_token"] });
        let response = gateway.command("POST", "/v1/sessions/refresh", None, body).await;
        assert_eq!(response.status(), 200, "{:?}", response.body());
        json(&response)
    };
    // While the session is not projected, the time is not known.
    let second = refresh(&first).await;
    assert_eq!(caller(&second).authenticated_s, None);
    let session = caller(&first).session_id;
    gateway.world.inner().sessions.insert(session, 1_700_000_000_500);
    let third = refresh(&second).await;
    assert_eq!(caller(&third).authenticated_s, Some(1_700_000_000));
    assert!(!caller(&third).is_recent());
}

#[tokio::test]
async fn wrong_password_and_unknown_address_get_the_same_problem() {
    let gateway = gateway();
    gateway.user("ada@example.org").await;
    let before = gateway.world.written();

    let wrong = json!({ "email": "ada@example.org", "password": "battery staple" });
    let wrong = gateway.command("POST", "/v1/sessions", None, wrong).await;
    let unknown = json!({ "email": "bob@example.org", "password": "battery staple" });
    let unknown = gateway.command("POST", "/v1/sessions", None, unknown).await;

    assert_problem(&wrong, 401, "wrong_credentials");
    assert_eq!(wrong.body(), unknown.body());
    assert!(header(&wrong, "www-authenticate").starts_with("Bearer"));
    assert_eq!(gateway.world.written(), before);
}

#[tokio::test]
async fn log_in_with_a_password_that_was_just_changed_is_401() {
    let gateway = gateway();
    gateway.user("ada@example.org").await;
    gateway.world.answers(Answer::Refuse("stale_credential"));
    let body = json!({ "email": "ada@example.org", "password": "correct horse" });
    assert_problem(
        &gateway.command("POST", "/v1/sessions", None, body).await,
        401,
        "wrong_credentials",
    );
}

#[tokio::test(start_paused = true)]
async fn log_in_without_an_outcome_in_time_is_503() {
    let gateway = gateway();
    gateway.user("ada@example.org").await;
    gateway.world.answers(Answer::Silence);
    let body = json!({ "email": "ada@example.org", "password": "correct horse" });
    let response = gateway.command("POST", "/v1/sessions", None, body).await;
    assert_problem(&response, 503, "unavailable");
    assert_eq!(header(&response, "retry-after"), "2");
}

#[tokio::test]
async fn log_in_replaces_an_outdated_hash() {
    let gateway = gateway();
    let token = gateway.user("ada@example.org").await;
    let strong =
        Passwords::new(1).unwrap().hash(&SecretString::from("correct horse")).await.unwrap();
    gateway.world.inner().credentials.get_mut(&gateway.user_of(&token)).unwrap().1.password_hash =
        strong;

    let body = json!({ "email": "ada@example.org", "password": "correct horse" });
    assert_eq!(gateway.command("POST", "/v1/sessions", None, body).await.status(), 200);

    let Command::User(User::RehashPassword(command)) = gateway.world.last().command else {
        panic!("a new hash")
    };
    assert!(command.password_hash.contains("m=16,t=1,p=1"));
}

#[tokio::test]
async fn repeated_refresh_gets_the_same_successor() {
    let gateway = gateway();
    gateway.user("ada@example.org").await;
    let body = json!({ "email": "ada@example.org", "password": "correct horse" });
    let first = json(&gateway.command("POST", "/v1/sessions", None, body).await);
    let body = json!({ "refresh_token": first["refresh_token"] });

    let once = json(&gateway.command("POST", "/v1/sessions/refresh", None, body.clone()).await);
    let twice = json(&gateway.command("POST", "/v1/sessions/refresh", None, body).await);

    assert_ne!(once["refresh_token"], first["refresh_token"]);
    assert_eq!(once["refresh_token"], twice["refresh_token"]);
    let Command::User(User::RefreshSession(command)) = gateway.world.last().command else {
        panic!("a refresh")
    };
    assert_eq!(command.generation, 0);
    assert_ne!(command.presented_hash, command.successor_hash);
}

#[tokio::test]
async fn refresh_without_its_store_is_503_and_does_not_use_the_token() {
    let gateway = gateway();
    gateway.user("ada@example.org").await;
    let body = json!({ "email": "ada@example.org", "password": "correct horse" });
    let first = json(&gateway.command("POST", "/v1/sessions", None, body).await);
    let before = gateway.world.written();
    let refresh = || {
        let body = json!({ "refresh_token": first["refresh_token"] });
        gateway.command("POST", "/v1/sessions/refresh", None, body)
    };
    gateway.world.inner().stores_down = true;
    assert_problem(&refresh().await, 503, "unavailable");
    assert_eq!(gateway.world.written(), before);
    gateway.world.inner().stores_down = false;
    assert_eq!(refresh().await.status(), 200);
}

#[tokio::test]
async fn repeated_key_gets_tokens_only_while_the_session_is_alive() {
    let gateway = gateway();
    gateway.user("ada@example.org").await;
    let send = |path: &str, body: &Value| {
        gateway.send(request("POST", path).header("idempotency-key", "k-1").json(body))
    };
    let log_in = json!({ "email": "ada@example.org", "password": "correct horse" });
    let first = json(&send("/v1/sessions", &log_in).await);
    let refresh = json!({ "refresh_token": first["refresh_token"] });
    assert_eq!(send("/v1/sessions/refresh", &refresh).await.status(), 200);

    // The session has ended.
    gateway.world.answers(Answer::Refuse("session_ended"));
    assert_problem(&send("/v1/sessions/refresh", &refresh).await, 401, "invalid_refresh_token");

    // Logging in again is another session.
    gateway.world.answers(Answer::Accept);
    let second = json(&send("/v1/sessions", &log_in).await);
    let session = |tokens: &Value| {
        gateway.state.tokens.verify(tokens["access_token"].as_str().unwrap()).unwrap().session_id
    };
    assert_ne!(session(&first), session(&second));

    // The password is another by now.
    gateway.world.answers(Answer::Refuse("stale_credential"));
    assert_problem(&send("/v1/sessions", &log_in).await, 401, "wrong_credentials");
}

#[tokio::test]
async fn forged_refresh_token_never_becomes_a_command() {
    let gateway = gateway();
    let body = json!({ "refresh_token": "bm9wZQ" });
    assert_problem(
        &gateway.command("POST", "/v1/sessions/refresh", None, body).await,
        401,
        "invalid_refresh_token",
    );
    assert_eq!(gateway.world.written(), 0);
}

#[tokio::test]
async fn refresh_of_a_reused_token_is_401_token_reused() {
    let gateway = gateway();
    gateway.user("ada@example.org").await;
    let body = json!({ "email": "ada@example.org", "password": "correct horse" });
    let first = json(&gateway.command("POST", "/v1/sessions", None, body).await);
    gateway.world.answers(Answer::Refuse("token_reused"));
    let body = json!({ "refresh_token": first["refresh_token"] });
    assert_problem(
        &gateway.command("POST", "/v1/sessions/refresh", None, body).await,
        401,
        "token_reused",
    );
}

#[tokio::test]
async fn log_out_ends_the_session_of_its_token() {
    let gateway = gateway();
    let token = gateway.user("ada@example.org").await;
    let session = gateway.state.tokens.verify(&token).unwrap().session_id;

    let response =
        gateway.send(with(Some(&token), request("DELETE", "/v1/sessions/current"))).await;

    assert_eq!(response.status(), 204);
    let Command::User(User::EndSession(command)) = gateway.world.last().command else {
        panic!("an end")
    };
    assert_eq!(command.session_id, session);
}
