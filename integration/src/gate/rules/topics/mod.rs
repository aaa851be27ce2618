//! The rule `topic-settings`: which settings of a topic Redpanda has, ignores and refuses. It
//! leaves the settings of brokers to Kafka.

mod settings;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{
    AlterConfigsRequest, AlterConfigsResponse, CreateTopicsRequest, CreateTopicsResponse,
    DescribeConfigsResponse, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
    alter_configs_response, create_topics_request::CreatableTopicConfig,
    incremental_alter_configs_response,
};
use kafka_protocol::protocol::StrBytes;

use super::Rule;
use crate::gate::plan::{Exchange, Next, Plan};
use crate::gate::wire::Request;
use settings::{is_refused, reaches_kafka};

pub(super) const RULE: Rule = Rule {
    name: "topic-settings",
    does: "CreateTopics ignores settings that Redpanda does not have; AlterConfigs and \
           IncrementalAlterConfigs refuse the topic with INVALID_CONFIG, but ignore some of \
           Kafka's that Redpanda knows to be without a meaning there. DescribeConfigs lists only \
           settings that Redpanda has. A write with acks=all waits for a majority of replicas.",
    source: "src/v/kafka/server/handlers/create_topics.cc, is_supported and handle; \
             alter_configs.cc and incremental_alter_configs.cc, create_topic_properties_update; \
             topics/types.h, allowlist_topic_noop_confs; configs/config_response_utils.cc, \
             make_topic_configs; src/v/raft/consensus.cc, do_maybe_update_leader_commit_idx",
};

/// The type of resource that a topic is.
const TOPIC: i8 = 2;

/// The setting of Kafka by which a topic's writes wait for a majority of its replicas.
const IN_SYNC_MIN: &str = "min.insync.replicas";

/// Removes the settings that Redpanda does not have, or that Kafka must not apply, from a
/// CreateTopics request, and has Kafka wait for a majority of the replicas of each new topic.
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
        // Without a number of its own, a topic has the brokers' default, and their majority.
        if topic.replication_factor > 0 {
            let majority = topic.replication_factor / 2 + 1;
            let setting = CreatableTopicConfig::default()
                .with_name(StrBytes::from_static_str(IN_SYNC_MIN))
                .with_value(Some(StrBytes::from_string(majority.to_string())));
            topic.configs.push(setting);
        }
    }
    if !ignored.is_empty() {
        tell!("gate: {}: ignored {}", RULE.name, ignored.join(", "));
    }
    let exchange = Box::new(Created(request.clone()));
    Ok(Plan::Exchange { request: request.with(&body)?, exchange, alone: false })
}

/// The answer to a CreateTopics request, which lists settings too.
struct Created(Request);

impl Exchange for Created {
    fn answered(&mut self, response: Bytes) -> anyhow::Result<Next> {
        let mut response: CreateTopicsResponse = self.0.read_response(&response)?;
        for configs in response.topics.iter_mut().filter_map(|topic| topic.configs.as_mut()) {
            configs.retain(|config| reaches_kafka(&config.name));
        }
        Ok(Next::Respond(self.0.response(&response)?))
    }
}

/// Removes the settings that Redpanda does not have from the answer to a DescribeConfigs request.
pub(super) fn describe(request: &Request) -> Plan {
    struct Described(Request);
    impl Exchange for Described {
        fn answered(&mut self, response: Bytes) -> anyhow::Result<Next> {
            let mut response: DescribeConfigsResponse = self.0.read_response(&response)?;
            let results = response.results.iter_mut();
            for topic in results.filter(|result| result.resource_type == TOPIC) {
                topic.configs.retain(|config| reaches_kafka(&config.name));
            }
            Ok(Next::Respond(self.0.response(&response)?))
        }
    }
    let exchange = Box::new(Described(request.clone()));
    Plan::Exchange { request: request.frame(), exchange, alone: false }
}

/// The resources of both requests have the same fields, but different types.
macro_rules! alter {
    ($name:ident, $request:ty, $response:ty, $resource_response:ty) => {
        /// Changes the settings that Redpanda would change, and refuses the resources that it would
        /// refuse.
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
