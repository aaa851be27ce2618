//! The operator's desk: who may see it, its pages, and the commands that re-drive a parked key.

use gateway::{
    commands::Command,
    desk::{Action, DeadContent, DeadLetter, ParkedKey, ParkedRecord},
};
use schemas::engine::{self, EditParkedRecord, Redrive, ResendDeadLetter, RevealDeadLetter};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::*;

const DEAD: &str = "/v1/operations/dead-letters";
const PARKED: &str = "/v1/operations/parked";
const ACTIONS: &str = "/v1/operations/actions";
const REVEAL: &str = "/v1/operations/dead-letters:reveal";
const RESEND: &str = "/v1/operations/dead-letters:resend";
const RECORDS: &str = "/v1/operations/parked/records?topic=order.followups&key=o-1";
const RETRY: &str = "/v1/operations/parked:retry";
const DROP: &str = "/v1/operations/parked:drop";
const EDIT: &str = "/v1/operations/parked:edit";
const RETRY_ALL: &str = "/v1/operations/parked:retry-all";
const DROP_ALL: &str = "/v1/operations/parked:drop-all";

fn letter(dead_offset: i64) -> DeadLetter {
    DeadLetter {
        id: format!("order.commands:2:{dead_offset}"),
        topic: "order.commands".into(),
        partition: 2,
        offset: Some(7),
        dead_offset,
        at: "2026-01-01T00:00:00.000Z".into(),
        error: "malformed".into(),
        record_type: String::new(),
        key: None,
        sender: Some("ada".into()),
        bytes: Some(9),
        resent_by: None,
    }
}

fn parked(key: &str) -> ParkedKey {
    ParkedKey {
        topic: "order.followups".into(),
        key: key.into(),
        partition: 1,
        records: 3,
        bytes: 300,
        since: "2026-01-01T00:00:00.000Z".into(),
        offset: 5,
        error: Some("the decider panicked".into()),
        record_type: "millrace.order.RecordReservation".into(),
        sender: "ada".into(),
    }
}

fn record(offset: i64, error: Option<&str>, value: Value) -> ParkedRecord {
    ParkedRecord {
        offset,
        at: "2026-01-01T00:00:00.000Z".into(),
        error: error.map(str::to_owned),
        record_type: "millrace.order.RecordReservation".into(),
        sender: "ada".into(),
        bytes: Some(9),
        headers: Some(json!({ "ce_id": "an id" })),
        value: Some(value),
        omitted: None,
    }
}

/// The command of the last record that was written.
fn last(gateway: &Gateway) -> Redrive {
    match gateway.world.last().command {
        Command::Engine(engine::Command::Redrive(redrive)) => redrive,
        other => panic!("{other:?}"),
    }
}

fn body() -> Value {
    json!({ "topic": "stock.followups", "key": "tea", "offset": 5, "reason": " the bug is mended " })
}

#[tokio::test]
async fn only_admins_see_the_desk_or_change_anything_there() {
    let gateway = gateway();
    let user = gateway.user("ada@example.org").await;
    let written = gateway.world.written();
    let one = format!("{DEAD}/order.commands:2:17");
    for path in [DEAD, &one, PARKED, RECORDS, ACTIONS] {
        assert_problem(&gateway.get(path, Some(&user)).await, 403, "forbidden");
        assert_problem(&gateway.get(path, None).await, 401, "unauthorized");
    }
    for path in [RETRY, DROP, EDIT, RETRY_ALL, DROP_ALL, REVEAL, RESEND] {
        let denied = gateway.command("POST", path, Some(&user), body()).await;
        assert_problem(&denied, 403, "forbidden");
        assert_problem(&gateway.command("POST", path, None, body()).await, 401, "unauthorized");
    }
    assert_eq!(gateway.world.written(), written);
}

#[tokio::test]
async fn what_an_operator_changes_needs_the_password_of_the_last_five_minutes() {
    let gateway = gateway();
    bury(&gateway);
    park(&gateway, 1);
    let now = jsonwebtoken::get_current_timestamp();
    let letter = || json!({ "id": "order.commands:2:17", "reason": "why" });
    let changes = [
        (RETRY, body()),
        (DROP, body()),
        (EDIT, edit()),
        (RETRY_ALL, of_one_error()),
        (DROP_ALL, of_one_error()),
        (REVEAL, letter()),
        (RESEND, letter()),
    ];
    // A token of an earlier version of the gateway does not tell when the password was given.
    for old in [Some(now - 301), None] {
        let admin = gateway.admin_of(old);
        for (path, body) in changes.clone() {
            let refused = gateway.command("POST", path, Some(&admin), body).await;
            assert_problem(&refused, 401, "insufficient_user_authentication");
            let challenge = header(&refused, "www-authenticate");
            assert!(challenge.contains(r#"error="insufficient_user_authentication""#), "{path}");
            assert!(challenge.contains(r#"max_age="300""#), "{challenge}");
            assert_eq!(json(&refused)["max_age"], 300);
        }
        // What changes nothing needs none.
        for (path, body) in [(RETRY_ALL, of_one_error()), (DROP_ALL, of_one_error())] {
            let dry = format!("{path}?dry_run=true");
            assert_eq!(gateway.command("POST", &dry, Some(&admin), body).await.status(), 200);
        }
        assert_eq!(gateway.get(PARKED, Some(&admin)).await.status(), 200);
    }
    assert_eq!(gateway.world.written(), 0);
    let admin = gateway.admin_of(Some(now - 200));
    for (path, body) in changes {
        let done = gateway.command("POST", path, Some(&admin), body).await;
        assert_eq!(done.status(), 200, "{path}: {:?}", done.body());
    }
}

#[tokio::test]
async fn lists_show_what_the_projection_holds_page_by_page() {
    let gateway = gateway();
    let admin = gateway.admin();
    {
        let mut inner = gateway.world.inner();
        inner.desk.dead = vec![letter(2), letter(0)];
        inner.desk.parked = vec![parked("o-1")];
        inner.desk.actions = vec![Action {
            at: "2026-01-01T00:00:00.000Z".into(),
            who: "ada".into(),
            reason: Some("mended".into()),
            topic: "order.followups".into(),
            key: "o-1".into(),
            command: Uuid::from_u128(1),
            released: 3,
            dropped_offset: None,
            parked_from: None,
            revealed_offset: None,
            resent_offset: None,
            edited_offset: Some(5),
            before: Some(json!({ "sku": "tea" })),
            after: Some(json!({ "sku": "rye" })),
        }];
    }
    let first = json(&gateway.get(&format!("{DEAD}?limit=1"), Some(&admin)).await);
    let expected = json!({
        "id": "order.commands:2:2", "topic": "order.commands", "partition": 2, "offset": 7,
        "dead_offset": 2,
        "at": "2026-01-01T00:00:00.000Z", "error": "malformed", "type": "", "sender": "ada",
        "bytes": 9,
    });
    assert_eq!(first["items"], json!([expected]));
    let next = first["next"].as_str().unwrap();
    let second = json(&gateway.get(&format!("{DEAD}?cursor={next}"), Some(&admin)).await);
    assert_eq!((&second["items"][0]["dead_offset"], &second["next"]), (&json!(0), &json!(null)));

    let shown = json(&gateway.get(PARKED, Some(&admin)).await);
    assert_eq!(shown["items"][0]["records"], 3);
    let after = gateway.get(&format!("{PARKED}?cursor=order.followups/o-1"), Some(&admin)).await;
    assert_eq!(json(&after)["items"], json!([]));
    let actions = gateway.get(ACTIONS, Some(&admin)).await;
    let action = &json(&actions)["items"][0];
    assert_eq!((&action["reason"], &action["edited_offset"]), (&json!("mended"), &json!(5)));
    assert_eq!(action["after"], json!({ "sku": "rye" }));
    assert_eq!(header(&actions, "cache-control"), "no-store");
    for path in [DEAD, PARKED, ACTIONS] {
        let wrong = gateway.get(&format!("{path}?cursor=x"), Some(&admin)).await;
        assert_problem(&wrong, 400, "invalid_request");
    }
}

#[tokio::test]
async fn retry_is_a_command_to_the_processor_that_has_parked_the_key() {
    let gateway = gateway();
    let admin = gateway.admin();

    let response = gateway.command("POST", RETRY, Some(&admin), body()).await;

    assert_eq!(response.status(), 200, "{:?}", response.body());
    assert_eq!(json(&response)["state"], "accepted");
    let record = gateway.world.last();
    assert_eq!((&*record.command.topic(), &*record.key), ("order.commands", "tea"));
    assert_eq!(record.principal, gateway.user_of(&admin).to_string());
    let expected = Redrive {
        topic: "stock.followups".into(),
        drop_first: false,
        reason: Some("the bug is mended".into()),
        first_offset: Some(5),
    };
    assert_eq!(last(&gateway), expected);
    assert_eq!(gateway.command("POST", DROP, Some(&admin), body()).await.status(), 200);
    assert_eq!(last(&gateway), Redrive { drop_first: true, ..expected });
}

/// An edit of the reservation at offset 5.
fn edit() -> Value {
    json!({
        "topic": "stock.followups", "key": "tea", "offset": 5,
        "type": "millrace.stock.ReserveStock", "reason": " a typing error ",
        "value": { "sku": "tea", "order_id": Uuid::from_u128(7), "quantity": 2 },
    })
}

#[tokio::test]
async fn edit_is_a_command_with_the_value_as_json() {
    let gateway = gateway();
    let admin = gateway.admin();

    let response = gateway.command("POST", EDIT, Some(&admin), edit()).await;

    assert_eq!((response.status().as_u16(), &json(&response)["state"]), (200, &json!("accepted")));
    let record = gateway.world.last();
    assert_eq!((&*record.command.topic(), &*record.key), ("order.commands", "tea"));
    let Command::Engine(engine::Command::EditParkedRecord(command)) = record.command else {
        panic!("{:?}", record.command);
    };
    let EditParkedRecord { topic, offset, record_type, json: value, reason } = command;
    assert_eq!((&*topic, offset), ("stock.followups", 5));
    assert_eq!((&*record_type, &*reason), ("millrace.stock.ReserveStock", "a typing error"));
    assert_eq!(serde_json::from_str::<Value>(&value).unwrap(), edit()["value"]);
    gateway.world.answers(Answer::Refuse("still_failing"));
    let refused = gateway.command("POST", EDIT, Some(&admin), edit()).await;
    assert_problem(&refused, 409, "still_failing");
    gateway.world.answers(Answer::Refuse("invalid"));
    let refused = gateway.command("POST", EDIT, Some(&admin), edit()).await;
    assert_problem(&refused, 422, "invalid");
}

#[tokio::test]
async fn edit_that_does_not_fit_names_the_field_and_writes_nothing() {
    let gateway = gateway();
    let admin = gateway.admin();
    let with = |pointer: &str, value: Value| {
        let mut body = edit();
        *body.pointer_mut(pointer).unwrap() = value;
        body
    };
    for (body, field, expected) in [
        (with("/value/quantity", json!(0)), "value.quantity", "expected 1 to 1000000"),
        (with("/value/quantity", json!("2")), "value.quantity", "a whole number of 32 bits"),
        (with("/value/sku", json!("a b")), "value.sku", "expected 1 to 64 of"),
        (with("/value", json!({ "sku": "tea" })), "value.order_id", "it is missing"),
        (with("/value", json!([])), "value", "an object"),
        (
            with("/type", json!("millrace.stock.StockReserved")),
            "type",
            "expected one of millrace.stock.ReleaseStock, millrace.stock.ReserveStock",
        ),
        (with("/type", json!("millrace.engine.Redrive")), "type", "expected one of"),
    ] {
        let refused = gateway.command("POST", EDIT, Some(&admin), body).await;
        assert_problem(&refused, 422, "invalid");
        let problem = json(&refused);
        assert_eq!(problem["field"], field, "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains(expected), "{problem}");
    }
    for (body, field, expected) in [
        (with("/topic", json!("nothing")), "topic", "expected a topic that a processor reads"),
        (with("/reason", json!(" ")), "reason", "expected 1 to 500 characters"),
    ] {
        let refused = gateway.command("POST", EDIT, Some(&admin), body).await;
        assert_problem(&refused, 400, "invalid_request");
        let problem = json(&refused);
        assert_eq!(problem["field"], field, "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains(expected), "{problem}");
    }
    let mut unreasoned = edit();
    unreasoned.as_object_mut().unwrap().remove("reason");
    let refused = gateway.command("POST", EDIT, Some(&admin), unreasoned).await;
    assert_problem(&refused, 422, "reason_missing");
    assert_eq!(gateway.world.written(), 0);
}

#[tokio::test]
async fn dry_run_of_an_edit_shows_the_value_before_and_after_and_writes_nothing() {
    let gateway = gateway();
    let admin = gateway.admin();
    let mut body = edit();
    body.as_object_mut().unwrap().remove("reason");
    let dry = format!("{EDIT}?dry_run=true");
    let send = |body: Value| gateway.command("POST", &dry, Some(&admin), body);
    assert_problem(&send(body.clone()).await, 409, "nothing_parked");
    let before = json!({ "sku": "tea", "quantity": 0 });
    {
        let mut inner = gateway.world.inner();
        inner.desk.parked = vec![parked("tea")];
        inner.desk.records = vec![record(5, Some("broken"), before.clone())];
    }

    let response = send(body.clone()).await;

    let expected = json!({
        "dry_run": true, "type": "millrace.stock.ReserveStock", "offset": 5, "before": before,
        "after": edit()["value"],
    });
    assert_eq!((response.status().as_u16(), json(&response)), (200, expected));
    body["offset"] = json!(6);
    assert_problem(&send(body.clone()).await, 409, "other_record_first");
    body["value"]["quantity"] = json!(0);
    assert_problem(&send(body).await, 422, "invalid");
    assert_eq!(gateway.world.written(), 0);
}

#[tokio::test]
async fn repeat_with_the_same_idempotency_key_is_the_same_command() {
    let gateway = gateway();
    let admin = gateway.admin();
    let send = || {
        let request = request("POST", RETRY).header("idempotency-key", "one");
        gateway.send(with(Some(&admin), request.header("prefer", "wait=5").json(&body())))
    };
    let (first, second) = (json(&send().await), json(&send().await));
    assert_eq!(first, second);
    assert_eq!(gateway.world.written(), 1);
}

#[tokio::test]
async fn refusal_of_a_processor_is_a_conflict_with_its_reason() {
    let gateway = gateway();
    let admin = gateway.admin();
    gateway.world.answers(Answer::Refuse("still_failing"));
    let refused = gateway.command("POST", RETRY, Some(&admin), body()).await;
    assert_problem(&refused, 409, "still_failing");
    gateway.world.answers(Answer::Silence);
    let request = with(Some(&admin), request("POST", RETRY).json(&body()));
    let pending = gateway.send(request).await;
    assert_eq!((pending.status().as_u16(), &json(&pending)["state"]), (202, &json!("pending")));
}

#[tokio::test]
async fn request_without_a_reason_or_for_no_parked_key_writes_nothing() {
    let gateway = gateway();
    let admin = gateway.admin();
    for (field, value) in [
        ("reason", json!("  ")),
        ("reason", json!("a\nb")),
        ("reason", json!("x".repeat(501))),
        ("topic", json!("order.events.dead")),
        ("topic", json!("nothing")),
        ("key", json!("")),
        ("key", json!("a\u{1f}b")),
        ("key", json!("k".repeat(1_025))),
    ] {
        let mut wrong = body();
        wrong[field] = value;
        let refused = gateway.command("POST", RETRY, Some(&admin), wrong).await;
        assert_problem(&refused, 400, "invalid_request");
    }
    let mut without = body();
    without.as_object_mut().unwrap().remove("offset");
    let refused = gateway.command("POST", DROP, Some(&admin), without.clone()).await;
    assert_problem(&refused, 400, "invalid_request");
    assert_eq!(gateway.world.written(), 0);
    assert_eq!(gateway.command("POST", RETRY, Some(&admin), without).await.status(), 200);
}

/// A dead letter whose value has a personal field.
fn bury(gateway: &Gateway) {
    let mut inner = gateway.world.inner();
    inner.desk.dead = vec![letter(17)];
    inner.desk.content = Some(DeadContent {
        letter: letter(17),
        key: Some("o-1".into()),
        headers: Some(json!({ "ce_id": "an id" })),
        value: Some(json!({ "name": "•••" })),
        personal: Some(json!({ "name": "Ada" })),
        omitted: None,
    });
}

#[tokio::test]
async fn dead_letter_is_shown_with_its_content_and_personal_fields_masked() {
    let gateway = gateway();
    let admin = gateway.admin();
    bury(&gateway);
    let response = gateway.get(&format!("{DEAD}/order.commands:2:17"), Some(&admin)).await;
    let shown = json(&response);
    assert_eq!((&shown["error"], &shown["dead_offset"]), (&json!("malformed"), &json!(17)));
    assert_eq!(shown["value"], json!({ "name": "•••" }));
    assert_eq!(
        (&shown["headers"], &shown["personal"]),
        (&json!({ "ce_id": "an id" }), &json!(null))
    );
    assert_eq!(header(&response, "cache-control"), "no-store");
    for unknown in ["order.commands:2:18", "order.commands:2", "17"] {
        let missing = gateway.get(&format!("{DEAD}/{unknown}"), Some(&admin)).await;
        assert_problem(&missing, 404, "not_found");
    }
}

#[tokio::test]
async fn personal_fields_of_a_dead_letter_are_shown_after_a_command_with_a_reason() {
    let gateway = gateway();
    let admin = gateway.admin();
    bury(&gateway);
    let body = json!({ "id": "order.commands:2:17", "reason": " a customer asks " });

    let revealed = gateway.command("POST", REVEAL, Some(&admin), body.clone()).await;

    assert_eq!(
        (revealed.status().as_u16(), &json(&revealed)["value"]),
        (200, &json!({ "name": "Ada" }))
    );
    assert_eq!(header(&revealed, "cache-control"), "no-store");
    let record = gateway.world.last();
    assert_eq!((&*record.command.topic(), &*record.key), ("order.commands", "order.commands:2:17"));
    let expected = RevealDeadLetter {
        topic: "order.commands".into(),
        partition: 2,
        dead_offset: 17,
        reason: "a customer asks".into(),
    };
    assert_eq!(record.command, Command::from(engine::Command::from(expected)));
    // Without an accepted outcome nothing is shown.
    gateway.world.answers(Answer::Refuse("other_processor"));
    let refused = gateway.command("POST", REVEAL, Some(&admin), body.clone()).await;
    assert_problem(&refused, 409, "other_processor");
    gateway.world.answers(Answer::Silence);
    let request = with(Some(&admin), request("POST", REVEAL).json(&body));
    let pending = gateway.send(request).await;
    assert_eq!((pending.status().as_u16(), &json(&pending)["value"]), (202, &json!(null)));
    let written = gateway.world.written();
    for (id, reason, status, code) in [
        ("order.commands:2:17", "", 400, "invalid_request"),
        ("order.commands:2", "why", 404, "not_found"),
        ("nothing:2:17", "why", 404, "not_found"),
        ("order.commands:2:18", "why", 404, "not_found"),
    ] {
        let wrong = json!({ "id": id, "reason": reason });
        let refused = gateway.command("POST", REVEAL, Some(&admin), wrong).await;
        assert_problem(&refused, status, code);
    }
    assert_eq!(gateway.world.written(), written);
}

#[tokio::test]
async fn dead_letter_is_sent_again_by_a_command_under_its_own_key() {
    let gateway = gateway();
    let admin = gateway.admin();
    bury(&gateway);
    let body = json!({ "id": "order.commands:2:17", "reason": " the bug is mended " });

    let sent = gateway.command("POST", RESEND, Some(&admin), body.clone()).await;

    assert_eq!((sent.status().as_u16(), &json(&sent)["state"]), (200, &json!("accepted")));
    let record = gateway.world.last();
    assert_eq!((&*record.command.topic(), &*record.key), ("order.commands", "o-1"));
    assert_eq!(record.principal, gateway.user_of(&admin).to_string());
    let expected = ResendDeadLetter {
        topic: "order.commands".into(),
        partition: 2,
        dead_offset: 17,
        reason: "the bug is mended".into(),
    };
    assert_eq!(record.command, Command::from(engine::Command::from(expected)));

    gateway.world.answers(Answer::Refuse("already_sent_again"));
    let refused = gateway.command("POST", RESEND, Some(&admin), body.clone()).await;
    assert_problem(&refused, 409, "already_sent_again");
    gateway.world.answers(Answer::Silence);
    let request = with(Some(&admin), request("POST", RESEND).json(&body));
    let pending = gateway.send(request).await;
    assert_eq!((pending.status().as_u16(), &json(&pending)["state"]), (202, &json!("pending")));
}

#[tokio::test]
async fn dead_letter_that_is_unknown_or_without_a_key_is_not_sent_again() {
    let gateway = gateway();
    let admin = gateway.admin();
    bury(&gateway);
    for (id, reason, status, code) in [
        ("order.commands:2:17", " ", 400, "invalid_request"),
        ("order.commands:2", "why", 404, "not_found"),
        ("nothing:2:17", "why", 404, "not_found"),
        ("order.commands:2:18", "why", 404, "not_found"),
    ] {
        let wrong = json!({ "id": id, "reason": reason });
        let refused = gateway.command("POST", RESEND, Some(&admin), wrong).await;
        assert_problem(&refused, status, code);
    }
    gateway.world.inner().desk.content.as_mut().unwrap().key = None;
    let body = json!({ "id": "order.commands:2:17", "reason": "why" });
    let refused = gateway.command("POST", RESEND, Some(&admin), body).await;
    assert_problem(&refused, 409, "no_key");
    assert_eq!(gateway.world.written(), 0);
}

#[tokio::test]
async fn parked_records_are_shown_with_their_content_page_by_page() {
    let gateway = gateway();
    let admin = gateway.admin();
    {
        let mut inner = gateway.world.inner();
        inner.desk.parked = vec![parked("o-1")];
        let tea = || json!({ "sku": "tea" });
        inner.desk.records = vec![record(5, Some("broken"), tea()), record(6, None, tea())];
    }
    let first = json(&gateway.get(RECORDS, Some(&admin)).await);
    assert_eq!(
        (&first["items"][0]["error"], &first["items"][1]["error"]),
        (&json!("broken"), &json!(null))
    );
    assert_eq!(first["items"][0]["value"], json!({ "sku": "tea" }));
    let second = json(&gateway.get(&format!("{RECORDS}&cursor=5"), Some(&admin)).await);
    assert_eq!(second["items"][0]["offset"], 6);
    for wrong in
        ["", "?topic=order.followups", "?topic=nothing&key=o-1", "?topic=order.followups&key="]
    {
        let refused =
            gateway.get(&format!("/v1/operations/parked/records{wrong}"), Some(&admin)).await;
        assert_problem(&refused, 400, "invalid_request");
    }
}

/// Parks keys, of which one has another error.
fn park(gateway: &Gateway, keys: usize) {
    let mut inner = gateway.world.inner();
    inner.desk.parked = (0..keys).map(|number| parked(&format!("o-{number:04}"))).collect();
    inner.desk.parked.push(ParkedKey { error: Some("another bug".into()), ..parked("p") });
}

fn of_one_error() -> Value {
    json!({ "topic": "order.followups", "error": "the decider panicked", "reason": "mended" })
}

#[tokio::test]
async fn dry_run_of_a_selection_counts_what_would_be_sent_and_writes_nothing() {
    let gateway = gateway();
    let admin = gateway.admin();
    park(&gateway, 5);
    let body = json!({ "error": "the decider panicked" });
    for path in [RETRY_ALL, DROP_ALL] {
        let path = format!("{path}?dry_run=true");
        let response = gateway.command("POST", &path, Some(&admin), body.clone()).await;
        let expected = json!({ "dry_run": true, "keys": 5, "records": 15, "is_cut": false });
        assert_eq!((response.status().as_u16(), json(&response)), (200, expected));
    }
    assert_eq!(gateway.world.written(), 0);
}

#[tokio::test]
async fn selection_sends_one_command_for_each_key_with_the_error() {
    let gateway = gateway();
    let admin = gateway.admin();
    park(&gateway, 40);
    for (path, drop_first) in [(RETRY_ALL, false), (DROP_ALL, true)] {
        let response = gateway.command("POST", path, Some(&admin), of_one_error()).await;
        let ends = json!({ "accepted": 40, "refused": 0, "failed": 0, "pending": 0, "unsent": 0 });
        assert_eq!(json(&response)["commands"], ends, "{:?}", response.body());
        let written = std::mem::take(&mut gateway.world.inner().written);
        let keys: std::collections::BTreeSet<_> = written.iter().map(|it| &*it.key).collect();
        assert_eq!((written.len(), keys.len()), (40, 40));
        let expected = Redrive {
            topic: "order.followups".into(),
            drop_first,
            reason: Some("mended".into()),
            first_offset: Some(5),
        };
        for record in &written {
            assert_eq!(record.command, Command::from(engine::Command::from(expected.clone())));
            assert!(record.key.starts_with("o-"), "{}", record.key);
        }
    }
}

#[tokio::test]
async fn selection_of_more_keys_than_one_request_may_have_is_cut() {
    let gateway = gateway();
    let admin = gateway.admin();
    park(&gateway, 1_001);
    let response = gateway.command("POST", RETRY_ALL, Some(&admin), of_one_error()).await;
    let answer = json(&response);
    assert_eq!((&answer["keys"], &answer["is_cut"]), (&json!(1_000), &json!(true)));
    assert_eq!(gateway.world.written(), 1_000);
}

#[tokio::test]
async fn repeat_of_a_selection_with_the_same_idempotency_key_repeats_its_commands() {
    let gateway = gateway();
    let admin = gateway.admin();
    park(&gateway, 3);
    let send = |body: Value| {
        let request = request("POST", RETRY_ALL).header("idempotency-key", "one");
        gateway.send(with(Some(&admin), request.json(&body)))
    };
    let (first, second) = (json(&send(of_one_error()).await), json(&send(of_one_error()).await));
    assert_eq!(first, second);
    let ids: std::collections::BTreeSet<_> =
        gateway.world.inner().written.iter().map(|it| it.id).collect();
    assert_eq!(ids.len(), 3);
    let other = send(json!({ "topic": "order.followups", "reason": "mended" })).await;
    assert_problem(&other, 422, "idempotency_key_reused");
}

#[tokio::test]
async fn selection_tells_how_its_commands_have_ended() {
    let gateway = gateway();
    let admin = gateway.admin();
    park(&gateway, 2);
    for (answer, end) in [
        (Answer::Refuse("still_failing"), "refused"),
        (Answer::Fail, "failed"),
        (Answer::Silence, "pending"),
        (Answer::Unwritten, "unsent"),
    ] {
        gateway.world.answers(answer);
        let request = request("POST", RETRY_ALL).header("prefer", "wait=1").json(&of_one_error());
        let answer = json(&gateway.send(with(Some(&admin), request)).await);
        assert_eq!(answer["commands"][end], 2, "{answer}");
    }
}

#[tokio::test]
async fn selection_of_everything_or_without_a_reason_writes_nothing() {
    let gateway = gateway();
    let admin = gateway.admin();
    park(&gateway, 2);
    for wrong in [
        json!({ "reason": "mended" }),
        json!({ "error": "the decider panicked", "reason": " " }),
        json!({ "error": "", "reason": "mended" }),
        json!({ "topic": "nothing", "reason": "mended" }),
    ] {
        let refused = gateway.command("POST", RETRY_ALL, Some(&admin), wrong).await;
        assert_problem(&refused, 400, "invalid_request");
    }
    let null = json!({ "error": "the decider panicked", "reason": null });
    let refused = gateway.command("POST", RETRY_ALL, Some(&admin), null).await;
    assert_problem(&refused, 400, "invalid_body");
    let unreasoned = json!({ "error": "the decider panicked" });
    let refused = gateway.command("POST", RETRY_ALL, Some(&admin), unreasoned).await;
    assert_problem(&refused, 422, "reason_missing");
    let path = format!("{RETRY_ALL}?dry_run=1");
    let refused = gateway.command("POST", &path, Some(&admin), of_one_error()).await;
    assert_problem(&refused, 400, "invalid_request");
    assert_eq!(gateway.world.written(), 0);
}
