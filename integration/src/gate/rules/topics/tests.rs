//! Requests that create and alter topics, and what reaches Kafka of them.

use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::{ApiKey, alter_configs_request, incremental_alter_configs_request};

use super::super::tests::{answered, asked, request, responded};
use super::*;
use crate::gate::Gate;

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn alteration(names: &[&[&str]]) -> Plan {
    let resource = |(number, names): (usize, &&[&str])| {
        let config =
            |name: &&str| alter_configs_request::AlterableConfig::default().with_name(text(name));
        alter_configs_request::AlterConfigsResource::default()
            .with_resource_type(TOPIC)
            .with_resource_name(text(&format!("topic {number}")))
            .with_configs(names.iter().map(config).collect())
    };
    let resources = names.iter().enumerate().map(resource).collect();
    let body = AlterConfigsRequest::default().with_resources(resources);
    Gate::default().plan(&request(ApiKey::AlterConfigs, 2, &body)).expect("a plan")
}

#[test]
fn creating_a_topic_ignores_settings_that_redpanda_does_not_have() {
    let config =
        |name| CreatableTopicConfig::default().with_name(text(name)).with_value(Some(text("1")));
    let create = |names: &[&'static str]| {
        let topic = CreatableTopic::default()
            .with_configs(names.iter().map(|name| config(*name)).collect());
        let body = CreateTopicsRequest::default().with_topics(vec![topic]);
        Gate::default().plan(&request(ApiKey::CreateTopics, 6, &body)).expect("a plan")
    };
    let (frame, _) =
        asked(create(&["retention.ms", "min.insync.replicas", "write.caching", "no.such"]));
    let body: CreateTopicsRequest =
        Request::of(frame).expect("a request").decode().expect("a body");
    assert_eq!(body.topics[0].configs, [config("retention.ms")]);
    assert!(matches!(create(&["retention.ms"]), Plan::Pass));
}

#[test]
fn altering_refuses_the_topic_with_an_unknown_setting_and_no_other() {
    let response: AlterConfigsResponse = answered(alteration(&[&["retention.ms", "no.such"]]), 2);
    assert_eq!(response.responses[0].error_code, ResponseError::InvalidConfig.code());
    let message = response.responses[0].error_message.as_deref();
    assert_eq!(message, Some("invalid topic property: no.such"));

    let plan = alteration(&[&["retention.ms"], &["no.such"], &["segment.ms"]]);
    let (frame, mut exchange) = asked(plan);
    let of_kafka = Request::of(frame).expect("a request");
    let body: AlterConfigsRequest = of_kafka.decode().expect("a body");
    let answer = |resource: &alter_configs_request::AlterConfigsResource| {
        alter_configs_response::AlterConfigsResourceResponse::default()
            .with_resource_name(resource.resource_name.clone())
    };
    let kafka =
        AlterConfigsResponse::default().with_responses(body.resources.iter().map(answer).collect());
    let next = exchange.answered(of_kafka.response(&kafka).expect("a response")).expect("merged");
    let merged: AlterConfigsResponse = responded(next, 2);
    let merged: Vec<_> = merged
        .responses
        .iter()
        .map(|one| (one.resource_name.to_string(), one.error_code))
        .collect();
    let invalid = ResponseError::InvalidConfig.code();
    let expected = [("topic 0", 0), ("topic 1", invalid), ("topic 2", 0)];
    assert_eq!(merged, expected.map(|(name, code)| (name.to_owned(), code)));
}

#[test]
fn settings_without_effect_are_accepted_and_do_not_reach_kafka() {
    let (frame, _) = asked(alteration(&[&["min.insync.replicas", "retention.ms", "flush.bytes"]]));
    let body: AlterConfigsRequest =
        Request::of(frame).expect("a request").decode().expect("a body");
    let names: Vec<_> =
        body.resources[0].configs.iter().map(|config| config.name.to_string()).collect();
    assert_eq!(names, ["retention.ms"]);
    assert!(matches!(alteration(&[&["retention.ms"]]), Plan::Pass));
}

#[test]
fn incremental_alteration_obeys_the_same_rule_and_brokers_are_left_to_kafka() {
    let plan = |resource_type| {
        let config = incremental_alter_configs_request::AlterableConfig::default()
            .with_name(text("no.such"));
        let resource = incremental_alter_configs_request::AlterConfigsResource::default()
            .with_resource_type(resource_type)
            .with_configs(vec![config]);
        let body = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
        Gate::default().plan(&request(ApiKey::IncrementalAlterConfigs, 1, &body)).expect("a plan")
    };
    let response: IncrementalAlterConfigsResponse = answered(plan(TOPIC), 1);
    assert_eq!(response.responses[0].error_code, ResponseError::InvalidConfig.code());
    assert!(matches!(plan(4), Plan::Pass));
}
