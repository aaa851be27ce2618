//! Properties of the whole log, which must hold after all other tests. These run last.

use std::collections::{BTreeMap, BTreeSet};

use redpanda::topics;
use schemas::{Outcome, Record as _, headers};

use crate::log::{codec, outcomes, read};
use crate::support::{RECOVERY_MAX, eventually, must, system};

#[tokio::test]
#[ignore = "needs the stack"]
async fn every_command_has_one_outcome() {
    // Given every command in the log
    something_happens().await;
    let codec = codec().await;
    assert!(codec.id_of(Outcome::SCHEMA).is_some(), "the registry knows outcomes");
    let mut commands = BTreeSet::new();
    for topic in topics::all().of_kind("commands") {
        let records = read(&topic.name).await;
        commands.extend(records.iter().map(|record| record.header(headers::ID).to_owned()));
    }
    // Commands without an id are poison of other tests.
    commands.remove("");
    assert!(!commands.is_empty(), "there are commands");

    // Then each has an outcome, soon
    let outcomes = eventually("an outcome for each command", RECOVERY_MAX, async || {
        let outcomes = outcomes(&codec).await;
        let without: Vec<_> = commands.iter().filter(|id| !outcomes.contains_key(*id)).collect();
        must(without.is_empty(), (without.len(), without.first()))?;
        Ok(outcomes)
    })
    .await;

    // And none has two different outcomes
    let double: Vec<_> = outcomes.values().filter(|of_command| of_command.len() > 1).collect();
    assert!(double.is_empty(), "{double:?}");
    println!("{} commands, {} outcomes", commands.len(), outcomes.len());
}

#[tokio::test]
#[ignore = "needs the stack"]
async fn versions_of_every_aggregate_have_no_gaps() {
    something_happens().await;
    for topic in topics::all().of_kind("events").map(|topic| &topic.name) {
        let mut versions: BTreeMap<String, i64> = BTreeMap::new();
        let mut homes: BTreeMap<String, i64> = BTreeMap::new();
        let mut ids = BTreeSet::new();
        let events = read(topic).await;
        for event in &events {
            let (key, version) =
                (event.key(), event.header(headers::VERSION).parse::<i64>().expect("a version"));
            let before = versions.insert(key.clone(), version).unwrap_or(0);
            assert_eq!(before + 1, version, "{topic} {key}: {version} after {before}");
            assert_eq!(
                event.partition,
                *homes.entry(key.clone()).or_insert(event.partition),
                "{topic} {key}"
            );
            assert!(ids.insert(event.header(headers::ID).to_owned()), "{topic} {key}: an id twice");
        }
        assert!(!events.is_empty(), "{topic} is empty");
        println!("{topic}: {} events of {} aggregates", events.len(), versions.len());
    }
}

/// Writes an event of every context.
async fn something_happens() {
    let system = system().await;
    let admin = system.admin().await;
    let sku = system.product(&admin, 100, 10).await;
    let ada = system.user("Ada").await;
    ada.order(&[(&sku, 1)]).await;
    eventually("a notification", RECOVERY_MAX, async || {
        must(!read("notification.events").await.is_empty(), "none")
    })
    .await;
}
