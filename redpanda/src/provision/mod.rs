//! Brings broker and registry to what the files say: plans, applies, and never deletes.
//!
//! librdkafka's admin client makes the topics, because rskafka can't give a topic its settings at
//! birth: between its making and its settings a topic would take records with the wrong clock.
//!
//! Every request that fails with a passing error is repeated for up to a stated time, and each
//! failure is reported; see [`retry`]. All requests are idempotent.

mod plan;
pub mod retry;

use std::{fmt, time::Duration};

use rdkafka::{
    admin::{
        AdminClient, AdminOptions, ConfigResource, NewTopic, ResourceSpecifier, TopicReplication,
    },
    client::DefaultClientContext,
    error::{KafkaError, RDKafkaErrorCode},
    metadata::Metadata,
};
use schemas::{Schema, compatibility};

pub use plan::{Break, Plan, Step};
use retry::Patience;

use crate::{
    brokers::Brokers,
    raw,
    registry::{FULL_TRANSITIVE, Registry, RegistryError},
    topics::{self, Topic, Topics},
};

/// The time that the broker has for one answer.
const ASK: Duration = Duration::from_secs(10);
/// The time that new partitions have to elect a leader, at least.
const LEADERS_MAX: Duration = Duration::from_secs(30);
/// What Redpanda answers as the cluster's id before it has one
/// (`kafka/server/handlers/metadata.cc`).
const INITIALIZING: &str = "redpanda.initializing";

/// Why provisioning stopped. What was done before stays, and is found again.
#[derive(Debug, thiserror::Error)]
pub enum ProvisionError {
    /// The broker did not answer, or refused.
    #[error("{doing}: {cause}")]
    Broker {
        /// What was tried.
        doing: String,
        /// What the broker said.
        cause: String,
        /// Whether the same request may succeed later.
        passing: bool,
    },
    /// The registry did not answer, or refused.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// A passing error did not pass in time.
    #[error("gave up after {after_s} s: {cause}")]
    GaveUp {
        /// How long it was tried.
        after_s: u64,
        /// The last failure.
        cause: Box<ProvisionError>,
    },
}

impl ProvisionError {
    /// Whether the same may work in a moment: a registry that starts beside its broker comes later
    /// than it, and a partition may have no leader yet.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Broker { passing, .. } => *passing,
            Self::Registry(error) => matches!(error, RegistryError::Unreachable { .. }),
            Self::GaveUp { .. } => true,
        }
    }
}

/// Compares broker and registry with the files.
pub struct Provision {
    admin: AdminClient<DefaultClientContext>,
    registry: Registry,
    replication: i32,
    topics: Topics,
    schemas: Vec<&'static Schema>,
    patience: Patience,
}

impl Provision {
    /// For the cluster behind `brokers`; new topics get `replication` replicas.
    ///
    /// # Errors
    /// When the client can't be made.
    pub fn new(
        brokers: impl Into<Brokers>,
        registry: Registry,
        replication: i32,
    ) -> Result<Self, ProvisionError> {
        Self::of(brokers, registry, replication, topics::all().clone())
    }

    /// The same for other topics than those of `topics.yaml`.
    ///
    /// # Errors
    /// When the client can't be made.
    pub fn of(
        brokers: impl Into<Brokers>,
        registry: Registry,
        replication: i32,
        topics: Topics,
    ) -> Result<Self, ProvisionError> {
        let admin = brokers
            .into()
            .librdkafka()
            .set("client.id", "millrace-provision")
            .create()
            .map_err(|error| broker("making a client of the broker", &error, false))?;
        let (schemas, patience) = (schemas::all().to_vec(), Patience::default());
        Ok(Self { admin, registry, replication, topics, schemas, patience })
    }

    /// The same for other schemas than those that this program was built with.
    #[must_use]
    pub fn with_schemas(self, schemas: Vec<&'static Schema>) -> Self {
        Self { schemas, ..self }
    }

    /// The same with another patience than the default one, which is none.
    #[must_use]
    pub fn with_patience(self, patience: Patience) -> Self {
        Self { patience, ..self }
    }

    /// What has to be done.
    ///
    /// # Errors
    /// When broker or registry refuse, or do not answer in time.
    pub async fn plan(&self) -> Result<Plan, ProvisionError> {
        let cluster = self.patience.wait(async || self.cluster_id()).await?;
        let mut plan = Plan { steps: Vec::new(), breaks: Vec::new(), cluster: Some(cluster) };
        let mut there = Vec::new();
        let metadata = self.patience.wait(async || self.complete_metadata()).await?;
        for topic in self.topics.iter() {
            match metadata.topics().iter().find(|found| found.name() == topic.name) {
                None => {
                    plan.steps
                        .push(Step::Create { topic: topic.clone(), replication: self.replication });
                }
                Some(found) if found.partitions().len() as i64 != i64::from(topic.partitions) => {
                    let (found, declared) = (found.partitions().len(), topic.partitions);
                    plan.breaks.push(Break::Partitions {
                        topic: topic.name.clone(),
                        found,
                        declared,
                    });
                }
                Some(found) => {
                    let replicas =
                        found.partitions().iter().map(|found| found.replicas().len()).min();
                    there.push((topic, i32::try_from(replicas.unwrap_or(1)).unwrap_or(1)));
                }
            }
        }
        for (topic, replicas) in there {
            plan.steps
                .extend(self.patience.wait(async || self.altered(topic, replicas).await).await?);
        }
        for schema in &self.schemas {
            self.plan_schema(schema, &mut plan).await?;
        }
        Ok(plan)
    }

    /// The cluster's own id. A cluster that starts has none for some seconds, and a plan made then
    /// would name another cluster than the one that it is applied to.
    fn cluster_id(&self) -> Result<String, ProvisionError> {
        // Each answer to a metadata request brings the id; the client keeps the newest one.
        self.metadata("asking for the cluster's id")?;
        let id = self.admin.inner().fetch_cluster_id(Duration::from_secs(1));
        id.filter(|id| id != INITIALIZING)
            .ok_or_else(|| broker("asking for the cluster's id", &"it has none yet", true))
    }

    /// The topics. If some have to be created, the cluster has enough brokers for their replicas.
    fn complete_metadata(&self) -> Result<Metadata, ProvisionError> {
        let metadata = self.metadata("listing topics")?;
        let is_there =
            |topic: &Topic| metadata.topics().iter().any(|found| found.name() == topic.name);
        let (brokers, replicas) = (metadata.brokers().len() as i64, i64::from(self.replication));
        if brokers < replicas && !self.topics.iter().all(is_there) {
            let cause = format!("new topics need {replicas} brokers, {brokers} are there");
            return Err(broker("listing topics", &cause, true));
        }
        Ok(metadata)
    }

    fn metadata(&self, doing: &str) -> Result<Metadata, ProvisionError> {
        self.admin.inner().fetch_metadata(None, ASK).map_err(|error| client(doing, &error))
    }

    /// How the settings of `topic` have to change, if they have to.
    async fn altered(&self, topic: &Topic, replicas: i32) -> Result<Option<Step>, ProvisionError> {
        let found = self.described(topic).await?;
        let found = found.entry_map();
        let settings = topic.settings_for(replicas);
        let differs = |(name, to): (&'static str, String)| {
            // A broker that does not have a setting can't be told to change it.
            let from = found.get(name)?.value.clone().unwrap_or_default();
            let same =
                from == to || from.parse::<f64>().ok().is_some_and(|from| Ok(from) == to.parse());
            (!same).then_some((name, from, to))
        };
        let changes: Vec<_> = settings.into_iter().filter_map(differs).collect();
        Ok((!changes.is_empty()).then(|| Step::Alter { topic: topic.clone(), changes }))
    }

    async fn described(&self, topic: &Topic) -> Result<ConfigResource, ProvisionError> {
        let doing = format!("describing {}", topic.name);
        let described = self
            .admin
            .describe_configs(&[ResourceSpecifier::Topic(&topic.name)], &options())
            .await
            .map_err(|error| client(&doing, &error))?;
        let found = described.into_iter().next();
        found
            .ok_or_else(|| broker(&doing, &"no answer", true))?
            .map_err(|code| refused(&doing, code))
    }

    async fn plan_schema(
        &self,
        schema: &'static Schema,
        plan: &mut Plan,
    ) -> Result<(), ProvisionError> {
        let registry = &self.registry;
        let id = self.patience.wait(async || Ok(registry.id_of(schema).await?)).await?;
        let is_there = id.is_some();
        let mut after = Vec::new();
        if !is_there {
            let versions = async || Ok(registry.versions(schema.name).await?);
            let versions = self.patience.wait(versions).await?;
            let texts: Vec<_> = versions
                .iter()
                .map(|version| (format!("version {}", version.number), version.schema.as_str()))
                .collect();
            let subject = schema.name;
            match compatibility::breaks(schema.json, &texts) {
                Ok(breaks) => {
                    let broken =
                        breaks.into_iter().map(|cause| Break::Incompatible { subject, cause });
                    plan.breaks.extend(broken);
                }
                Err(wrong) => {
                    plan.breaks.extend(
                        wrong.into_iter().map(|cause| Break::Unreadable { subject, cause }),
                    );
                }
            }
            after.extend(versions.iter().map(|version| version.number));
        }
        if is_there || !after.is_empty() {
            let from =
                self.patience.wait(async || Ok(registry.level_of(schema.name).await?)).await?;
            if from.as_deref() != Some(FULL_TRANSITIVE) {
                plan.steps.push(Step::Level { schema, from });
            }
        }
        if !is_there {
            plan.steps.push(Step::Register { schema, after });
        }
        Ok(())
    }

    /// Does one thing.
    ///
    /// # Errors
    /// When broker or registry refuse, or do not answer in time.
    pub async fn apply(&self, step: &Step) -> Result<(), ProvisionError> {
        self.patience.wait(async || self.apply_once(step).await).await
    }

    async fn apply_once(&self, step: &Step) -> Result<(), ProvisionError> {
        match step {
            Step::Create { topic, replication } => self.create(topic, *replication).await,
            Step::Alter { topic, changes } => {
                // Incrementally: the older AlterConfigs resets every setting that it does not name,
                // and is refused as a whole for one that may not be set.
                let doing = format!("altering {}", topic.name);
                let set: Vec<_> =
                    changes.iter().map(|(name, _, to)| (*name, to.as_str())).collect();
                raw::set_topic_configs(self.admin.inner(), &topic.name, &set, ASK)
                    .map_err(|(code, text)| broker(&doing, &text, retry::is_passing(code)))
            }
            Step::Level { schema, .. } => {
                Ok(self.registry.set_full_transitive(schema.name).await?)
            }
            Step::Register { schema, .. } => {
                // The level first: a run that is cut off leaves no subject without one.
                self.registry.set_full_transitive(schema.name).await?;
                self.registry.register(schema).await?;
                Ok(())
            }
        }
    }

    async fn create(&self, topic: &Topic, replication: i32) -> Result<(), ProvisionError> {
        let doing = format!("creating {}", topic.name);
        let settings = topic.settings_for(replication);
        let mut new =
            NewTopic::new(&topic.name, topic.partitions, TopicReplication::Fixed(replication));
        for (name, value) in &settings {
            new = new.set(name, value);
        }
        let answer = self
            .admin
            .create_topics(&[new], &options())
            .await
            .map_err(|error| client(&doing, &error))?;
        let answer = answer
            .into_iter()
            .map(|one| match one {
                // Somebody else was faster.
                Err((name, RDKafkaErrorCode::TopicAlreadyExists)) => Ok(name),
                other => other,
            })
            .collect();
        answered(&doing, answer)
    }

    /// Waits until every partition has a leader.
    ///
    /// # Errors
    /// When one has none for half a minute, and for as long as the patience lasts.
    pub async fn wait_for_leaders(&self) -> Result<(), ProvisionError> {
        let patience = self.patience.at_least(LEADERS_MAX);
        let led = async || {
            let metadata = self.metadata("asking for leaders")?;
            let led = |topic: &Topic| {
                let found = metadata.topics().iter().find(|found| found.name() == topic.name);
                found.is_some_and(|found| {
                    found.partitions().len() as i64 == i64::from(topic.partitions)
                        && found.partitions().iter().all(|partition| partition.leader() >= 0)
                })
            };
            match self.topics.iter().find(|topic| !led(topic)) {
                None => Ok(()),
                Some(topic) => {
                    let doing = format!("waiting for the leaders of {}", topic.name);
                    Err(broker(&doing, &"a partition has none", true))
                }
            }
        };
        patience.wait(led).await
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(ASK)).operation_timeout(Some(ASK))
}

fn broker(doing: &str, cause: &dyn fmt::Display, passing: bool) -> ProvisionError {
    ProvisionError::Broker { doing: doing.to_owned(), cause: cause.to_string(), passing }
}

/// A request that the client could not bring to an answer.
fn client(doing: &str, error: &KafkaError) -> ProvisionError {
    // Without a code it is about the client itself or about the arguments.
    let code = match error {
        KafkaError::AdminOp(code) => Some(*code),
        error => error.rdkafka_error_code(),
    };
    let passing = code.is_some_and(retry::is_passing);
    broker(doing, error, passing)
}

/// An answer that is an error.
fn refused(doing: &str, code: RDKafkaErrorCode) -> ProvisionError {
    broker(doing, &code, retry::is_passing(code))
}

fn answered<T, N: fmt::Debug>(
    doing: &str,
    answer: Vec<Result<T, (N, RDKafkaErrorCode)>>,
) -> Result<(), ProvisionError> {
    match answer.into_iter().find_map(Result::err) {
        Some((_, code)) => Err(refused(doing, code)),
        None => Ok(()),
    }
}
