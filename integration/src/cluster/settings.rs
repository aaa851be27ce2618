//! Reads and changes the settings of topics. It changes no setting of a broker.

use anyhow::Context as _;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use kafka_protocol::messages::{DescribeConfigsRequest, IncrementalAlterConfigsRequest};

use super::Cluster;
use super::ask::{check, text};

/// The type of resource that a topic is.
const TOPIC: i8 = 2;

/// The operations on a setting.
const SET: i8 = 0;

const DELETE: i8 = 1;

impl Cluster {
    /// The value of a topic's setting, set for the topic or inherited from the brokers; `None` if
    /// the brokers have no such setting.
    ///
    /// # Errors
    /// When the cluster refuses to say.
    pub async fn setting(&self, topic: &str, setting: &str) -> anyhow::Result<Option<String>> {
        let resource = DescribeConfigsResource::default()
            .with_resource_type(TOPIC)
            .with_resource_name(text(topic))
            .with_configuration_keys(Some(vec![text(setting)]));
        let request = DescribeConfigsRequest::default().with_resources(vec![resource]);
        let answer = self.ask(4, &request).await?;
        let result = answer.results.first().context("the answer names no topic")?;
        check(result.error_code).with_context(|| format!("asking for {setting} of {topic}"))?;
        let value = result.configs.first().and_then(|config| config.value.as_ref());
        Ok(value.map(|value| value.to_string()))
    }

    /// Sets settings of a topic; a setting without a value is removed.
    ///
    /// # Errors
    /// When the cluster refuses it.
    pub async fn configure(
        &self,
        topic: &str,
        settings: &[(&str, Option<&str>)],
    ) -> anyhow::Result<()> {
        let configs = settings.iter().map(|(name, value)| {
            AlterableConfig::default()
                .with_name(text(name))
                .with_config_operation(if value.is_some() { SET } else { DELETE })
                .with_value(value.map(text))
        });
        let resource = AlterConfigsResource::default()
            .with_resource_type(TOPIC)
            .with_resource_name(text(topic))
            .with_configs(configs.collect());
        let answer = self
            .ask(1, &IncrementalAlterConfigsRequest::default().with_resources(vec![resource]))
            .await?;
        for resource in &answer.responses {
            check(resource.error_code)
                .with_context(|| format!("setting {settings:?} of {topic}"))?;
        }
        Ok(())
    }
}
