//! The versions of schemas, which the registry says: shown beside the id, asked for once, and left
//! out when the registry is away.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use gateway::schema_versions::SchemaVersions;
use projections::postgres::TraceView;
use redpanda::registry::Registry;
use serde_json::{Value, json};
use uuid::Uuid;
use warp::Filter as _;

use crate::{support::*, trace::entry};

/// The command whose trace is read.
const COMMAND: Uuid = Uuid::from_u128(7);

/// A registry that knows schema 9, and answers after `delay`. Also returns the number of requests
/// that it has got.
pub(crate) async fn registry(delay: Duration) -> (SchemaVersions, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = asked.clone();
    let answer = warp::path!("schemas" / "ids" / u32 / "versions").then(move |id| {
        counter.fetch_add(1, Ordering::Relaxed);
        async move {
            tokio::time::sleep(delay).await;
            let found = match id {
                9 => json!([
                    { "subject": "millrace.order.OrderMoved", "version": 1 },
                    { "subject": "millrace.order.OrderPlaced", "version": 3 },
                ]),
                _ => json!([]),
            };
            warp::reply::json(&found)
        }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(warp::serve(answer).incoming(listener).run());
    (SchemaVersions::of(Registry::new(&url).unwrap()), asked)
}

/// The records of a trace whose first record has a schema that the registry knows, and whose second
/// one has another.
async fn records(gateway: &Gateway) -> Vec<Value> {
    let mut unknown = entry("order.events", 1_004, Uuid::from_u128(5), Some(COMMAND));
    unknown.schema_id = Some(10);
    let entries = vec![entry("order.commands", 1_000, COMMAND, None), unknown];
    gateway.world.inner().traces.insert(COMMAND, TraceView { entries, is_cut: false });
    let path = format!("/v1/commands/{COMMAND}/trace");
    let response = gateway.get(&path, Some(&gateway.admin())).await;
    assert_eq!(response.status(), 200, "{:?}", response.body());
    json(&response)["records"].as_array().unwrap().clone()
}

#[tokio::test]
async fn version_is_shown_beside_the_id_and_asked_for_once() {
    let (versions, asked) = registry(Duration::ZERO).await;
    let gateway = registered(versions);
    for requests in [2, 3, 4] {
        let records = records(&gateway).await;
        assert_eq!(
            (&records[0]["schema_id"], &records[0]["schema_version"]),
            (&json!(9), &json!(3))
        );
        assert_eq!(
            (&records[1]["schema_id"], &records[1]["schema_version"]),
            (&json!(10), &json!(null))
        );
        // A schema that is not registered may be soon, so it is asked for again.
        assert_eq!(asked.load(Ordering::Relaxed), requests);
    }
}

#[tokio::test]
async fn read_shows_the_id_alone_when_the_registry_is_away() {
    let away = SchemaVersions::of(Registry::new("http://127.0.0.1:1").unwrap());
    let (silent, asked) = registry(Duration::from_secs(60)).await;
    for versions in [away, silent] {
        let gateway = registered(versions);
        let begin = Instant::now();
        for _ in 0..10 {
            let records = records(&gateway).await;
            assert_eq!(
                (&records[0]["schema_id"], records[0].get("schema_version")),
                (&json!(9), None)
            );
        }
        // Only the first of the reads waits for it.
        assert!(begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());
    }
    assert!(asked.load(Ordering::Relaxed) <= 2);
}
