//! The program as scripts use it: the real binary against a gateway that answers what a test says.
//! What the real gateway answers is tested by integration's journey.

mod gateway;
mod program;

use serde_json::{Value, json};

use gateway::{Gateway, Reply, Seen};
use program::{Ended, Home};

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
fn list_is_read_page_by_page_up_to_the_limit_and_shows_nothing_that_a_terminal_interprets() {
    let gateway = shop(|seen| {
        let page: usize =
            seen.parameter("cursor").map_or(0, |cursor| cursor.parse().expect("mine"));
        let limit: usize = seen.parameter("limit").expect("a limit").parse().expect("a number");
        let items: Vec<_> = (0..limit).map(|row| parked(&format!("o-{page}-{row}"))).collect();
        Reply::json(200, &json!({ "items": items, "next": (page + 1).to_string() }))
    });
    let home = logged_in(&gateway);
    let before = gateway.seen().len();
    let shown = home.run(&["parked", "list", "--limit", "250"]).code(0);
    assert_eq!(gateway.seen().len(), before + 3);
    assert_eq!(shown.out.lines().count(), 251, "{}", shown.out);
    assert!(shown.out.contains(r"malformed \u{1b}[2J\u{9b}31m") && shown.out.contains("o-2-49"));
    assert!(shown.err.contains("--cursor '3'"), "{}", shown.err);
    assert!(!shown.out.contains(['\u{1b}', '\u{9b}']));

    let document = home.run(&["--json", "parked", "list", "--limit", "1"]).code(0);
    assert!(!document.out.contains(['\u{1b}', '\u{9b}']), "{}", document.out);
    assert_eq!(document.json(), json!({ "items": [parked("o-0-0")], "next": "1" }));
}

#[test]
fn answer_that_refuses_ends_with_code_1_and_says_what_was_expected() {
    let gateway = shop(|seen| match &*seen.path {
        "/v1/operations/actions" => problem(403, "forbidden", "Only admins may do this."),
        "/v1/operations/dead-letters" => {
            problem(429, "too_many_requests", "Too many requests.").header("retry-after", "37")
        }
        "/v1/operations/parked" => Reply::text(200, "<html>"),
        _ => problem(404, "not_found", "This resource does not exist."),
    });
    let home = logged_in(&gateway);
    let says = |arguments: &[&str], expected: &str| {
        let ended = home.run(arguments).code(1);
        assert!(ended.err.contains(expected) && ended.out.is_empty(), "{ended:?}");
    };
    says(&["audit"], "Expected an admin, and ada@example.org is none.");
    says(&["dead", "list"], "Try again in 37 s.");
    says(&["parked", "list"], "expected a Millrace gateway there");
    says(&["dead", "show", "a:1:2"], "there is no dead letter a:1:2: expected an ID of");
    let id = "00000000-0000-0000-0000-000000000001";
    says(&["trace", id], "expected the id of a command of the last seven days, or of an order");
    says(&["trace", "--record", "order.events/2/17"], "expected a record of the last seven days");
    let last = gateway.seen().last().map(|it| it.path.clone());
    assert_eq!(last.as_deref(), Some("/v1/records/order.events:2:17/trace"));
    says(&["trace", id], "expected the id of a command");
    let paths: Vec<_> = gateway.seen().iter().rev().take(2).map(|it| it.path.clone()).collect();
    assert_eq!(paths, [format!("/v1/orders/{id}/trace"), format!("/v1/commands/{id}/trace")]);

    let refused = home.run(&["--json", "audit"]).code(1);
    assert_eq!(refused.json()["code"], "forbidden");
    let nowhere = home.env("MILLRACE_TOKEN", "t").run(&["--url", "http://127.0.0.1:1", "audit"]);
    assert!(nowhere.code(1).err.contains("no answer from http://127.0.0.1:1/"), "{nowhere:?}");
}

#[test]
fn wrong_usage_ends_with_code_2_and_sends_nothing() {
    let gateway = shop(|_| Reply::empty(500));
    let home = logged_in(&gateway);
    let before = gateway.seen().len();
    let selection = ["parked", "retry-all", "--topic", "order.followups", "--reason", "why"];
    let asked = home.run(&selection).code(2);
    assert!(asked.err.contains("expected --yes"), "{asked:?}");
    home.run(&["parked", "drop", "order.followups", "o-1", "--reason", "why"]).code(2);
    home.run(&["parked", "retry", "order.followups", "o-1"]).code(2);
    home.run(&["--url", "nowhere", "status"]).code(2);
    home.run(&["unknown"]).code(2);
    home.run(&["--help"]).code(0);
    assert_eq!(gateway.seen().len(), before);
}

#[test]
fn action_waits_for_its_outcome_under_one_idempotency_key() {
    let answers = std::sync::atomic::AtomicUsize::new(0);
    let gateway = shop(move |seen| {
        let id = "0199";
        match answers.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            0 => Reply::json(202, &json!({ "id": id, "state": "pending" })),
            1 => Reply::json(200, &json!({ "id": id, "state": "accepted" })),
            2 => problem(409, "still_failing", "The record at offset 5 fails again."),
            3 => problem(503, "not_written", "The log has not confirmed the command."),
            _ => Reply::json(202, &json!({ "id": id, "state": seen.path })),
        }
    });
    let home = logged_in(&gateway);
    let words = ["parked", "drop", "order.followups", "o-1", "--reason", "why", "--offset", "5"];
    let done = home.run(&words).code(0);
    assert!(
        done.out.contains("is a dead letter") && done.out.contains("0199: accepted"),
        "{done:?}"
    );
    let seen = gateway.seen();
    let [first, second] = seen.last_chunk().expect("two requests");
    let body = json!({ "topic": "order.followups", "key": "o-1", "reason": "why", "offset": 5 });
    assert_eq!((&first.json(), &second.json()), (&body, &body));
    assert_eq!(first.path, "/v1/operations/parked:drop");
    assert!(first.header("prefer").is_some_and(|wait| wait.starts_with("wait=")), "{first:?}");
    let key = |seen: &Seen| seen.header("idempotency-key").map(str::to_owned);
    assert!(key(first).is_some_and(|key| key.len() == 36), "{first:?}");
    assert_eq!(key(first), key(second));

    let refused = home.run(&words).code(1);
    assert!(refused.err.contains("fails again. (still_failing)"), "{refused:?}");
    assert_ne!(key(&gateway.last()), key(first));
    let unknown = home.run(&[&words[..], &["--idempotency-key", "mine"]].concat()).code(1);
    assert!(unknown.err.contains("Repeat it with --idempotency-key mine"), "{unknown:?}");
    assert_eq!(key(&gateway.last()).as_deref(), Some("mine"));
    let pending = home.run(&[&words[..], &["--wait", "1"]].concat()).code(1);
    assert!(pending.out.contains("has no outcome yet"), "{pending:?}");
}

#[test]
fn dead_letter_is_sent_again_with_its_outcome_or_the_reason_why_not() {
    let gateway = shop(|seen| match &*seen.json()["reason"].to_string() {
        "\"once\"" => Reply::json(200, &json!({ "id": "0199", "state": "accepted" })),
        _ => problem(409, "already_sent_again", "Command 0199 has sent it again."),
    });
    let home = logged_in(&gateway);
    let resend = |why| ["dead", "resend", "order.commands:2:17", "--reason", why];
    let done = home.run(&resend("once")).code(0);
    assert_eq!(done.out, "The dead letter was sent again.\nCommand 0199: accepted\n");
    assert_eq!(gateway.last().path, "/v1/operations/dead-letters:resend");
    assert_eq!(gateway.last().json(), json!({ "id": "order.commands:2:17", "reason": "once" }));
    let refused = home.run(&resend("twice")).code(1);
    assert!(refused.err.contains("already_sent_again"), "{refused:?}");
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

#[test]
fn parked_record_is_edited_with_a_value_from_a_file() {
    let gateway = shop(|seen| match (&*seen.path, seen.parameter("dry_run")) {
        ("/v1/operations/parked/records", _) => {
            let first = json!({ "offset": 5, "type": "millrace.order.RecordReservation" });
            Reply::json(200, &json!({ "items": [first], "next": null }))
        }
        (_, Some(_)) => {
            let (offset, before) = (5, Value::Null);
            let edited = seen.json();
            Reply::json(
                200,
                &json!({
                    "dry_run": true, "type": edited["type"], "offset": offset, "before": before,
                    "after": edited["value"],
                }),
            )
        }
        _ if seen.json()["value"] == json!({ "sku": "tea" }) => {
            Reply::json(200, &json!({ "id": "0199", "state": "accepted" }))
        }
        _ => problem(422, "invalid", "value.sku: expected 1 to 64 of A-Z"),
    });
    let home = logged_in(&gateway);
    let file = home.folder().join("value.json");
    let path = file.to_string_lossy().into_owned();
    let edit = ["parked", "edit", "order.followups", "o-1", "--offset", "5", "--value", &path];
    let with_reason = [&edit[..], &["--reason", "why"]].concat();
    let before = gateway.seen().len();
    home.run(&with_reason).code(2);
    std::fs::write(&file, "{").expect("written");
    assert!(home.run(&with_reason).code(2).err.contains("expected JSON"));
    assert_eq!(gateway.seen().len(), before, "nothing was sent");

    std::fs::write(&file, r#"{"sku":"tea"}"#).expect("written");
    let dry = home.run(&[&edit[..], &["--dry-run"]].concat()).code(0);
    assert!(dry.out.contains("would be applied as millrace.order.RecordReservation"), "{dry:?}");
    let done = home.run(&with_reason).code(0);
    assert!(done.out.contains("was applied with the new value."), "{done:?}");
    assert!(done.out.contains("0199: accepted"), "{done:?}");
    assert_eq!(
        gateway.last().json(),
        json!({
            "topic": "order.followups", "key": "o-1", "offset": 5, "reason": "why",
            "type": "millrace.order.RecordReservation", "value": { "sku": "tea" },
        })
    );
    std::fs::write(&file, r#"{"sku":"a b"}"#).expect("written");
    let refused = home.run(&[&with_reason[..], &["--type", "a.B"]].concat()).code(1);
    assert!(refused.err.contains("value.sku: expected 1 to 64"), "{refused:?}");
    assert_eq!(gateway.last().json()["type"], "a.B");
}

#[test]
fn selection_is_counted_first_and_done_only_with_consent() {
    let gateway = shop(|seen| {
        let mut selected = json!({ "dry_run": true, "keys": 2, "records": 3, "is_cut": false });
        if seen.parameter("dry_run").is_none() {
            let refused = u64::from(seen.path.ends_with("drop-all"));
            selected["commands"] = json!({
                "accepted": 2 - refused, "refused": refused, "failed": 0, "pending": 0, "unsent": 0,
            });
        }
        Reply::json(200, &selected)
    });
    let home = logged_in(&gateway);
    let before = gateway.seen().len();
    let dry = home.run(&["parked", "retry-all", "--error", "malformed", "--dry-run"]).code(0);
    assert!(dry.out.starts_with("2 keys with 3 parked records will be tried again"), "{dry:?}");
    assert_eq!(gateway.seen().len(), before + 1);
    assert_eq!(gateway.last().json(), json!({ "error": "malformed" }));

    let all = |verb| ["parked", verb, "--topic", "order.followups", "--reason", "why", "--yes"];
    let done = home.run(&all("retry-all")).code(0);
    assert_eq!(done.out, "2 keys: 2 done.\n");
    assert_eq!(gateway.last().json(), json!({ "topic": "order.followups", "reason": "why" }));
    let some: Ended = home.run(&all("drop-all")).code(1);
    assert_eq!(some.out, "2 keys: 1 done, 1 still failing or changed since.\n");
}

#[test]
fn result_that_can_not_be_written_is_no_success_and_a_closed_pipe_is_no_error() {
    let gateway = shop(|_| Reply::json(200, &json!({ "items": [], "next": null })));
    let home = logged_in(&gateway);
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("a full disk");
    let ended = home.env("LANG", "C").run_into(full.into(), &["audit"]).code(1);
    assert!(ended.err.contains("the result can't be written"), "{ended:?}");
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let ended = home.env("LANG", "C").run_into(writer.into(), &["audit"]).code(0);
    assert_eq!(ended.err, "");
}

#[test]
fn status_is_shown_also_without_the_pipelines_figures() {
    let gateway = shop(|seen| match &*seen.path {
        "/readyz" => Reply::json(200, &json!({ "status": "ready" })),
        "/v1/pipeline" => problem(503, "unavailable", "Prometheus does not answer."),
        "/v1/operations/parked" => {
            Reply::json(200, &json!({ "items": [parked("o-1")], "next": null }))
        }
        _ => Reply::json(200, &json!({ "items": [], "next": null })),
    });
    let home = logged_in(&gateway);
    let status = home.run(&["--json", "status"]).code(0);
    assert!(status.err.contains("Prometheus does not answer."), "{status:?}");
    let status = status.json();
    assert_eq!((&status["gateway"], &status["pipeline"]), (&json!("ready"), &Value::Null));
    assert_eq!(status["parked_keys"], json!({ "count": 1, "is_cut": false }));
    assert_eq!(status["dead_letters"]["count"], 0);
}
