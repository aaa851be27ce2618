//! The gate on a real broker: requests as clients send them, and the answers that Redpanda's rules
//! cause. Run under `stack run`, as integration/test does; `--servers-only` is enough. Each test
//! has its own topics, groups and transactional ids.

mod client;

use std::process::Command;
use std::time::Instant;

use integration::stack::Control;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use kafka_protocol::messages::{
    ApiKey, DescribeConfigsRequest, DescribeConfigsResponse, GroupId,
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse, JoinGroupRequest,
    JoinGroupResponse, MetadataRequest, MetadataResponse,
};

use crate::client::{
    Client, PAUSE, Producer, TIMEOUT_MS, WAIT_MAX, brokers, create_topic, text, unique,
};

#[test]
#[ignore = "needs the stack"]
fn offsets_sent_twice_in_a_transaction_are_refused_and_the_next_transaction_waits_for_its_end() {
    let mut producer = Producer::init(TIMEOUT_MS).expect("a producer");
    assert_eq!(producer.add_offsets(), 0);
    assert_eq!(producer.add_offsets(), 0, "it is idempotent until offsets are staged");
    assert_eq!(producer.commit_offsets(), 0);
    assert_eq!(producer.add_offsets(), ResponseError::UnknownServerError.code());
    assert_eq!(producer.end(false), 0);

    // Without the gate, Kafka would sometimes answer CONCURRENT_TRANSACTIONS.
    for committed in [true, false, true, true] {
        assert_eq!(producer.add_offsets(), 0);
        assert_eq!(producer.commit_offsets(), 0);
        assert_eq!(producer.end(committed), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the stack"]
async fn broker_that_is_killed_closes_connections_and_staged_offsets_are_remembered() {
    let stack = Control::from_env().expect("a stack");
    let mut producer = Producer::init(TIMEOUT_MS * 3).expect("a producer");
    assert_eq!(producer.add_offsets(), 0);
    assert_eq!(producer.commit_offsets(), 0);

    stack.kill("broker").await.expect("it is killed");
    let body = MetadataRequest::default();
    let answer: std::io::Result<MetadataResponse> = producer.client.ask(ApiKey::Metadata, 8, &body);
    assert!(answer.is_err(), "the connection of a dead broker answers");
    let answer: std::io::Result<MetadataResponse> =
        Client::connect().ask(ApiKey::Metadata, 8, &body);
    assert!(answer.is_err(), "a dead broker answers");
    stack.start("broker").await.expect("it is started");
    stack.wait("broker", WAIT_MAX).await.expect("it is back");

    producer.client = Client::connect();
    assert_eq!(producer.add_offsets(), ResponseError::UnknownServerError.code());
    let since = Instant::now();
    while producer.end(true) != 0 {
        assert!(since.elapsed() < WAIT_MAX, "the transaction does not end");
        std::thread::sleep(PAUSE);
    }
    assert_eq!(producer.add_offsets(), 0);
    assert_eq!(producer.end(false), 0);
}

#[test]
#[ignore = "needs the stack"]
fn transaction_timeout_above_that_of_broker_yaml_is_refused() {
    let refused = Producer::init(60_001).err();
    assert_eq!(refused, Some(ResponseError::InvalidTransactionTimeout.code()));
    assert!(Producer::init(60_000).is_ok());
}

#[test]
#[ignore = "needs the stack"]
fn session_timeout_outside_of_the_bounds_of_broker_yaml_is_refused() {
    let body = JoinGroupRequest::default().with_group_id(GroupId(text(&unique("group"))));
    let body = body.with_session_timeout_ms(300_001).with_protocol_type(text("consumer"));
    let response: JoinGroupResponse =
        Client::connect().ask(ApiKey::JoinGroup, 5, &body).expect("the gate answers");
    assert_eq!(response.error_code, ResponseError::InvalidSessionTimeout.code());
}

#[test]
#[ignore = "needs the stack"]
fn topic_setting_that_redpanda_lacks_is_ignored_at_creation_and_refused_at_alteration() {
    let mut client = Client::connect();
    let name = unique("topic");
    // Without the gate, Kafka would refuse both.
    assert_eq!(
        create_topic(&mut client, &name, &[("no.such", "1"), ("write.caching", "false")]),
        0
    );

    let mut alter = |setting: &str, value: &str| {
        let config =
            AlterableConfig::default().with_name(text(setting)).with_value(Some(text(value)));
        let resource = AlterConfigsResource::default()
            .with_resource_type(2)
            .with_resource_name(text(&name))
            .with_configs(vec![config]);
        let body = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
        let response: IncrementalAlterConfigsResponse =
            client.ask(ApiKey::IncrementalAlterConfigs, 1, &body).expect("the broker answers");
        response.responses[0].error_code
    };
    // Kafka has this setting, Redpanda does not.
    assert_eq!(alter("remote.storage.enable", "false"), ResponseError::InvalidConfig.code());
    assert_eq!(alter("min.insync.replicas", "1"), 0);
    assert_eq!(alter("retention.ms", "60000"), 0);

    let resource =
        DescribeConfigsResource::default().with_resource_type(2).with_resource_name(text(&name));
    let body = DescribeConfigsRequest::default().with_resources(vec![resource]);
    let response: DescribeConfigsResponse =
        client.ask(ApiKey::DescribeConfigs, 2, &body).expect("the broker answers");
    let value = |setting: &str| {
        let found = response.results[0].configs.iter().find(|found| &*found.name == setting);
        found.and_then(|found| found.value.as_deref())
    };
    assert_eq!(value("retention.ms"), Some("60000"));
    assert_eq!(value("min.insync.replicas"), None);
}

#[test]
#[ignore = "needs the stack"]
fn request_of_a_version_that_redpanda_does_not_have_closes_the_connection() {
    let body = MetadataRequest::default();
    let answer: std::io::Result<MetadataResponse> =
        Client::connect().ask(ApiKey::Metadata, 13, &body);
    assert!(answer.is_err(), "Kafka has the version, Redpanda does not: {answer:?}");
}

#[test]
#[ignore = "needs the stack"]
fn librdkafka_negotiates_what_it_would_negotiate_with_redpanda() {
    let mut kcat = Command::new("kcat");
    let output = kcat.args(["-b", &brokers(), "-X", "debug=feature", "-L", "-m", "10"]).output();
    let output = output.expect("kcat runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    for api in ["ApiKey Produce (0) Versions 0..7", "ApiKey EndTxn (26) Versions 0..3"] {
        assert!(said.contains(api), "{api} is missing:\n{said}");
    }
}
