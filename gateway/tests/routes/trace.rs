//! The trace of a command or an order: who reads it, and what of a record is shown.

use gateway::reads::{Applied, Since};
use projections::postgres::{TraceEntry, TraceView};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::*;

/// A record of a trace, with schema 9.
pub(crate) fn entry(topic: &str, at_ms: i64, id: Uuid, caused_by: Option<Uuid>) -> TraceEntry {
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
    let applied = [
        ("orders", Since::By(1_060)),
        ("live-order", Since::Unknown),
        ("statistics", Since::NotYet),
    ];
    let applied = applied.map(|(projection, since)| Applied { projection, since });
    gateway.world.inner().applied.insert(event, applied.to_vec());

    let response = gateway.get(&path(command), Some(&ada)).await;

    assert_eq!((response.status().as_u16(), header(&response, "cache-control")), (200, "no-store"));
    let trace = json(&response);
    assert_eq!((&trace["state"], &trace["is_cut"]), (&json!("accepted"), &json!(false)));
    assert_eq!((&trace["records"][0]["parent"], &trace["waits"]), (&Value::Null, &Value::Null));
    let expected = json!({
        "parent": 0, "depth": 1,
        "topic": "order.events", "partition": 2, "offset": 40, "key": "rye",
        "type": "millrace.order.OrderPlaced", "schema_id": 9, "bytes": 700,
        "at": "1970-01-01T00:00:01.004Z", "after_ms": 4,
        "id": event, "caused_by": command, "version": 1, "source": "/millrace/order",
        "is_decided_at_once": false,
        "applied": [
            {
                "projection": "orders", "is_applied": true,
                "by": "1970-01-01T00:00:01.060Z", "after_ms": 60,
            },
            { "projection": "live-order", "is_applied": true },
            { "projection": "statistics", "is_applied": false },
        ],
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
    assert_eq!(found["waits"], json!({ "records": [] }));
    assert_problem(&gateway.get(&path(other), Some(&ada)).await, 404, "not_found");
}

#[tokio::test]
async fn trace_of_a_record_is_that_of_its_command_for_who_reads_that() {
    let gateway = gateway();
    let (ada, bob) = (gateway.user("ada@example.org").await, gateway.user("bob@example.org").await);
    let command = ordered(&gateway, &ada).await;
    let event = entry("order.events", 1_004, Uuid::from_u128(5), Some(command));
    let entries = vec![entry("order.commands", 1_000, command, None), event];
    gateway.world.inner().traces.insert(command, TraceView { entries, is_cut: false });

    let of_command = json(&gateway.get(&path(command), Some(&ada)).await);
    for place in ["order.events:2:40", "order.events%3A2%3A40", "order.commands:2:40"] {
        let path = format!("/v1/records/{place}/trace");
        for token in [&ada, &gateway.admin()] {
            let found = gateway.get(&path, Some(token)).await;
            assert_eq!((found.status().as_u16(), &json(&found)), (200, &of_command), "{place}");
        }
        assert_problem(&gateway.get(&path, Some(&bob)).await, 404, "not_found");
        assert_problem(&gateway.get(&path, None).await, 404, "not_found");
        assert_problem(&gateway.get(&path, Some("none")).await, 401, "invalid_token");
    }
    for place in ["order.events:2:41", "stock.events:2:40", "order.events:2", "nothing"] {
        let unknown = gateway.get(&format!("/v1/records/{place}/trace"), Some(&ada)).await;
        assert_problem(&unknown, 404, "not_found");
    }
}

#[tokio::test]
async fn trace_by_a_record_shows_commands_without_a_user_to_admins_alone() {
    let gateway = gateway();
    let ada = gateway.user("ada@example.org").await;
    let body = json!({ "email": "bob@example.org", "password": "a long password", "name": "Bob" });
    gateway.command("POST", "/v1/users", None, body).await;
    let command = gateway.world.last().id;
    let entries = vec![entry("user.commands", 1_000, command, None)];
    gateway.world.inner().traces.insert(command, TraceView { entries, is_cut: false });

    // Its id can't be guessed, and a client that knows it may read its trace.
    assert_eq!(gateway.get(&path(command), None).await.status(), 200);
    // A place can be guessed.
    let by_record = "/v1/records/user.commands:2:40/trace";
    for token in [None, Some(&*ada)] {
        assert_problem(&gateway.get(by_record, token).await, 404, "not_found");
    }
    assert_eq!(gateway.get(by_record, Some(&gateway.admin())).await.status(), 200);
}

#[tokio::test]
async fn trace_of_an_order_has_the_records_of_all_commands_that_changed_it() {
    let gateway = gateway();
    let ada = gateway.user("ada@example.org").await;
    let placed = ordered(&gateway, &ada).await;
    let order = gateway.world.last().key;
    gateway.send(with(Some(&ada), request("POST", &format!("/v1/orders/{order}/cancel")))).await;
    let cancelled = gateway.world.last().id;
    let trace = |entries| TraceView { entries, is_cut: false };
    let mut traces = Vec::new();
    for (at_ms, command) in [(1_000, placed), (2_000, cancelled)] {
        let event = Uuid::new_v5(&command, b"event");
        traces.push((
            command,
            trace(vec![
                entry("order.commands", at_ms, command, None),
                entry("order.events", at_ms + 5, event, Some(command)),
            ]),
        ));
    }
    gateway.world.inner().traces.extend(traces);

    let path = format!("/v1/orders/{order}/trace");
    let response = gateway.get(&path, Some(&ada)).await;

    let trace = json(&response);
    assert_eq!((response.status().as_u16(), &trace["state"]), (200, &json!("cancelled")));
    assert_eq!(trace["commands"], json!([placed, cancelled]));
    let after: Vec<_> = trace["records"].as_array().expect("records").iter().collect();
    let after: Vec<_> = after.iter().map(|it| (&it["after_ms"], &it["depth"])).collect();
    let expected = [(0, 0), (5, 1), (1_000, 0), (1_005, 1)].map(|it| (json!(it.0), json!(it.1)));
    assert_eq!(after, expected.each_ref().map(|(ms, depth)| (ms, depth)));
    assert_eq!(trace["links"]["order"], format!("/v1/orders/{order}"));
    assert_eq!(trace["links"]["self"], path);
}

#[tokio::test]
async fn trace_of_an_order_is_read_by_its_user_and_by_admins_and_by_nobody_else() {
    let gateway = gateway();
    let (ada, bob) = (gateway.user("ada@example.org").await, gateway.user("bob@example.org").await);
    let placed = ordered(&gateway, &ada).await;
    let order = gateway.world.last().key;
    // Given that an operator's command changed the order too, and another aggregate
    let theirs = Uuid::from_u128(7);
    let mut of_order = entry("order.events", 9, Uuid::from_u128(8), Some(theirs));
    of_order.key = Some(order.clone());
    let of_other = entry("stock.events", 9, Uuid::from_u128(9), Some(theirs));
    {
        let mut inner = gateway.world.inner();
        let mut sent = inner.written.last().expect("a command").clone();
        sent.id = theirs;
        inner.written.push(sent);
        let own = vec![entry("order.commands", 1, placed, None)];
        inner.traces.insert(placed, TraceView { entries: own, is_cut: false });
        let others = TraceView { entries: vec![of_order, of_other], is_cut: false };
        inner.traces.insert(theirs, others);
    }

    let path = format!("/v1/orders/{order}/trace");
    let topics = async |token: &str| -> Vec<String> {
        let records = json(&gateway.get(&path, Some(token)).await)["records"].clone();
        let topic = |it: &Value| it["topic"].as_str().expect("a topic").to_owned();
        records.as_array().expect("records").iter().map(topic).collect()
    };
    // Then the user sees what it did to the order, and an admin all of it
    assert_eq!(topics(&ada).await, ["order.commands", "order.events"]);
    assert_eq!(topics(&gateway.admin()).await, ["order.commands", "order.events", "stock.events"]);
    assert_problem(&gateway.get(&path, Some(&bob)).await, 404, "not_found");
    assert_problem(&gateway.get(&path, None).await, 401, "unauthorized");
}

#[tokio::test]
async fn page_of_a_trace_runs_only_its_own_script() {
    let gateway = gateway();
    let id = "c0ffee00-0000-4000-8000-000000000000";
    for (of, named) in [("commands", id), ("orders", id), ("records", "order.events:2:17")] {
        let path = format!("/{of}/{named}");
        let page = gateway.get(&path, None).await;
        assert_eq!(page.status(), 200);
        let policy = header(&page, "content-security-policy");
        assert!(policy.contains("script-src 'sha256-") && !policy.contains("unsafe"), "{policy}");
        let wrong = gateway.get(&format!("/{of}/nothing"), None).await;
        assert_problem(&wrong, 404, "not_found");
    }
}
