//! The commands that re-drive one parked key.

use super::*;

/// The command of the last record that was written.
fn last(desk: &Desk) -> Redrive {
    match desk.world().last().command {
        Command::Engine(engine::Command::Redrive(redrive)) => redrive,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn retry_is_a_command_to_the_processor_that_has_parked_the_key() {
    let desk = Desk::open();

    let response = desk.post(RETRY, key_and_reason()).await;

    assert_eq!(response.status(), 200, "{:?}", response.body());
    assert_eq!(json(&response)["state"], "accepted");
    let record = desk.world().last();
    assert_eq!(
        (&*record.command.topic().expect("a topic"), &*record.key),
        ("order.commands", "tea")
    );
    assert_eq!(record.principal, desk.gateway.user_of(&desk.admin).to_string());
    let expected = Redrive {
        topic: "stock.followups".into(),
        drop_first: false,
        reason: Some("the bug is mended".into()),
        first_offset: Some(5),
    };
    assert_eq!(last(&desk), expected);
    assert_eq!(desk.post(DROP, key_and_reason()).await.status(), 200);
    assert_eq!(last(&desk), Redrive { drop_first: true, ..expected });
}

#[tokio::test]
async fn repeat_with_the_same_idempotency_key_is_the_same_command() {
    let desk = Desk::open();
    let send = || {
        let request = request("POST", RETRY).header("idempotency-key", "one");
        desk.send(request.header("prefer", "wait=5").json(&key_and_reason()))
    };
    let (first, second) = (json(&send().await), json(&send().await));
    assert_eq!(first, second);
    assert_eq!(desk.world().written(), 1);
}

#[tokio::test]
async fn refusal_of_a_processor_is_a_conflict_with_its_reason() {
    let desk = Desk::open();
    desk.world().answers(Answer::Refuse("still_failing"));
    desk.refuses(RETRY, key_and_reason(), 409, "still_failing").await;
    desk.is_pending(RETRY, &key_and_reason()).await;
}

#[tokio::test]
async fn request_without_a_reason_or_for_no_parked_key_writes_nothing() {
    let desk = Desk::open();
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
        let mut wrong = key_and_reason();
        wrong[field] = value;
        desk.refuses(RETRY, wrong, 400, "invalid_request").await;
    }
    let mut without = key_and_reason();
    without.as_object_mut().unwrap().remove("offset");
    desk.refuses(DROP, without.clone(), 400, "invalid_request").await;
    assert_eq!(desk.world().written(), 0);
    assert_eq!(desk.post(RETRY, without).await.status(), 200);
}
