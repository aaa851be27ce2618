//! Registration and a user's own account.

use gateway::commands::Command;
use schemas::user::{Command as User, Role as Granted};
use serde_json::{Value, json};

use crate::support::*;

fn registration() -> Value {
    json!({ "email": " Ada@Example.org ", "password": "correct horse", "name": "Ada" })
}

#[tokio::test]
async fn registration_returns_the_new_user() {
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
async fn registration_of_a_taken_address_is_409() {
    let gateway = gateway();
    gateway.world.answers(Answer::Refuse("address_taken"));
    assert_problem(
        &gateway.command("POST", "/v1/users", None, registration()).await,
        409,
        "address_taken",
    );
}

#[tokio::test]
async fn invalid_registration_never_becomes_a_command() {
    let gateway = gateway();
    for (field, value) in [
        ("email", "nobody"),
        ("email", "ada@example"),
        ("password", "short"),
        ("password", &"x".repeat(129)),
        ("name", ""),
    ] {
        let mut body = registration();
        body[field] = json!(value);
        let response = gateway.command("POST", "/v1/users", None, body).await;
        assert_problem(&response, 400, "invalid_request");
        assert_eq!(json(&response)["field"], field);
    }
    assert_eq!(gateway.world.written(), 0);
}

#[tokio::test]
async fn user_reads_and_changes_their_account() {
    let gateway = gateway();
    let token = gateway.user("ada@example.org").await;
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
async fn change_of_email_password_or_activity_needs_the_password() {
    let gateway = gateway();
    let token = gateway.user("ada@example.org").await;
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
async fn repeated_change_of_password_gets_the_same_answer() {
    let gateway = gateway();
    let token = gateway.user("ada@example.org").await;
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
async fn request_without_a_valid_token_is_401() {
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
        ("GET", "/v1/statistics"),
        ("GET", "/v1/statistics/stream"),
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
