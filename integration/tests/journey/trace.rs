//! The trace of a command: equal to what the topics say of it, soon after its outcome.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use redpanda::topics;
use schemas::headers;

use crate::log::read;
use crate::support::{Judge, SEEN_MAX, Send, eventually, must, system};

/// What is compared of a record.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Traced {
    topic: String,
    partition: i64,
    offset: i64,
    id: String,
    /// The id of what caused it.
    caused_by: String,
}

/// The records of all topics but changelogs, by correlation id.
async fn by_correlation() -> BTreeMap<String, BTreeSet<Traced>> {
    let mut found: BTreeMap<String, BTreeSet<Traced>> = BTreeMap::new();
    let traced = topics::all().iter().filter(|topic| !topic.name.ends_with(".state"));
    for topic in traced {
        for record in read(&topic.name).await {
            let header = |name| record.header(name).to_owned();
            let traced = Traced {
                topic: topic.name.clone(),
                partition: record.partition,
                offset: record.offset,
                id: header(headers::ID),
                caused_by: header(headers::CAUSATION_ID),
            };
            found.entry(header(headers::CORRELATION_ID)).or_default().insert(traced);
        }
    }
    found
}

/// The records of a trace.
fn traced(answer: &integration::client::Answer) -> BTreeSet<Traced> {
    let records = answer.body["records"].as_array().expect("records");
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let number = |value: &serde_json::Value| value.as_i64().expect("a number");
    let traced: BTreeSet<_> = records
        .iter()
        .map(|it| Traced {
            topic: text(&it["topic"]),
            partition: number(&it["partition"]),
            offset: number(&it["offset"]),
            id: text(&it["id"]),
            caused_by: text(&it["caused_by"]),
        })
        .collect();
    assert_eq!(records.len(), traced.len(), "no record twice");
    traced
}

#[tokio::test]
#[ignore = "needs the stack"]
async fn trace_has_the_records_that_the_topics_have_of_its_command_and_no_other() {
    // Given two users who order
    let system = system().await;
    let admin = system.admin().await;
    let sku = system.product(&admin, 100, 100).await;
    let (ada, bob) = (system.user("Ada").await, system.user("Bob").await);
    let mut commands = Vec::new();
    for (user, pieces) in [(&ada, 1), (&bob, 2), (&ada, 1_000)] {
        let placed = user.client.place_order(&[(&sku, pieces)]).answer().await;
        let location = placed.expect(202).header("location").expect("an address").to_owned();
        commands.push((user, location));
    }

    // Then the trace of each has soon all records, also those of its notification
    for (user, location) in &commands {
        let path = format!("{location}/trace");
        eventually("the notification is in the trace", SEEN_MAX, async || {
            let trace = user.client.get(&path).answer().await;
            let raised = "millrace.notification.NotificationRaised";
            let records = trace.expect(200).body["records"].as_array().cloned();
            must(records.iter().flatten().any(|it| it["type"] == raised), &trace.body)
        })
        .await;
        let id = location.rsplit('/').next().expect("an id");
        eventually("the trace equals the topics", SEEN_MAX, async || {
            let expected = by_correlation().await.remove(id).unwrap_or_default();
            let trace = user.client.get(&path).answer().await;
            must(traced(&trace) == expected, (traced(&trace), &expected))?;
            must(expected.len() > 8, expected.len())
        })
        .await;
        // And every projection has soon applied each record, at a time that is known
        eventually("every projection has applied the records", SEEN_MAX, async || {
            let trace = user.client.get(&path).answer().await;
            let records = trace.expect(200).body["records"].as_array().expect("records").clone();
            for it in &records {
                let applied = it["applied"].as_array().expect("projections");
                must(applied.iter().all(|by| by["after_ms"].is_i64()), it)?;
                let is_after =
                    |by: &serde_json::Value| by["after_ms"].as_i64() >= it["after_ms"].as_i64();
                must(applied.iter().all(is_after), it)?;
            }
            let of_events = records.iter().filter(|it| it["topic"] == "order.events");
            let names = of_events.flat_map(|it| it["applied"].as_array()).flatten();
            let names: BTreeSet<_> = names.filter_map(|by| by["projection"].as_str()).collect();
            let expected = ["orders", "live-order", "statistics"];
            must(expected.iter().all(|name| names.contains(name)), names)
        })
        .await;
        // And every record but the command has its cause in the trace
        let trace = admin.get(&path).answer().await;
        let records = trace.expect(200).body["records"].as_array().expect("records").clone();
        let roots: Vec<_> = records.iter().filter(|it| it["parent"].is_null()).collect();
        assert!(roots.len() == 1 && roots[0]["id"] == id, "{roots:?}");
        assert!(!trace.body.to_string().contains('@'), "no address: {}", trace.body);
        // And the registry says the version of each record's schema
        let versions = async || {
            let trace = admin.get(&path).answer().await;
            let records = trace.expect(200).body["records"].as_array().expect("records").clone();
            must(records.iter().all(|it| it["schema_version"].is_u64()), records)
        };
        eventually("every schema has its version", SEEN_MAX, versions).await;
    }

    // And by each of its records one finds the same trace
    let path = format!("{}/trace", commands[0].1);
    let trace = ada.client.get(&path).answer().await;
    for it in trace.expect(200).body["records"].as_array().expect("records") {
        let (topic, number) = (it["topic"].as_str().expect("a topic"), |name: &str| &it[name]);
        let place = format!("{topic}:{}:{}", number("partition"), number("offset"));
        let path = format!("/v1/records/{place}/trace");
        let found = ada.client.get(&path).answer().await;
        assert_eq!(trace.body["command"], found.expect(200).body["command"], "{place}");
        bob.client.get(&path).answer().await.problem(404, "not_found");
    }

    // And nobody else reads it
    bob.client.get(&path).answer().await.problem(404, "not_found");
    system.visitor().get(&path).answer().await.problem(404, "not_found");
}

#[tokio::test]
#[ignore = "needs the stack"]
async fn trace_of_a_registration_has_no_address_and_no_fingerprint() {
    // Given a user who has registered
    let system = system().await;
    let email = crate::support::any_email("Ada");
    let registered = system.visitor().register(&email, crate::support::PASSWORD, "Ada");
    let registered = registered.answer().await;
    let path = format!("{}/trace", registered.expect(202).header("location").expect("an address"));

    // Then the trace has the claim of the address, without its key
    let trace = eventually("the claim is in the trace", SEEN_MAX, async || {
        let trace = system.visitor().get(&path).answer().await;
        let records = trace.expect(200).body["records"].as_array().cloned().unwrap_or_default();
        let claimed = records.iter().any(|it| it["topic"] == "email.events");
        must(claimed && trace.body["state"] == "accepted", &trace.body)?;
        Ok(trace)
    })
    .await;
    for record in trace.body["records"].as_array().expect("records") {
        let is_of_address = record["topic"].as_str().expect("a topic").starts_with("email.");
        assert_eq!(is_of_address, record["key"].is_null(), "{record}");
    }
    let text = trace.body.to_string();
    assert!(!text.contains(&email) && !text.contains("Ada"), "{text}");
}

#[tokio::test]
#[ignore = "needs the stack"]
async fn trace_has_the_outcome_soon_after_the_outcome_is_known() {
    // Given an order whose outcome is known
    let system = system().await;
    let admin = system.admin().await;
    let sku = system.product(&admin, 100, 100).await;
    let ada = system.user("Ada").await;
    let mut took = Vec::new();
    for _ in 0..5 {
        let placed = ada.client.place_order(&[(&sku, 1)]).answer().await;
        let location = placed.expect(202).header("location").expect("an address").to_owned();
        let status = ada.client.get(&location).wait(10).answer().await;
        assert_eq!("accepted", status.expect(200).string("state"));
        let begun = Instant::now();

        // Then the trace has it soon; a busy machine takes longer than the second that is promised
        let trace = format!("{location}/trace");
        eventually("the outcome is in the trace", SEEN_MAX, async || {
            let trace = ada.client.get(&trace).answer().await;
            let records = trace.expect(200).body["records"].as_array().cloned();
            let is_outcome =
                |it: &serde_json::Value| it["topic"].as_str() == Some("order.outcomes");
            must(records.iter().flatten().any(is_outcome), &trace.body)
        })
        .await;
        took.push(begun.elapsed());
    }
    println!("from the outcome to its trace: {took:?}");
}
