//! Dead letters: their content, with personal fields for a reason, and how one is sent again.

use schemas::engine::{ResendDeadLetter, RevealDeadLetter};

use super::*;

#[tokio::test]
async fn dead_letter_is_shown_with_its_content_and_personal_fields_masked() {
    let desk = Desk::open();
    desk.bury();
    let response = desk.get(&format!("{DEAD}/order.commands:2:17")).await;
    let shown = json(&response);
    assert_eq!((&shown["error"], &shown["dead_offset"]), (&json!("malformed"), &json!(17)));
    assert_eq!(shown["value"], json!({ "name": "•••" }));
    assert_eq!(
        (&shown["headers"], &shown["personal"]),
        (&json!({ "ce_id": "an id" }), &json!(null))
    );
    assert_eq!(header(&response, "cache-control"), "no-store");
    for unknown in ["order.commands:2:18", "order.commands:2", "17"] {
        let missing = desk.get(&format!("{DEAD}/{unknown}")).await;
        assert_problem(&missing, 404, "not_found");
    }
}

#[tokio::test]
async fn personal_fields_of_a_dead_letter_are_shown_after_a_command_with_a_reason() {
    let desk = Desk::open();
    desk.bury();
    let body = letter_and_reason(" a customer asks ");

    let revealed = desk.post(REVEAL, body.clone()).await;

    assert_eq!(
        (revealed.status().as_u16(), &json(&revealed)["value"]),
        (200, &json!({ "name": "Ada" }))
    );
    assert_eq!(header(&revealed, "cache-control"), "no-store");
    let record = desk.world().last();
    assert_eq!(
        (&*record.command.topic().expect("a topic"), &*record.key),
        ("order.commands", "order.commands:2:17")
    );
    let expected = RevealDeadLetter {
        topic: "order.commands".into(),
        partition: 2,
        dead_offset: 17,
        reason: "a customer asks".into(),
    };
    assert_eq!(record.command, Command::from(engine::Command::from(expected)));
    // Without an accepted outcome nothing is shown.
    desk.world().answers(Answer::Refuse("other_processor"));
    desk.refuses(REVEAL, body.clone(), 409, "other_processor").await;
    assert_eq!(desk.is_pending(REVEAL, &body).await["value"], json!(null));
}

#[tokio::test]
async fn dead_letter_is_sent_again_by_a_command_under_its_own_key() {
    let desk = Desk::open();
    desk.bury();
    let body = letter_and_reason(" the bug is mended ");

    let sent = desk.post(RESEND, body.clone()).await;

    assert_eq!((sent.status().as_u16(), &json(&sent)["state"]), (200, &json!("accepted")));
    let record = desk.world().last();
    assert_eq!(
        (&*record.command.topic().expect("a topic"), &*record.key),
        ("order.commands", "o-1")
    );
    assert_eq!(record.principal, desk.gateway.user_of(&desk.admin).to_string());
    let expected = ResendDeadLetter {
        topic: "order.commands".into(),
        partition: 2,
        dead_offset: 17,
        reason: "the bug is mended".into(),
    };
    assert_eq!(record.command, Command::from(engine::Command::from(expected)));

    desk.world().answers(Answer::Refuse("already_sent_again"));
    desk.refuses(RESEND, body.clone(), 409, "already_sent_again").await;
    desk.is_pending(RESEND, &body).await;
}

#[tokio::test]
async fn unknown_dead_letter_is_neither_shown_nor_sent_again() {
    let desk = Desk::open();
    desk.bury();
    for (id, reason, status, code) in [
        ("order.commands:2:17", "", 400, "invalid_request"),
        ("order.commands:2:17", " ", 400, "invalid_request"),
        ("order.commands:2", "why", 404, "not_found"),
        ("nothing:2:17", "why", 404, "not_found"),
        ("order.commands:2:18", "why", 404, "not_found"),
    ] {
        for path in [REVEAL, RESEND] {
            desk.refuses(path, json!({ "id": id, "reason": reason }), status, code).await;
        }
    }
    assert_eq!(desk.world().written(), 0);
}

#[tokio::test]
async fn dead_letter_without_a_key_that_is_accepted_is_not_sent_again() {
    let desk = Desk::open();
    desk.bury();
    for key in [None, Some(String::new()), Some("a\tb".to_owned()), Some("k".repeat(1_025))] {
        desk.world().inner().desk.content.as_mut().unwrap().key = key;
        desk.refuses(RESEND, letter_and_reason("why"), 409, "no_key").await;
    }
    assert_eq!(desk.world().written(), 0);
}
