//! Registering, logging in and out, and one's own account.

use schemas::user::{Command as User, Role as Granted};
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::support::*;
use gateway::{auth::Passwords, commands::Command};

fn registration() -> Value {
    json!({ "email": " Ada@Example.org ", "password": "correct horse", "name": "Ada" })
}

#[tokio::test]
async fn registering_answers_with_the_new_user() {
    let gateway = gateway();

    let response = gateway.command("POST", "/v1/users", None, registration()).await;

    assert_eq!(response.status(), 201);
    assert_eq!(header(&response, "location"), "/v1/users/me");
    assert_eq!(header(&response, "preference-applied"), "wait=5");
    assert!(header(&response, "etag").starts_with("\"1-"), "{response:?}");
    assert_eq!(header(&response, "cache-control"), "no-store");
    let body = json(&response);
    assert_eq!(body["email"], "ada@example.org");
    assert!(!body.to_string().contains("argon2"));
    let Command::User(User::RegisterUser(command)) = gateway.world.last().command else {
        panic!("a registration")
    };
    assert!(command.password_hash.starts_with("$argon2id$v=19$"));
    assert_eq!(command.role, Granted::User);
    assert_eq!(command.user_id.to_string(), gateway.world.last().key);
    assert!(!command.email_fingerprint.contains("ada"));
}

#[tokio::test]
async fn a_taken_address_is_a_conflict() {
    let gateway = gateway();
    gateway.world.answers(Answer::Refuse("address_taken"));
    assert_problem(
        &gateway.command("POST", "/v1/users", None, registration()).await,
        409,
        "address_taken",
    );
}

#[tokio::test]
async fn what_can_not_be_registered_never_becomes_a_command() {
    let gateway = gateway();
    for (field, value) in
        [("email", "nobody"), ("password", "short"), ("password", &"x".repeat(129)), ("name", "")]
    {
        let mut body = registration();
        body[field] = json!(value);
        let response = gateway.command("POST", "/v1/users", None, body).await;
        assert_problem(&response, 400, "invalid_request");
        assert_eq!(json(&response)["field"], field);
    }
    assert_eq!(gateway.world.written(), 0);
}

#[tokio::test]
async fn logging_in_gives_tokens_that_nobody_keeps() {
    let gateway = gateway();
    gateway.someone("ada@example.org").await;

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
async fn a_wrong_password_and_an_unknown_address_look_the_same() {
    let gateway = gateway();
    gateway.someone("ada@example.org").await;
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
async fn a_password_that_was_changed_meanwhile_is_wrong() {
    let gateway = gateway();
    gateway.someone("ada@example.org").await;
    gateway.world.answers(Answer::Refuse("stale_credential"));
    let body = json!({ "email": "ada@example.org", "password": "correct horse" });
    assert_problem(
        &gateway.command("POST", "/v1/sessions", None, body).await,
        401,
        "wrong_credentials",
    );
}

#[tokio::test(start_paused = true)]
async fn a_log_in_without_an_outcome_gives_no_token() {
    let gateway = gateway();
    gateway.someone("ada@example.org").await;
    gateway.world.answers(Answer::Silence);
    let body = json!({ "email": "ada@example.org", "password": "correct horse" });
    let response = gateway.command("POST", "/v1/sessions", None, body).await;
    assert_problem(&response, 503, "unavailable");
    assert_eq!(header(&response, "retry-after"), "2");
}

#[tokio::test]
async fn guessing_costs_more_and_more() {
    let gateway = gateway();
    gateway.someone("ada@example.org").await;
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
    // Without Redis nobody is held up.
    gateway.world.inner().counters_down = true;
    assert_eq!(gateway.command("POST", "/v1/sessions", None, right).await.status(), 200);
}

#[tokio::test]
async fn an_old_hash_is_made_anew_at_log_in() {
    let gateway = gateway();
    let token = gateway.someone("ada@example.org").await;
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
async fn a_refresh_gives_the_successor_and_a_repeat_the_same() {
    let gateway = gateway();
    gateway.someone("ada@example.org").await;
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
async fn under_a_repeated_key_too_a_token_is_given_only_if_the_session_lives() {
    let gateway = gateway();
    gateway.someone("ada@example.org").await;
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
        gateway.state.tokens.check(tokens["access_token"].as_str().unwrap()).unwrap().session_id
    };
    assert_ne!(session(&first), session(&second));

    // The password is another by now.
    gateway.world.answers(Answer::Refuse("stale_credential"));
    assert_problem(&send("/v1/sessions", &log_in).await, 401, "wrong_credentials");
}

#[tokio::test]
async fn a_refresh_token_that_is_not_ours_never_becomes_a_command() {
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
async fn a_reused_token_is_called_so() {
    let gateway = gateway();
    gateway.someone("ada@example.org").await;
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
async fn logging_out_ends_this_session() {
    let gateway = gateway();
    let token = gateway.someone("ada@example.org").await;
    let session = gateway.state.tokens.check(&token).unwrap().session_id;

    let response =
        gateway.send(with(Some(&token), request("DELETE", "/v1/sessions/current"))).await;

    assert_eq!(response.status(), 204);
    let Command::User(User::EndSession(command)) = gateway.world.last().command else {
        panic!("an end")
    };
    assert_eq!(command.session_id, session);
}

#[tokio::test]
async fn one_s_own_account_can_be_read_and_changed() {
    let gateway = gateway();
    let token = gateway.someone("ada@example.org").await;
    let token = Some(token.as_str());

    let renamed =
        gateway.command("PATCH", "/v1/users/me", token, json!({ "name": "Ada L." })).await;
    assert_eq!((renamed.status().as_u16(), json(&renamed)["name"].as_str()), (200, Some("Ada L.")));
    let email = json!({ "email": "lovelace@example.org", "password": "correct horse" });
    let moved = gateway.command("PUT", "/v1/users/me/email", token, email).await;
    assert_eq!(json(&moved)["email"], "lovelace@example.org");
    let password = json!({ "current": "correct horse", "new": "battery staple" });
    assert_eq!(
        gateway.command("PUT", "/v1/users/me/password", token, password).await.status(),
        200
    );

    let me = gateway.get("/v1/users/me", token).await;
    assert_eq!(json(&me)["name"], "Ada L.");
    let gone = gateway
        .command("DELETE", "/v1/users/me", token, json!({ "password": "battery staple" }))
        .await;
    assert_eq!(gone.status(), 204);
    assert_problem(&gateway.get("/v1/users/me", token).await, 404, "not_found");
}

#[tokio::test]
async fn what_gives_an_account_away_needs_the_password() {
    let gateway = gateway();
    let token = gateway.someone("ada@example.org").await;
    let before = gateway.world.written();
    for (method, path, body) in [
        ("DELETE", "/v1/users/me", json!({ "password": "wrong" })),
        ("PUT", "/v1/users/me/email", json!({ "email": "b@example.org", "password": "wrong" })),
        ("PUT", "/v1/users/me/password", json!({ "current": "wrong", "new": "battery staple" })),
    ] {
        assert_problem(
            &gateway.command(method, path, Some(&token), body).await,
            403,
            "wrong_password",
        );
    }
    assert_eq!(gateway.world.written(), before);
}

#[tokio::test]
async fn a_repeated_change_of_password_is_answered_again() {
    let gateway = gateway();
    let token = gateway.someone("ada@example.org").await;
    let change = || {
        let body = json!({ "current": "correct horse", "new": "battery staple" });
        with(Some(&token), request("PUT", "/v1/users/me/password"))
            .header("prefer", "wait=5")
            .header("idempotency-key", "change-1")
            .json(&body)
    };
    assert_eq!(gateway.send(change()).await.status(), 200);
    let before = gateway.world.written();

    // The current password is another by now; the repeat is still the same request.
    assert_eq!(gateway.send(change()).await.status(), 200);
    assert_eq!(gateway.world.written(), before);
}

#[tokio::test]
async fn without_a_good_token_nothing_of_one_s_own_is_there() {
    let gateway = gateway();
    for (method, path) in [
        ("GET", "/v1/users/me"),
        ("PATCH", "/v1/users/me"),
        ("DELETE", "/v1/users/me"),
        ("PUT", "/v1/users/me/email"),
        ("PUT", "/v1/users/me/password"),
        ("DELETE", "/v1/sessions/current"),
        ("POST", "/v1/products"),
        ("POST", "/v1/products/x/stock"),
        ("GET", "/v1/orders"),
        ("POST", "/v1/orders"),
        ("GET", "/v1/orders/x"),
        ("GET", "/v1/orders/x/history"),
        ("POST", "/v1/orders/x/cancel"),
        ("GET", "/v1/notifications"),
        ("POST", "/v1/notifications/x/read"),
        ("GET", "/v1/stream"),
    ] {
        assert_problem(&gateway.send(request(method, path)).await, 401, "unauthorized");
        assert_problem(
            &gateway.send(with(Some("a.b.c"), request(method, path))).await,
            401,
            "invalid_token",
        );
    }
    let basic = request("GET", "/v1/users/me").header("authorization", "Basic YTpi");
    assert_problem(&gateway.send(basic).await, 401, "unauthorized");
}
