//! Topics and schemas: what provisioning creates, finds and changes.

use redpanda::provision::Provision;
use redpanda::topics::Topics;

use crate::support::{PARTITIONS, TestTopics, brokers, registry, wait_for};

#[test]
#[ignore = "needs the stack"]
fn provisioning_again_finds_nothing_to_do_and_ids_are_found_by_content() {
    let topics = TestTopics::new();
    wait_for(async {
        let plan = topics.provision().plan().await.expect("a plan");
        assert!(plan.is_empty(), "{plan:?}");
        let registry = registry();
        let before = registry.codec(schemas::all()).await.expect("a codec");
        for schema in schemas::all() {
            let id = registry.register(schema).await.expect("an id");
            assert_eq!(before.id_of(schema), Some(id), "{}", schema.name);
            let text = registry.schema_by_id(id).await.expect("an answer").expect("a schema");
            let (there, here): (serde_json::Value, serde_json::Value) = (
                serde_json::from_str(&text).expect("JSON"),
                serde_json::from_str(schema.json).expect("JSON"),
            );
            assert_eq!(there, here, "{}", schema.name);
        }
        assert_eq!(registry.schema_by_id(999_999).await.expect("an answer"), None);
    });
}

#[test]
#[ignore = "needs the stack"]
fn topic_with_another_partition_count_is_refused_and_not_changed() {
    let topics = TestTopics::new();
    let text = format!(
        "defaults: {{ partitions: 3, bytes_max: 1048576 }}\ntopics:\n  {}: {{ owner: t, doc: d, keep: 1d, records: [millrace.Outcome] }}\n",
        topics.topic("in")
    );
    let other = Topics::parse(&text).expect("topics");
    let provision = Provision::of(&brokers(), registry(), 1, other).expect("a client");
    let plan = wait_for(provision.plan()).expect("a plan");
    assert!(plan.steps.is_empty(), "{plan:?}");
    let conflicts: Vec<_> = plan.conflicts.iter().map(ToString::to_string).collect();
    assert!(conflicts.len() == 1 && conflicts[0].contains("has 2 partitions"), "{conflicts:?}");
}

#[test]
#[ignore = "needs the stack"]
fn settings_that_have_changed_are_set_again() {
    let topics = TestTopics::new();
    let text = format!(
        "defaults: {{ partitions: {PARTITIONS}, bytes_max: 2000000 }}\ntopics:\n  {}: {{ owner: t, doc: d, keep: 3d, records: [millrace.Outcome] }}\n",
        topics.topic("in")
    );
    wait_for(async {
        let other = Topics::parse(&text).expect("topics");
        let provision = Provision::of(&brokers(), registry(), 1, other).expect("a client");
        let plan = provision.plan().await.expect("a plan");
        let shown: Vec<_> = plan.steps.iter().map(ToString::to_string).collect();
        assert_eq!(shown.len(), 1, "{shown:?}");
        assert!(shown[0].contains("max.message.bytes 1048576 -> 2000000"), "{shown:?}");
        assert!(shown[0].contains("retention.ms 86400000 -> 259200000"), "{shown:?}");
        provision.apply(&plan.steps[0]).await.expect("applied");
        assert!(provision.plan().await.expect("a plan").is_empty());
    });
}
