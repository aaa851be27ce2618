//! The declared topics, and declarations that are wrong.

use std::collections::BTreeSet;

use super::*;

#[test]
fn acknowledged_record_is_on_most_replicas_if_there_are_three_or_more() {
    let topic = all().get("order.events").expect("a topic");
    let in_sync = |replicas| topic.settings_for(replicas)["min.insync.replicas"].clone();
    assert_eq!([1, 2, 3, 4, 5].map(in_sync), ["1", "1", "2", "3", "3"]);
}

#[test]
fn every_schema_is_declared_for_a_topic() {
    let named: BTreeSet<_> =
        all().iter().flat_map(|topic| &topic.records).map(String::as_str).collect();
    // `Metadata` describes headers and is never a value.
    let without = |name: &&str| *name != "millrace.Metadata" && !named.contains(name);
    let missing: Vec<_> = schemas::all().iter().map(|schema| schema.name).filter(without).collect();
    assert!(missing.is_empty(), "topics.yaml names no topic for {missing:?}");
}

#[test]
fn records_of_a_topic_follow_from_the_folders_of_their_schemas() {
    let record = |name, folder| RecordType { name, folder };
    let records = [
        record("a.Made", "a/events"),
        record("a.Make", "a/commands"),
        record("a.state.Alive", "a/state"),
        record("b.Done", "b/events"),
        record("b.state.Child", "b/child"),
        record("c.Seen", "c/events"),
        record("c.state.Life", "c/state"),
        record("engine.Redrive", "engine/commands"),
        record("engine.KeyRedriven", "engine/events"),
        record("engine.Timer", "engine"),
    ];
    let text = "defaults: {partitions: 1, bytes_max: 1000000}\ntopics:\n".to_owned()
        + "  a.commands: {owner: gateway, keep: 1d, doc: d}\n"
        + "  a.events: {owner: a, keep: 1d, doc: d}\n"
        + "  b.events: {owner: a, keep: 1d, doc: d}\n"
        + "  c.events: {owner: c, keep: 1d, doc: d}\n"
        + "  a.state: {owner: a, keep: compacted, doc: d}\n"
        + "  a.operations: {owner: a, keep: 1d, doc: d}\n"
        + "  a.commands.dead: {owner: a, keep: 1d, doc: d, bytes_max: 2000000}\n";
    let topics = Topics::parse_for(&text, &records).expect("topics");
    let carried = |topic| topics.get(topic).expect("a topic").records.clone();
    assert_eq!(carried("a.commands"), ["a.Make", "engine.Redrive"]);
    assert_eq!(carried("a.events"), ["a.Made"]);
    assert_eq!(carried("a.operations"), ["engine.KeyRedriven"]);
    assert_eq!(carried("a.state"), ["a.state.Alive", "b.state.Child", "engine.Timer"]);
    assert_eq!(carried("a.commands.dead"), Vec::<String>::new());
    let nothing = "  d.events: {owner: d, keep: 1d, doc: d}\n";
    let error = Topics::parse_for(&(text + nothing), &records).expect_err("no records");
    assert!(error.to_string().contains("d.events: records are named"), "{error}");
}

#[test]
fn topics_of_one_processor_have_one_partition_count_and_dead_letters() {
    for input in all().of_kind("commands").chain(all().of_kind("followups")) {
        assert!(all().dead(&input.name).is_some(), "{}", input.name);
    }
    // The owner of a topic of dead letters is the processor that reads its source.
    for dead in all().iter().filter(|topic| topic.is_dead()) {
        let changelog = all().changelog(&dead.owner).expect("a changelog");
        assert_eq!(changelog.keep, Keep::Compacted);
        assert_eq!(dead.partitions, changelog.partitions, "{}", dead.name);
    }
}

#[test]
fn limit_of_every_topic_lies_between_a_full_batch_and_the_largest_record_of_a_session() {
    for topic in all().iter() {
        let (name, bytes_max) = (&topic.name, topic.bytes_max);
        assert!((BATCH_BYTES_MAX..=RECORD_BYTES_MAX).contains(&bytes_max), "{name}: {bytes_max}");
    }
    assert_eq!(record_bytes_max("order.state"), 2 * record_bytes_max("order.events"));
    assert_eq!(record_bytes_max("not.declared"), 1024 * 1024);
}

#[test]
fn wrong_declaration_is_refused_with_the_reason() {
    let declared = |name: &str, rest: &str| {
        let text = format!(
            "{{defaults: {{partitions: 4, bytes_max: 100}}, \
             topics: {{{name}: {{owner: o, doc: d, {rest}}}}}}}"
        );
        Topics::parse(&text).map(drop).map_err(|error| error.to_string())
    };
    assert_eq!(declared("a.b", "keep: 7d, records: [millrace.Outcome]"), Ok(()));
    for (name, rest, expected) in [
        ("a.b", "keep: 7h, records: [millrace.Outcome]", "`keep`"),
        ("a.b", "keep: 0d, records: [millrace.Outcome]", "`keep`"),
        ("a.b", "keep: 7d, records: [millrace.Nothing]", "there is no schema millrace.Nothing"),
        ("a.b", "keep: 7d, records: []", "records are named"),
        ("a.b", "keep: 7d, records: [millrace.Outcome], partitions: 0", "partition"),
        ("a.b", "keep: 7d, records: [millrace.Outcome], surprise: 1", "surprise"),
        ("A_b", "keep: 7d, records: [millrace.Outcome]", "a name"),
        ("a.b.dead", "keep: 7d, records: []", "there is no topic a.b"),
    ] {
        let error = declared(name, rest).expect_err(rest);
        assert!(error.contains(expected), "{error}");
    }
}
