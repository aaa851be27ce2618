//! Log-in, the session that is kept, and the password that is given again.

use serde_json::json;

use crate::{
    gateway::{Gateway, Reply},
    logged_in, problem,
    program::Home,
    shop, tokens,
};

#[test]
fn log_in_keeps_the_session_in_a_private_file_and_never_shows_a_token() {
    let gateway = shop(|seen| match &*seen.path {
        "/v1/sessions/current" => Reply::empty(204),
        _ => Reply::json(200, &json!({ "items": [], "next": null })),
    });
    let home = Home::new(&gateway.url);
    let missing = home.run(&["audit"]).code(1);
    assert!(missing.err.contains("expected a session of `millrace login`"), "{missing:?}");
    let wrong = home.env("MILLRACE_PASSWORD", "another").run(&["login", "ada@example.org"]);
    assert!(wrong.code(1).err.contains("The password is wrong."), "{wrong:?}");

    let file = home.folder().join("password");
    std::fs::write(&file, "a password\n").expect("written");
    let ended = home.run(&["login", "ada@example.org", "--password-file", &file.to_string_lossy()]);
    assert!(ended.code(0).out.contains("as ada@example.org (admin)"), "{ended:?}");
    assert!(!format!("{ended:?}").contains("access-1"), "{ended:?}");
    assert_eq!(home.session_mode(), 0o600);

    home.run(&["audit"]).code(0);
    assert_eq!(gateway.last().header("authorization"), Some("Bearer access-1"));
    // Tokens go to no other gateway.
    let other = Gateway::start(|_| Reply::empty(500));
    let elsewhere = home.run(&["--url", &other.url, "audit"]).code(1);
    assert!(elsewhere.err.contains("nobody has logged in at"), "{elsewhere:?}");
    assert_eq!(other.seen().len(), 0);
    home.run(&["logout"]).code(0);
    assert_eq!(gateway.last().path, "/v1/sessions/current");
    home.run(&["audit"]).code(1);
}

#[test]
fn session_file_that_can_not_be_used_is_replaced_by_log_in_and_removed_by_log_out() {
    let gateway = shop(|_| Reply::json(200, &json!({ "items": [], "next": null })));
    let home = logged_in(&gateway);
    let log_in = || home.env("MILLRACE_PASSWORD", "a password").run(&["login", "ada@example.org"]);
    home.change_session("access_token", "another");
    let refused = home.run(&["audit"]).code(1);
    assert!(refused.err.contains("expected that of `millrace login`"), "{refused:?}");
    log_in().code(0);
    home.run(&["audit"]).code(0);

    home.set_session_mode(0o640);
    assert!(home.run(&["audit"]).code(1).err.contains("expected mode 0600"));
    log_in().code(0);
    assert_eq!(home.session_mode(), 0o600);
    home.run(&["audit"]).code(0);

    home.set_session_mode(0o640);
    let before = gateway.seen().len();
    let removed = home.run(&["logout"]).code(1);
    assert!(removed.out.starts_with("Removed the session's file."), "{removed:?}");
    assert!(removed.err.contains("expected mode 0600"), "{removed:?}");
    assert_eq!(gateway.seen().len(), before, "its tokens were not used");
    assert!(home.run(&["audit"]).code(1).err.contains("nobody has logged in"));
}

#[test]
fn expired_token_is_replaced_once_and_a_session_that_has_ended_is_said() {
    let gateway = shop(|seen| match (&*seen.path, seen.header("authorization")) {
        ("/v1/sessions/refresh", _) if seen.json()["refresh_token"] == "refresh-1" => {
            Reply::json(200, &tokens(2))
        }
        ("/v1/sessions/refresh", _) => problem(401, "invalid_refresh_token", "Log in again."),
        (_, Some("Bearer access-2")) => Reply::json(200, &json!({ "items": [], "next": null })),
        _ => problem(401, "invalid_token", "The token has expired."),
    });
    let home = logged_in(&gateway);
    home.run(&["audit"]).code(0);
    let before = gateway.seen().len();
    home.run(&["audit"]).code(0);
    assert_eq!(gateway.seen().len(), before + 1, "the new tokens are kept");

    let home = Home::new(&gateway.url);
    let given = home.env("MILLRACE_TOKEN", "access-2").run(&["audit"]);
    given.code(0);
    let expired = home.env("MILLRACE_TOKEN", "access-1").run(&["audit"]).code(1);
    assert!(expired.err.contains("Expected in MILLRACE_TOKEN an access token"), "{expired:?}");
}

#[test]
fn password_is_given_again_when_the_gateway_asks_for_it_and_the_request_is_repeated() {
    let gateway = shop(|seen| match (&*seen.path, seen.header("authorization")) {
        ("/v1/sessions/current", _) => Reply::empty(204),
        ("/v1/sessions/refresh", _) => Reply::json(200, &tokens(2)),
        // The first token of the log-in has expired, and the one that replaces it is as old.
        (_, Some("Bearer access-0")) => problem(401, "invalid_token", "The token has expired."),
        (_, Some("Bearer access-2")) => {
            problem(401, "insufficient_user_authentication", "This needs the password again.")
        }
        _ => Reply::json(200, &json!({ "id": "0199", "state": "accepted" })),
    });
    let home = logged_in(&gateway);
    let retry = ["parked", "retry", "order.followups", "o-1", "--reason", "why"];
    home.change_session("access-1", "access-0");
    let wrong = home.env("MILLRACE_PASSWORD", "another").run(&retry).code(1);
    assert!(wrong.err.contains("The password is wrong."), "{wrong:?}");

    let done = home.env("MILLRACE_PASSWORD", "a password").run(&retry).code(0);
    assert!(done.err.contains("asks for the password of ada@example.org again"), "{done:?}");
    assert!(done.out.contains("0199: accepted"), "{done:?}");
    let seen = gateway.seen();
    let [asked, log_in, log_out, repeated] = seen.last_chunk().expect("requests");
    assert_eq!(log_in.path, "/v1/sessions");
    assert_eq!(log_out.header("authorization"), Some("Bearer access-2"));
    assert_eq!(repeated.header("authorization"), Some("Bearer access-1"));
    assert_eq!((&repeated.path, repeated.json()), (&asked.path, asked.json()));
    assert_eq!(repeated.header("idempotency-key"), asked.header("idempotency-key"));
    // The new session is kept.
    let before = gateway.seen().len();
    home.run(&retry).code(0);
    assert_eq!(gateway.seen().len(), before + 1);
    let given = home.env("MILLRACE_TOKEN", "access-2").run(&retry).code(1);
    assert!(given.err.contains("of a log-in within the last five minutes"), "{given:?}");
}
