//! Settings of topics on a real broker. These tests run under `stack run`, as in integration/test;
//! `--servers-only` is enough. Each test creates its own topic.

use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier},
    client::DefaultClientContext,
};
use redpanda::{provision::Provision, registry::Registry, topics::Topics};

fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run this under `stack run`"))
}

type Admin = AdminClient<DefaultClientContext>;

/// A client of the broker that uses no code of Millrace.
fn admin() -> Admin {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", setting("MILLRACE_BROKERS")).create().expect("a client")
}

async fn value(admin: &Admin, topic: &str, name: &str) -> String {
    let described = [ResourceSpecifier::Topic(topic)];
    let found = admin.describe_configs(&described, &AdminOptions::new()).await.expect("an answer");
    let found = found[0].as_ref().expect("a topic").entry_map();
    found[name].value.clone().unwrap_or_default()
}

/// Provisions one topic with this declaration; returns the steps that were applied.
async fn provision(topic: &str, declared: &str) -> Vec<String> {
    let text = format!(
        "defaults: {{ partitions: 1, bytes_max: 1048576 }}\ntopics:\n  {topic}: {{ owner: t, \
         doc: d, records: [millrace.Outcome], {declared} }}\n"
    );
    let registry = Registry::new(&setting("MILLRACE_REGISTRY_URL")).expect("an address");
    let topics = Topics::parse(&text).expect("topics");
    let provision =
        Provision::of(&setting("MILLRACE_BROKERS"), registry, 1, topics).expect("a client");
    let provision = provision.with_schemas(Vec::new());
    let plan = provision.plan().await.expect("a plan");
    assert!(plan.conflicts.is_empty(), "{plan:?}");
    for step in &plan.steps {
        provision.apply(step).await.expect("applied");
    }
    provision.wait_for_leaders().await.expect("leaders");
    assert!(provision.plan().await.expect("a plan").is_empty());
    plan.steps.iter().map(ToString::to_string).collect()
}

/// A name that only this run uses, of small letters as topics require.
fn topic(kind: &str) -> String {
    let nanoseconds = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("a clock").as_nanos();
    let letter = |digit: char| char::from(b'a' + digit.to_digit(10).expect("a digit") as u8);
    format!("trial.{kind}.{}", nanoseconds.to_string().chars().map(letter).collect::<String>())
}

#[tokio::test]
#[ignore = "needs the stack"]
async fn setting_of_an_operator_stays_when_others_are_altered() {
    let (admin, topic) = (admin(), topic("hand"));
    provision(&topic, "keep: 1d").await;
    // AlterConfigs resets every setting that it does not name, so it names those of `provision`
    // too.
    let by_hand = AlterConfig::new(ResourceSpecifier::Topic(&topic))
        .set("retention.ms", "3600000")
        .set("message.timestamp.type", "LogAppendTime")
        .set("segment.ms", "86400000")
        .set("retention.bytes", "-1")
        .set("max.message.bytes", "1048576")
        .set("compression.type", "producer")
        .set("cleanup.policy", "delete")
        .set("flush.ms", "12345");
    let set = admin.alter_configs(&[by_hand], &AdminOptions::new()).await.expect("an answer");
    assert!(set.iter().all(Result::is_ok), "{set:?}");

    let steps = provision(&topic, "keep: 3d, bytes_max: 2000000").await;

    let [step] = steps.as_slice() else { panic!("one step: {steps:?}") };
    assert!(step.contains("max.message.bytes 1048576 -> 2000000"), "{step}");
    assert!(step.contains("retention.ms 3600000 -> 259200000"), "{step}");
    assert!(!step.contains("segment.ms"), "{step}");
    assert_eq!(value(&admin, &topic, "flush.ms").await, "12345");
    assert_eq!(value(&admin, &topic, "retention.ms").await, "259200000");
    assert_eq!(value(&admin, &topic, "segment.ms").await, "86400000");
}

#[tokio::test]
#[ignore = "needs the stack"]
async fn compacted_topic_has_small_segments_and_its_own_dirty_ratio() {
    let (admin, topic) = (admin(), topic("compacted"));
    provision(&topic, "keep: compacted").await;
    assert_eq!(value(&admin, &topic, "cleanup.policy").await, "compact");
    assert_eq!(value(&admin, &topic, "segment.bytes").await, "33554432");
    assert_eq!(value(&admin, &topic, "min.cleanable.dirty.ratio").await, "0.2");
}

#[tokio::test]
#[ignore = "needs the stack"]
async fn value_that_the_broker_refuses_is_a_permanent_error_with_its_reason() {
    let topic = topic("refused");
    provision(&topic, "keep: 1d").await;
    let text = format!(
        "{{defaults: {{partitions: 1, bytes_max: 3000000000}}, topics: {{{topic}: {{owner: t, \
         doc: d, records: [millrace.Outcome], keep: 1d}}}}}}"
    );
    let registry = Registry::new(&setting("MILLRACE_REGISTRY_URL")).expect("an address");
    let topics = Topics::parse(&text).expect("topics");
    let provision =
        Provision::of(&setting("MILLRACE_BROKERS"), registry, 1, topics).expect("a client");
    let provision = provision.with_schemas(Vec::new());
    let plan = provision.plan().await.expect("a plan");
    let error = provision.apply(&plan.steps[0]).await.expect_err("more than an integer holds");
    assert!(!error.is_retriable(), "{error}");
    assert!(schemas::chain(&error).contains("max.message.bytes"), "{error}");
}
