//! The program as scripts use it: the real binary against a gateway that answers what a test says.
//! What the real gateway answers is tested by integration's journey. This file holds what the tests
//! share.

mod actions;
mod failures;
mod gateway;
mod lists;
mod program;
mod sessions;

use serde_json::{Value, json};

use gateway::{Gateway, Reply, Seen};
use program::Home;

/// A parked key, as the gateway lists it.
fn parked(key: &str) -> Value {
    json!({
        "topic": "order.followups", "key": key, "partition": 1, "records": 3, "bytes": 300,
        "since": "2026-11-28T05:54:18.123Z", "offset": 5, "error": "malformed \u{1b}[2J\u{9b}31m",
        "type": "millrace.order.RecordReservation", "sender": "ada",
    })
}

fn tokens(generation: u32) -> Value {
    json!({
        "access_token": format!("access-{generation}"), "token_type": "Bearer",
        "refresh_token": format!("refresh-{generation}"), "expires_in": 600,
    })
}

fn problem(status: u16, code: &str, detail: &str) -> Reply {
    Reply::json(status, &json!({ "status": status, "code": code, "detail": detail }))
}

/// Answers a log-in and who has logged in; anything else as `other` says.
fn shop(other: impl Fn(&Seen) -> Reply + Send + 'static) -> Gateway {
    Gateway::start(move |seen| match (&*seen.method, &*seen.path) {
        ("POST", "/v1/sessions") if seen.json()["password"] == "a password" => {
            Reply::json(200, &tokens(1))
        }
        ("POST", "/v1/sessions") => problem(401, "wrong_credentials", "The password is wrong."),
        ("GET", "/v1/users/me") => Reply::json(200, &json!({ "role": "admin" })),
        _ => other(seen),
    })
}

/// A home in which an admin has logged in.
fn logged_in(gateway: &Gateway) -> Home {
    let home = Home::new(&gateway.url);
    let ended = home.env("MILLRACE_PASSWORD", "a password").run(&["login", "ada@example.org"]);
    ended.code(0);
    home
}
