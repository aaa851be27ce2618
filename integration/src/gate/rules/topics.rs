//! The rule `topic-settings`: which settings of a topic Redpanda has, ignores and refuses. It
//! changes no setting's value, and leaves the settings of brokers to Kafka.

use std::collections::VecDeque;

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{
    AlterConfigsRequest, AlterConfigsResponse, CreateTopicsRequest, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse, alter_configs_response, incremental_alter_configs_response,
};
use kafka_protocol::protocol::StrBytes;

use super::super::{Exchange, Next, Plan, Request};
use super::Rule;

pub(super) const RULE: Rule = Rule {
    name: "topic-settings",
    does: "CreateTopics ignores settings that Redpanda does not have; AlterConfigs and IncrementalAlterConfigs refuse the topic \
           with INVALID_CONFIG, but ignore some of Kafka's that Redpanda knows to be without a meaning there.",
    source: "src/v/kafka/server/handlers/create_topics.cc, is_supported and handle; alter_configs.cc and \
             incremental_alter_configs.cc, create_topic_properties_update; topics/types.h, allowlist_topic_noop_confs",
};

/// Settings that both have. The last line came after v24.3: see the topic properties in the
/// documentation of v26.2.
const SHARED: &[&str] = &[
    "cleanup.policy",
    "compression.type",
    "delete.retention.ms",
    "flush.ms",
    "max.message.bytes",
    "message.timestamp.type",
    "retention.bytes",
    "retention.ms",
    "segment.bytes",
    "segment.ms",
    "max.compaction.lag.ms",
    "message.timestamp.after.max.ms",
    "message.timestamp.before.max.ms",
    "min.cleanable.dirty.ratio",
    "min.compaction.lag.ms",
];

/// Settings of Redpanda alone, which the gate accepts and keeps from Kafka.
const REDPANDA_ALONE: &[&str] = &[
    "compaction.strategy",
    "flush.bytes",
    "initial.retention.local.target.bytes",
    "initial.retention.local.target.ms",
    "redpanda.iceberg.delete",
    "redpanda.iceberg.mode",
    "redpanda.leaders.preference",
    "redpanda.remote.delete",
    "redpanda.remote.read",
    "redpanda.remote.write",
    "replication.factor",
    "retention.local.target.bytes",
    "retention.local.target.ms",
    "write.caching",
];

/// Settings of Kafka that Redpanda accepts in AlterConfigs without effect.
const WITHOUT_EFFECT: &[&str] = &[
    "file.delete.delay.ms",
    "flush.messages",
    "follower.replication.throttled.replicas",
    "index.interval.bytes",
    "leader.replication.throttled.replicas",
    "message.downconversion.enable",
    "message.format.version",
    "message.timestamp.difference.max.ms",
    "min.insync.replicas",
    "preallocate",
    "segment.index.bytes",
    "segment.jitter.ms",
    "unclean.leader.election.enable",
];

/// The number of topics among the types of resources.
const TOPIC: i8 = 2;

fn reaches_kafka(name: &str) -> bool {
    SHARED.contains(&name)
}

fn is_refused(name: &str) -> bool {
    !reaches_kafka(name) && !REDPANDA_ALONE.contains(&name) && !WITHOUT_EFFECT.contains(&name)
}

/// Creates topics without the settings that Kafka's place-holder must not apply.
pub(super) fn create(request: &Request) -> anyhow::Result<Plan> {
    let mut body: CreateTopicsRequest = request.decode()?;
    let mut ignored = Vec::new();
    for topic in &mut body.topics {
        topic.configs.retain(|config| {
            let kept = reaches_kafka(&config.name);
            if !kept {
                ignored.push(format!("{} of {}", config.name, &**topic.name));
            }
            kept
        });
    }
    if ignored.is_empty() {
        return Ok(Plan::Pass);
    }
    tell!("gate: {}: ignored {}", RULE.name, ignored.join(", "));
    Ok(Plan::Exchange { request: request.with(&body)?, exchange: Box::new(Relay), alone: false })
}

struct Relay;

impl Exchange for Relay {
    fn answered(&mut self, response: Bytes) -> anyhow::Result<Next> {
        Ok(Next::Respond(response))
    }
}

/// Both requests have resources of the same fields in types of their own.
macro_rules! alter {
    ($name:ident, $request:ty, $response:ty, $resource_response:ty) => {
        /// Alters what Redpanda would, and refuses the resources that it would refuse.
        pub(super) fn $name(request: &Request) -> anyhow::Result<Plan> {
            let mut body: $request = request.decode()?;
            let (mut refused, mut changed) = (Vec::new(), false);
            let mut slots = Vec::new();
            body.resources.retain_mut(|resource| {
                let is_topic = resource.resource_type == TOPIC;
                let wrong =
                    resource.configs.iter().find(|config| is_topic && is_refused(&config.name));
                slots.push(wrong.is_none());
                let Some(wrong) = wrong else {
                    let before = resource.configs.len();
                    resource.configs.retain(|config| !is_topic || reaches_kafka(&config.name));
                    changed |= before != resource.configs.len();
                    return true;
                };
                tell!(
                    "gate: {}: {} of {} refused",
                    RULE.name,
                    &*wrong.name,
                    &*resource.resource_name
                );
                let message = format!("invalid topic property: {}", &*wrong.name);
                refused.push(
                    <$resource_response>::default()
                        .with_error_code(ResponseError::InvalidConfig.code())
                        .with_error_message(Some(StrBytes::from_string(message)))
                        .with_resource_type(resource.resource_type)
                        .with_resource_name(resource.resource_name.clone()),
                );
                false
            });
            if refused.is_empty() && !changed {
                return Ok(Plan::Pass);
            }
            if body.resources.is_empty() {
                let response = <$response>::default().with_responses(refused);
                return Ok(Plan::Answer(request.response(&response)?));
            }

            struct Merge {
                request: Request,
                slots: Vec<bool>,
                refused: Vec<$resource_response>,
            }
            impl Exchange for Merge {
                fn answered(&mut self, response: Bytes) -> anyhow::Result<Next> {
                    let mut response: $response = self.request.read_response(&response)?;
                    let mut kafka = VecDeque::from(std::mem::take(&mut response.responses));
                    let mut refused = VecDeque::from(std::mem::take(&mut self.refused));
                    for of_kafka in &self.slots {
                        let next = if *of_kafka { kafka.pop_front() } else { refused.pop_front() };
                        response.responses.extend(next);
                    }
                    response.responses.extend(kafka);
                    Ok(Next::Respond(self.request.response(&response)?))
                }
            }
            let asked = request.with(&body)?;
            let exchange = Box::new(Merge { request: request.clone(), slots, refused });
            Ok(Plan::Exchange { request: asked, exchange, alone: false })
        }
    };
}

alter!(
    alter,
    AlterConfigsRequest,
    AlterConfigsResponse,
    alter_configs_response::AlterConfigsResourceResponse
);
alter!(
    alter_incrementally,
    IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
    incremental_alter_configs_response::AlterConfigsResourceResponse
);

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
    use kafka_protocol::messages::{
        ApiKey, alter_configs_request, incremental_alter_configs_request,
    };

    use super::super::tests::{answered, asked, request, responded};
    use super::*;
    use crate::gate::Gate;

    fn text(text: &str) -> StrBytes {
        StrBytes::from_string(text.to_owned())
    }

    fn alteration(names: &[&[&str]]) -> Plan {
        let resource = |(number, names): (usize, &&[&str])| {
            let config = |name: &&str| {
                alter_configs_request::AlterableConfig::default().with_name(text(name))
            };
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
        let config = |name| {
            CreatableTopicConfig::default().with_name(text(name)).with_value(Some(text("1")))
        };
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
        let response: AlterConfigsResponse =
            answered(alteration(&[&["retention.ms", "no.such"]]), 2);
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
        let kafka = AlterConfigsResponse::default()
            .with_responses(body.resources.iter().map(answer).collect());
        let next =
            exchange.answered(of_kafka.response(&kafka).expect("a response")).expect("merged");
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
        let (frame, _) =
            asked(alteration(&[&["min.insync.replicas", "retention.ms", "flush.bytes"]]));
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
            Gate::default()
                .plan(&request(ApiKey::IncrementalAlterConfigs, 1, &body))
                .expect("a plan")
        };
        let response: IncrementalAlterConfigsResponse = answered(plan(TOPIC), 1);
        assert_eq!(response.responses[0].error_code, ResponseError::InvalidConfig.code());
        assert!(matches!(plan(4), Plan::Pass));
    }
}
