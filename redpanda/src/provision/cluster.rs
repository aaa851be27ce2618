//! Requests to the broker: its id, its topics, their settings. It deletes nothing, and sends each
//! request once.

use std::time::Duration;

use rdkafka::{
    admin::{
        AdminClient, AdminOptions, ConfigResource, NewTopic, ResourceSpecifier, TopicReplication,
    },
    client::DefaultClientContext,
    error::RDKafkaErrorCode,
    metadata::Metadata,
};

use super::{error::ProvisionError, plan::SettingChange};
use crate::{
    brokers::Brokers,
    raw,
    topics::{Topic, Topics},
};

/// The deadline of one answer.
const REQUEST_MAX: Duration = Duration::from_secs(10);
/// The cluster id that Redpanda returns before the cluster has one
/// (`kafka/server/handlers/metadata.cc`).
const INITIALIZING: &str = "redpanda.initializing";

/// The broker's admin API.
pub(super) struct Cluster(AdminClient<DefaultClientContext>);

impl Cluster {
    pub(super) fn connect(brokers: &Brokers) -> Result<Self, ProvisionError> {
        let admin = brokers.librdkafka().set("client.id", "millrace-provision").create();
        let doing = "making a client of the broker";
        admin.map(Self).map_err(|error| ProvisionError::permanent(doing, error))
    }

    /// The cluster's own id. A cluster that starts has none for some seconds, and a plan that was
    /// made then would name another cluster than the one that it is applied to.
    pub(super) fn id(&self) -> Result<String, ProvisionError> {
        let doing = "asking for the cluster's id";
        // Each answer to a metadata request contains the id; the client keeps the newest one.
        self.metadata(doing)?;
        let id = self.0.inner().fetch_cluster_id(Duration::from_secs(1));
        id.filter(|id| id != INITIALIZING)
            .ok_or_else(|| ProvisionError::retriable(doing, "it has none yet"))
    }

    /// All topics. If some have to be created, the cluster has enough brokers for their replicas.
    pub(super) fn complete_metadata(
        &self,
        topics: &Topics,
        replication: i32,
    ) -> Result<Metadata, ProvisionError> {
        let doing = "listing topics";
        let metadata = self.metadata(doing)?;
        let exists =
            |topic: &Topic| metadata.topics().iter().any(|found| found.name() == topic.name);
        let (brokers, replicas) = (metadata.brokers().len() as i64, i64::from(replication));
        if brokers < replicas && !topics.iter().all(exists) {
            let cause = format!("new topics need {replicas} brokers, {brokers} are there");
            return Err(ProvisionError::retriable(doing, cause));
        }
        Ok(metadata)
    }

    fn metadata(&self, doing: &str) -> Result<Metadata, ProvisionError> {
        let metadata = self.0.inner().fetch_metadata(None, REQUEST_MAX);
        metadata.map_err(|error| ProvisionError::client(doing, error))
    }

    /// The settings of `topic` that differ from the declaration.
    pub(super) async fn setting_changes(
        &self,
        topic: &Topic,
        replicas: i32,
    ) -> Result<Vec<SettingChange>, ProvisionError> {
        let found = self.describe(topic).await?;
        let found = found.entry_map();
        let change = |(name, to): (&'static str, String)| {
            // A setting that the broker does not list can't be changed.
            let from = found.get(name)?.value.clone().unwrap_or_default();
            let is_equal =
                from == to || from.parse::<f64>().ok().is_some_and(|from| Ok(from) == to.parse());
            (!is_equal).then_some(SettingChange { name, from, to })
        };
        Ok(topic.settings_for(replicas).into_iter().filter_map(change).collect())
    }

    async fn describe(&self, topic: &Topic) -> Result<ConfigResource, ProvisionError> {
        let doing = format!("describing {}", topic.name);
        let described = self
            .0
            .describe_configs(&[ResourceSpecifier::Topic(&topic.name)], &options())
            .await
            .map_err(|error| ProvisionError::client(&doing, error))?;
        let found = described.into_iter().next();
        found
            .ok_or_else(|| ProvisionError::retriable(&doing, "no answer"))?
            .map_err(|code| ProvisionError::code(&doing, code))
    }

    /// Changes settings of `topic`.
    ///
    /// The older AlterConfigs would reset every setting that the request does not name, and refuses
    /// the whole request for one that must not be set.
    pub(super) fn alter(
        &self,
        topic: &Topic,
        changes: &[SettingChange],
    ) -> Result<(), ProvisionError> {
        let doing = format!("altering {}", topic.name);
        let settings: Vec<_> =
            changes.iter().map(|change| (change.name, change.to.as_str())).collect();
        raw::set_topic_configs(self.0.inner(), &topic.name, &settings, REQUEST_MAX)
            .map_err(|error| ProvisionError::admin(&doing, error))
    }

    /// Creates `topic` with its settings.
    pub(super) async fn create(
        &self,
        topic: &Topic,
        replication: i32,
    ) -> Result<(), ProvisionError> {
        let doing = format!("creating {}", topic.name);
        let settings = topic.settings_for(replication);
        let mut new =
            NewTopic::new(&topic.name, topic.partitions, TopicReplication::Fixed(replication));
        for (name, value) in &settings {
            new = new.set(name, value);
        }
        let results = self
            .0
            .create_topics(&[new], &options())
            .await
            .map_err(|error| ProvisionError::client(&doing, error))?;
        for result in results {
            match result {
                // Another run of `provision` has created it meanwhile.
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((_, code)) => return Err(ProvisionError::code(&doing, code)),
            }
        }
        Ok(())
    }

    /// Returns a retriable error if a partition has no leader.
    pub(super) fn check_leaders(&self, topics: &Topics) -> Result<(), ProvisionError> {
        let metadata = self.metadata("asking for leaders")?;
        let has_leaders = |topic: &Topic| {
            let found = metadata.topics().iter().find(|found| found.name() == topic.name);
            found.is_some_and(|found| {
                found.partitions().len() as i64 == i64::from(topic.partitions)
                    && found.partitions().iter().all(|partition| partition.leader() >= 0)
            })
        };
        match topics.iter().find(|topic| !has_leaders(topic)) {
            None => Ok(()),
            Some(topic) => {
                let doing = format!("waiting for the leaders of {}", topic.name);
                Err(ProvisionError::retriable(&doing, "a partition has none"))
            }
        }
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(REQUEST_MAX)).operation_timeout(Some(REQUEST_MAX))
}
