//! What operators change: each waits for its outcome, and says how it has ended.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use serde_json::{Value, json};

use crate::{
    gateway::{Reply, Seen},
    logged_in, problem, shop,
};

#[test]
fn action_waits_for_its_outcome_under_one_idempotency_key() {
    let answers = AtomicUsize::new(0);
    let gateway = shop(move |seen| {
        let id = "0199";
        match answers.fetch_add(1, Ordering::SeqCst) {
            0 => Reply::json(202, &json!({ "id": id, "state": "pending" })),
            1 => Reply::json(200, &json!({ "id": id, "state": "accepted" })),
            2 => problem(409, "still_failing", "The record at offset 7 fails again."),
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
    assert!(
        refused.err.contains("fails again. (still_failing) The record at offset 5 was given up")
    );
    assert_ne!(key(&gateway.last()), key(first));
    let unknown = home.run(&[&words[..], &["--idempotency-key", "mine"]].concat()).code(1);
    assert!(unknown.err.contains("Repeat it with --idempotency-key mine"), "{unknown:?}");
    assert_eq!(key(&gateway.last()).as_deref(), Some("mine"));
    let pending = home.run(&[&words[..], &["--wait", "1"]].concat()).code(1);
    assert!(pending.out.contains("has no outcome yet"), "{pending:?}");
}

#[test]
fn command_that_is_written_is_reported_whatever_the_next_request_ends_with() {
    let next = Arc::new(AtomicUsize::new(0));
    let failures = next.clone();
    let first = AtomicUsize::new(0);
    let gateway = shop(move |_| {
        // Each command is written, and the request for its outcome fails.
        if first.fetch_add(1, Ordering::SeqCst).is_multiple_of(2) {
            return Reply::json(202, &json!({ "id": "0199", "state": "pending" }));
        }
        match failures.load(Ordering::SeqCst) {
            0 => problem(429, "too_many_requests", "Too many requests."),
            1 => problem(503, "overloaded", "Too many requests are in flight."),
            2 => problem(401, "insufficient_user_authentication", "The password again."),
            3 => problem(404, "not_found", "This resource does not exist."),
            4 => problem(503, "unavailable", "A store does not answer."),
            _ => Reply::json(
                409,
                &json!({
                    "status": 409, "code": "still_failing", "detail": "It still fails.",
                    "links": { "self": "/v1/commands/0199", "trace": "/v1/commands/0199/trace" },
                }),
            ),
        }
    });
    let home = logged_in(&gateway);
    let words = ["parked", "retry", "order.followups", "o-1", "--reason", "why"];
    for said in ["Too many requests.", "in flight.", "password file /none", "exist.", "store"] {
        let ended = home.env("MILLRACE_PASSWORD_FILE", "/none").run(&words).code(1);
        assert!(ended.out.contains("Command 0199 is written"), "{said}: {ended:?}");
        assert!(ended.err.contains("Repeat it with --idempotency-key "), "{said}: {ended:?}");
        assert!(ended.err.contains(said), "{ended:?}");
        assert!(!ended.err.contains("not known whether"), "{ended:?}");
        next.fetch_add(1, Ordering::SeqCst);
    }
    // The outcome itself is the result.
    let refused = home.run(&words).code(1);
    let said = "It still fails. (still_failing) Those before it were applied.";
    assert!(refused.out.is_empty() && refused.err.contains(said), "{refused:?}");
}

#[test]
fn repeat_of_a_command_that_may_be_written_names_what_was_read_before_it() {
    let first = json!({ "offset": 5, "type": "millrace.order.RecordReservation" });
    let list = json!({ "items": [first], "next": null });
    let gateway = shop(move |seen| match &*seen.path {
        "/v1/operations/parked/records" => Reply::json(200, &list),
        _ => problem(503, "not_written", "The log has not confirmed the command."),
    });
    let home = logged_in(&gateway);
    let run = |verb, more: &[&str]| {
        let key = ["parked", verb, "order.followups", "o-1", "--reason", "why"];
        home.run(&[&key[..], more].concat()).code(1).err
    };
    let said = run("drop", &["--yes"]);
    assert!(said.contains("Repeat it with --offset 5 --idempotency-key "), "{said}");
    let file = home.folder().join("value.json");
    std::fs::write(&file, "{}").expect("written");
    let path = file.to_string_lossy().into_owned();
    let said = run("edit", &["--offset", "5", "--value", &path]);
    let option = "--type 'millrace.order.RecordReservation'";
    assert!(said.contains(&format!("Repeat it with {option} --idempotency-key ")), "{said}");
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
    home.run(&with_reason).code(64);
    std::fs::write(&file, "{").expect("written");
    assert!(home.run(&with_reason).code(64).err.contains("expected JSON"));
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
    // The gateway refuses a name that occurs twice, so it has to get both.
    std::fs::write(&file, r#"{"sku":"rye","sku":"tea"}"#).expect("written");
    home.run(&with_reason).code(0);
    let sent = gateway.last();
    assert!(sent.text().contains(r#""value":{"sku":"rye","sku":"tea"}"#), "{}", sent.text());
    assert_eq!(sent.header("content-type"), Some("application/json"));
    std::fs::write(&file, r#"{"sku":"a b"}"#).expect("written");
    let refused = home.run(&[&with_reason[..], &["--type", "a.B"]].concat()).code(1);
    assert!(refused.err.contains("value.sku: expected 1 to 64"), "{refused:?}");
    assert_eq!(gateway.last().json()["type"], "a.B");
}

#[test]
fn edit_of_a_record_without_a_type_is_no_wrong_usage_because_that_was_read() {
    let gateway = shop(|_| {
        let first = json!({ "offset": 5, "type": "" });
        Reply::json(200, &json!({ "items": [first], "next": null }))
    });
    let home = logged_in(&gateway);
    let file = home.folder().join("value.json");
    std::fs::write(&file, "{}").expect("written");
    let path = file.to_string_lossy().into_owned();
    let edit = ["parked", "edit", "order.followups", "o-1", "--offset", "5", "--reason", "why"];
    let refused = home.run(&[&edit[..], &["--value", &path]].concat()).code(1);
    assert!(refused.err.contains("expected --type"), "{refused:?}");
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
    let some = home.run(&all("drop-all")).code(1);
    assert_eq!(
        some.out,
        "2 keys: 1 done, 1 without their first record but stopped at a later one, or changed \
         since.\n"
    );
}
