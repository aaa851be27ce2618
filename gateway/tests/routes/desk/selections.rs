//! Re-drives of all parked keys with one error or of one topic.

use std::collections::BTreeSet;

use super::*;

#[tokio::test]
async fn dry_run_of_a_selection_counts_what_would_be_sent_and_writes_nothing() {
    let desk = Desk::open();
    desk.park(5);
    let body = json!({ "error": "the decider panicked" });
    for path in [RETRY_ALL, DROP_ALL] {
        let response = desk.post(&format!("{path}?dry_run=true"), body.clone()).await;
        let expected = json!({ "dry_run": true, "keys": 5, "records": 15, "is_cut": false });
        assert_eq!((response.status().as_u16(), json(&response)), (200, expected));
    }
    assert_eq!(desk.world().written(), 0);
}

#[tokio::test]
async fn selection_sends_one_command_for_each_key_with_the_error() {
    let desk = Desk::open();
    desk.park(40);
    for (path, drop_first) in [(RETRY_ALL, false), (DROP_ALL, true)] {
        let response = desk.post(path, of_one_error()).await;
        let ends = json!({ "accepted": 40, "refused": 0, "failed": 0, "pending": 0, "unsent": 0 });
        assert_eq!(json(&response)["commands"], ends, "{:?}", response.body());
        let written = std::mem::take(&mut desk.world().inner().written);
        let keys: BTreeSet<_> = written.iter().map(|it| &*it.key).collect();
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
    let desk = Desk::open();
    desk.park(1_001);
    let answer = json(&desk.post(RETRY_ALL, of_one_error()).await);
    assert_eq!((&answer["keys"], &answer["is_cut"]), (&json!(1_000), &json!(true)));
    assert_eq!(desk.world().written(), 1_000);
}

#[tokio::test]
async fn repeat_of_a_selection_with_the_same_idempotency_key_repeats_its_commands() {
    let desk = Desk::open();
    desk.park(3);
    let send = |body: Value| {
        desk.send(request("POST", RETRY_ALL).header("idempotency-key", "one").json(&body))
    };
    let (first, second) = (json(&send(of_one_error()).await), json(&send(of_one_error()).await));
    assert_eq!(first, second);
    let ids: BTreeSet<_> = desk.world().inner().written.iter().map(|it| it.id).collect();
    assert_eq!(ids.len(), 3);
    let other = send(json!({ "topic": "order.followups", "reason": "mended" })).await;
    assert_problem(&other, 422, "idempotency_key_reused");
}

#[tokio::test]
async fn selection_of_which_nothing_was_written_keeps_its_key_for_the_same_request() {
    let desk = Desk::open();
    desk.park(3);
    let send = |body: Value| {
        desk.send(request("POST", RETRY_ALL).header("idempotency-key", "one").json(&body))
    };
    desk.world().answers(Answer::Unwritten);
    assert_eq!(json(&send(of_one_error()).await)["commands"]["unsent"], 3);
    desk.world().answers(Answer::Accept);
    let other = send(json!({ "topic": "order.followups", "reason": "mended" })).await;
    assert_problem(&other, 422, "idempotency_key_reused");
    assert_eq!(json(&send(of_one_error()).await)["commands"]["accepted"], 3);
}

#[tokio::test]
async fn repeat_gives_up_no_second_record_of_a_key() {
    let desk = Desk::open();
    desk.park(1);
    let send = || {
        desk.send(request("POST", DROP_ALL).header("idempotency-key", "one").json(&of_one_error()))
    };
    let first = json(&send().await);
    // The next record of the key has the same error.
    desk.world().inner().desk.parked[0].offset = 6;
    assert_eq!(json(&send().await), first);
    let written = std::mem::take(&mut desk.world().inner().written);
    let ids: BTreeSet<_> = written.iter().map(|it| (it.id, &it.fingerprint)).collect();
    assert_eq!(ids.len(), 1, "the processor takes the second command for a repeat");
}

#[tokio::test]
async fn selection_tells_how_its_commands_have_ended() {
    let desk = Desk::open();
    desk.park(2);
    for (answer, end) in [
        (Answer::Refuse("still_failing"), "refused"),
        (Answer::Fail, "failed"),
        (Answer::Silence, "pending"),
        (Answer::Unwritten, "unsent"),
    ] {
        desk.world().answers(answer);
        let request = request("POST", RETRY_ALL).header("prefer", "wait=1").json(&of_one_error());
        let answer = json(&desk.send(request).await);
        assert_eq!(answer["commands"][end], 2, "{answer}");
    }
}

#[tokio::test]
async fn selection_of_everything_or_without_a_reason_writes_nothing() {
    let desk = Desk::open();
    desk.park(2);
    let error = "the decider panicked";
    for (wrong, status, code) in [
        (json!({ "reason": "mended" }), 400, "invalid_request"),
        (json!({ "error": error, "reason": " " }), 400, "invalid_request"),
        (json!({ "error": "", "reason": "mended" }), 400, "invalid_request"),
        (json!({ "topic": "nothing", "reason": "mended" }), 400, "invalid_request"),
        (json!({ "error": error, "reason": null }), 400, "invalid_body"),
        (json!({ "error": error }), 422, "reason_missing"),
    ] {
        desk.refuses(RETRY_ALL, wrong, status, code).await;
    }
    let path = format!("{RETRY_ALL}?dry_run=1");
    desk.refuses(&path, of_one_error(), 400, "invalid_request").await;
    assert_eq!(desk.world().written(), 0);
}
