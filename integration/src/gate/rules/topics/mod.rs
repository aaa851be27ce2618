//! The rule `topic-settings`: which settings of a topic Redpanda has, ignores and refuses. It
//! changes no setting's value, and leaves the settings of brokers to Kafka.

mod settings;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{
    AlterConfigsRequest, AlterConfigsResponse, CreateTopicsRequest, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse, alter_configs_response, incremental_alter_configs_response,
};
use kafka_protocol::protocol::StrBytes;

use super::Rule;
use crate::gate::plan::{Exchange, Next, Plan};
use crate::gate::wire::Request;
use settings::{is_refused, reaches_kafka};

pub(super) const RULE: Rule = Rule {
    name: "topic-settings",
    does: "CreateTopics ignores settings that Redpanda does not have; AlterConfigs and IncrementalAlterConfigs refuse the topic \
           with INVALID_CONFIG, but ignore some of Kafka's that Redpanda knows to be without a meaning there.",
    source: "src/v/kafka/server/handlers/create_topics.cc, is_supported and handle; alter_configs.cc and \
             incremental_alter_configs.cc, create_topic_properties_update; topics/types.h, allowlist_topic_noop_confs",
};

/// The type of resource that a topic is.
const TOPIC: i8 = 2;

/// Removes the settings that Redpanda does not have, or that Kafka must not apply, from a
/// CreateTopics request.
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
