//! Requests that create and alter topics, and what reaches Kafka of them.

use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::create_topics_response::{
    CreatableTopicConfigs, CreatableTopicResult,
};
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult,
};
use kafka_protocol::messages::{
    ApiKey, DescribeConfigsRequest, alter_configs_request, incremental_alter_configs_request,
};

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

/// The request to Kafka that creates a topic with `replicas` and the settings `names`, and the rule
/// that looks at its response.
fn creation(replicas: i16, names: &[&'static str]) -> (CreateTopicsRequest, Box<dyn Exchange>) {
    let config = |name: &&'static str| {
        CreatableTopicConfig::default().with_name(text(name)).with_value(Some(text("1")))
    };
    let topic = CreatableTopic::default()
        .with_replication_factor(replicas)
        .with_configs(names.iter().map(config).collect());
    let body = CreateTopicsRequest::default().with_topics(vec![topic]);
    let plan = Gate::default().plan(&request(ApiKey::CreateTopics, 6, &body)).expect("a plan");
    let (frame, exchange) = asked(plan);
    (Request::of(frame).expect("a request").decode().expect("a body"), exchange)
}

#[test]
fn creating_a_topic_ignores_settings_that_redpanda_does_not_have() {
    let names = ["retention.ms", "min.insync.replicas", "write.caching", "no.such"];
    let (body, _) = creation(-1, &names);
    let [config] = body.topics[0].configs.as_slice() else { panic!("one setting: {body:?}") };
    assert_eq!((&*config.name, config.value.as_deref()), ("retention.ms", Some("1")));
}

#[test]
fn kafka_waits_for_a_majority_of_the_replicas_of_a_new_topic() {
    for (replicas, majority) in [(1, "1"), (3, "2"), (5, "3")] {
        let (body, _) = creation(replicas, &["min.insync.replicas"]);
        let [config] = body.topics[0].configs.as_slice() else { panic!("one setting: {body:?}") };
        let expected = ("min.insync.replicas", Some(majority));
        assert_eq!((&*config.name, config.value.as_deref()), expected, "{replicas}");
    }
}

#[test]
fn answers_list_only_the_settings_of_topics_that_redpanda_has() {
    let listed = ["retention.ms", "min.insync.replicas", "unclean.leader.election.enable"];
    let (_, mut exchange) = creation(3, &[]);
    let config = |name: &str| CreatableTopicConfigs::default().with_name(text(name));
    let topic = CreatableTopicResult::default()
        .with_configs(Some(listed.map(config).into_iter().collect()));
    let kafka = CreateTopicsResponse::default().with_topics(vec![topic]);
    let of_creation = request(ApiKey::CreateTopics, 6, &CreateTopicsRequest::default());
    let next = exchange.answered(of_creation.response(&kafka).expect("a response")).expect("next");
    let created: CreateTopicsResponse = responded(next, 6);
    let names = created.topics[0].configs.iter().flatten().map(|config| &*config.name);
    assert_eq!(names.collect::<Vec<_>>(), ["retention.ms"]);

    let of_kafka = request(ApiKey::DescribeConfigs, 2, &DescribeConfigsRequest::default());
    let (frame, mut exchange) = asked(Gate::default().plan(&of_kafka).expect("a plan"));
    assert_eq!(frame, of_kafka.frame());
    let config = |name: &str| DescribeConfigsResourceResult::default().with_name(text(name));
    let result = |resource_type| {
        DescribeConfigsResult::default()
            .with_resource_type(resource_type)
            .with_configs(listed.map(config).into_iter().collect())
    };
    let kafka = DescribeConfigsResponse::default().with_results(vec![result(TOPIC), result(4)]);
    let next = exchange.answered(of_kafka.response(&kafka).expect("a response")).expect("next");
    let described: DescribeConfigsResponse = responded(next, 2);
    let names = |result: &DescribeConfigsResult| -> Vec<String> {
        result.configs.iter().map(|config| config.name.to_string()).collect()
    };
    assert_eq!(names(&described.results[0]), ["retention.ms"]);
    assert_eq!(names(&described.results[1]), listed, "the settings of brokers are Kafka's");
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
