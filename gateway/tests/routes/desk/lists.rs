//! The lists of the desk, page by page.

use std::time::Duration;

use gateway::desk::Action;

use super::*;
use crate::schema_versions::registry;

#[tokio::test]
async fn lists_show_what_the_projection_holds_page_by_page() {
    let desk = Desk::open();
    {
        let mut inner = desk.world().inner();
        inner.desk.dead = vec![letter(2), letter(0)];
        inner.desk.parked = vec![parked("o-1")];
        inner.desk.actions = vec![Action {
            at: "2026-01-01T00:00:00.000Z".into(),
            who: "ada".into(),
            reason: Some("mended".into()),
            topic: "order.followups".into(),
            key: Some("o-1".into()),
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
    let first = json(&desk.get(&format!("{DEAD}?limit=1")).await);
    let expected = json!({
        "id": "order.commands:2:2", "topic": "order.commands", "partition": 2, "offset": 7,
        "dead_offset": 2,
        "at": "2026-01-01T00:00:00.000Z", "error": "malformed", "type": "", "sender": "ada",
        "bytes": 9,
    });
    assert_eq!(first["items"], json!([expected]));
    let next = first["next"].as_str().unwrap();
    let second = json(&desk.get(&format!("{DEAD}?cursor={next}")).await);
    assert_eq!((&second["items"][0]["dead_offset"], &second["next"]), (&json!(0), &json!(null)));

    let shown = json(&desk.get(PARKED).await);
    assert_eq!(shown["items"][0]["records"], 3);
    let after = desk.get(&format!("{PARKED}?cursor=order.followups/o-1")).await;
    assert_eq!(json(&after)["items"], json!([]));
    let actions = desk.get(ACTIONS).await;
    let action = &json(&actions)["items"][0];
    assert_eq!((&action["reason"], &action["edited_offset"]), (&json!("mended"), &json!(5)));
    assert_eq!(action["after"], json!({ "sku": "rye" }));
    assert_eq!(header(&actions, "cache-control"), "no-store");
    for path in [DEAD, PARKED, ACTIONS] {
        let wrong = desk.get(&format!("{path}?cursor=x")).await;
        assert_problem(&wrong, 400, "invalid_request");
    }
}

#[tokio::test]
async fn parked_records_are_shown_with_their_content_page_by_page() {
    let desk = Desk::open();
    {
        let mut inner = desk.world().inner();
        inner.desk.parked = vec![parked("o-1")];
        let tea = || json!({ "sku": "tea" });
        inner.desk.records = vec![record(5, Some("broken"), tea()), record(6, None, tea())];
    }
    let first = json(&desk.get(RECORDS).await);
    assert_eq!(
        (&first["items"][0]["error"], &first["items"][1]["error"]),
        (&json!("broken"), &json!(null))
    );
    assert_eq!(first["items"][0]["value"], json!({ "sku": "tea" }));
    let second = json(&desk.get(&format!("{RECORDS}&cursor=5")).await);
    assert_eq!(second["items"][0]["offset"], 6);
    for wrong in
        ["", "?topic=order.followups", "?topic=nothing&key=o-1", "?topic=order.followups&key="]
    {
        let refused = desk.get(&format!("/v1/operations/parked/records{wrong}")).await;
        assert_problem(&refused, 400, "invalid_request");
    }
}

#[tokio::test]
async fn records_are_shown_with_the_version_of_their_schema() {
    let (versions, _) = registry(Duration::ZERO).await;
    let desk = Desk::of(registered(versions));
    desk.bury();
    {
        let mut inner = desk.world().inner();
        let placed = || "millrace.order.OrderPlaced".to_owned();
        inner.desk.dead[0].record_type = placed();
        inner.desk.parked = vec![parked("o-1")];
        let mut unversioned = record(6, None, json!({}));
        unversioned.schema_id = None;
        let mut versioned = record(5, None, json!({}));
        versioned.record_type = placed();
        inner.desk.records = vec![versioned, unversioned];
    }
    let letter = json(&desk.get(&format!("{DEAD}/order.commands:2:17")).await);
    let records = json(&desk.get(RECORDS).await)["items"].clone();
    for shown in [&letter, &records[0]] {
        assert_eq!((&shown["schema_id"], &shown["schema_version"]), (&json!(9), &json!(3)));
    }
    assert_eq!((records[1].get("schema_id"), records[1].get("schema_version")), (None, None));
}
