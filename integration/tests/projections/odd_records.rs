//! Records that a store can't hold as they are.

use std::time::Duration;

use crate::stories::{registered, uuid};
use crate::support::Bench;

#[test]
#[ignore = "needs the stack: integration/test"]
fn text_with_a_nul_is_stored_without_it_and_what_follows_is_applied() {
    let bench = Bench::new(9);
    let names = ["order-outcomes", "users"];
    let projections: Vec<_> = names.iter().map(|name| bench.one(name)).collect();
    let mut members: Vec<_> =
        projections.iter().map(|one| bench.member(one.name(), &**one)).collect();
    // given an outcome of an operator's command, and a fingerprint that is longer than an index
    // allows
    let odd = |text: &str| format!("{text}\0");
    let outcome = schemas::Outcome {
        command_type: odd("type"),
        principal: odd("principal"),
        fingerprint: Some(odd("fingerprint")),
        detail: Some(odd("detail")),
        code: Some(odd("code")),
        aggregate_id: odd("id"),
        ..crate::stories::accepted(uuid(1))
    };
    bench.append("order.outcomes", &uuid(1).to_string(), 1, &outcome);
    registered(
        &bench,
        uuid(2),
        &format!("{}\0", (0..9_000).map(|n| format!("{n}")).collect::<String>()),
    );
    // then
    let found = bench.until(&mut members, "the outcome", || {
        bench.wait(bench.people.outcome(uuid(1))).expect("an answer")
    });
    assert_eq!((&*found.command_type, &*found.principal), ("type\u{fffd}", "principal\u{fffd}"));
    assert_eq!(found.fingerprint.as_deref(), Some("fingerprint\u{fffd}"));
    bench.until(&mut members, "the user", || {
        bench.wait(bench.people.user(uuid(2))).expect("an answer").filter(|user| user.version == 2)
    });
}

#[test]
#[ignore = "needs the stack: integration/test"]
fn unreadable_record_is_a_dead_letter_in_every_store_and_its_partition_continues() {
    let bench = Bench::new(10);
    let names = ["users", "recipients", "live-user"];
    let projections: Vec<_> = names.iter().map(|name| bench.one(name)).collect();
    let mut members: Vec<_> =
        projections.iter().map(|one| bench.member(one.name(), &**one)).collect();
    let key = uuid(1).to_string();
    bench.log.append(
        "user.events",
        &key,
        Some("not Avro".into()),
        redpanda::log::Headers::default(),
    );
    registered(&bench, uuid(1), "f1");
    // then all three have the next event
    let recipients = projections::mongo::Recipients::new(bench.mongo.clone());
    bench.until(&mut members, "the user everywhere", || {
        let user = bench.wait(bench.people.user(uuid(1))).expect("an answer")?;
        let recipient = bench.wait(recipients.find(uuid(1))).expect("an answer");
        let live =
            bench.wait(bench.live.read(&Default::default(), Duration::ZERO)).expect("an answer");
        // A reader of the stream from its beginning gets a reset, because an event is missing.
        (user.version == 2 && recipient.is_some() && live.reset).then_some(())
    });
    let partitions: Vec<_> =
        members.iter().map(projections::projector::Projector::partitions).collect();
    assert!(partitions.iter().all(|(_, waiting)| *waiting == 0), "{partitions:?}");
}
