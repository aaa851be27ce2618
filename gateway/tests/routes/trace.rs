//! The trace of a command: who reads it, and what of a record is shown.

use projections::postgres::{TraceEntry, TraceView};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::*;

fn entry(topic: &str, at_ms: i64, id: Uuid, caused_by: Option<Uuid>) -> TraceEntry {
    TraceEntry {
        topic: topic.to_owned(),
        partition: 2,
        offset: 40,
        at_ms,
        key: Some("rye".to_owned()),
        kind: Some("millrace.order.OrderPlaced".to_owned()),
        schema_id: Some(9),
        bytes: 700,
        id,
        caused_by,
        version: caused_by.map(|_| 1),
        source: Some("/millrace/order".to_owned()),
        is_decided: false,
    }
}

/// Places an order. Returns the command's id.
async fn ordered(gateway: &Gateway, token: &str) -> Uuid {
    let order = json!({ "lines": [{ "sku": "rye", "quantity": 1 }] });
    gateway.send(with(Some(token), request("POST", "/v1/orders")).json(&order)).await;
    gateway.world.last().id
}

fn path(command: Uuid) -> String {
    format!("/v1/commands/{command}/trace")
}

#[tokio::test]
async fn trace_is_a_tree_of_records_with_their_place_and_time() {
    let gateway = gateway();
    let ada = gateway.user("ada@example.org").await;
    let command = ordered(&gateway, &ada).await;
    let event = Uuid::from_u128(5);
    let entries = vec![
        entry("order.commands", 1_000, command, None),
        entry("order.events", 1_004, event, Some(command)),
    ];
    gateway.world.inner().traces.insert(command, TraceView { entries, is_cut: false });

    let response = gateway.get(&path(command), Some(&ada)).await;

    assert_eq!((response.status().as_u16(), header(&response, "cache-control")), (200, "no-store"));
    let trace = json(&response);
    assert_eq!((&trace["state"], &trace["is_cut"]), (&json!("accepted"), &json!(false)));
    assert_eq!(trace["records"][0]["parent"], Value::Null);
    let expected = json!({
        "parent": 0, "depth": 1,
        "topic": "order.events", "partition": 2, "offset": 40, "key": "rye",
        "type": "millrace.order.OrderPlaced", "schema_id": 9, "bytes": 700,
        "at": "1970-01-01T00:00:01.004Z", "after_ms": 4,
        "id": event, "caused_by": command, "version": 1, "source": "/millrace/order",
        "is_decided_at_once": false,
    });
    assert_eq!(trace["records"][1], expected);
}

#[tokio::test]
async fn trace_is_read_by_the_sender_and_by_admins_and_by_nobody_else() {
    let gateway = gateway();
    let (ada, bob) = (gateway.user("ada@example.org").await, gateway.user("bob@example.org").await);
    let command = ordered(&gateway, &ada).await;

    let own = gateway.get(&path(command), Some(&ada)).await;
    assert_eq!((own.status().as_u16(), &json(&own)["records"]), (200, &json!([])));
    assert_problem(&gateway.get(&path(command), Some(&bob)).await, 404, "not_found");
    assert_problem(&gateway.get(&path(command), None).await, 404, "not_found");
    let admins = gateway.get(&path(command), Some(&gateway.admin())).await;
    assert_eq!((admins.status().as_u16(), &json(&admins)["state"]), (200, &json!("accepted")));
    // An admin also reads what was caused by no client of the gateway, if there is anything.
    let other = Uuid::from_u128(7);
    let read = async || gateway.get(&path(other), Some(&gateway.admin())).await;
    assert_problem(&read().await, 404, "not_found");
    let entries = vec![entry("order.events", 1, Uuid::from_u128(8), Some(other))];
    gateway.world.inner().traces.insert(other, TraceView { entries, is_cut: true });
    let found = json(&read().await);
    assert_eq!((&found["state"], &found["is_cut"]), (&json!("pending"), &json!(true)));
    assert_problem(&gateway.get(&path(other), Some(&ada)).await, 404, "not_found");
}

#[tokio::test]
async fn page_of_a_trace_runs_only_its_own_script() {
    let gateway = gateway();
    let page = gateway.get("/commands/c0ffee00-0000-4000-8000-000000000000", None).await;
    assert_eq!(page.status(), 200);
    let policy = header(&page, "content-security-policy");
    let wrong = gateway.get("/commands/nothing", None).await;
    assert_problem(&wrong, 404, "not_found");
    assert!(policy.contains("script-src 'sha256-") && !policy.contains("unsafe"), "{policy}");
}
