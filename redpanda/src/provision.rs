//! Brings broker and registry to what the files say: plans, applies, and never deletes.
//!
//! librdkafka's admin client makes the topics, because rskafka can't give a topic its settings at birth: between its
//! making and its settings a topic would take records with the wrong clock.

use std::{fmt, time::Duration};

use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication},
    client::DefaultClientContext,
    error::RDKafkaErrorCode,
};
use schemas::Schema;

use crate::{
    registry::{Registry, RegistryError},
    topics::{self, Topic, Topics},
};

const ASK: Duration = Duration::from_secs(10);

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
    },
    /// A topic has another number of partitions than the file says.
    #[error(
        "{topic} has {found} partitions, topics.yaml says {declared}: a keyed topic never changes its count, because \
         its keys would move; make a new topic and copy it over"
    )]
    Partitions {
        /// The topic.
        topic: String,
        /// How many it has.
        found: usize,
        /// How many it should have.
        declared: i32,
    },
    /// The registry did not answer, or refused.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

impl ProvisionError {
    /// Whether the same may work in a moment: a registry that starts beside its broker comes later than it.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Broker { .. } | Self::Registry(RegistryError::Unreachable { .. }))
    }
}

/// One thing to do.
#[derive(Clone, Debug)]
pub enum Step {
    /// Make a topic.
    Create(Topic),
    /// Change settings of a topic: name, from, to.
    Alter(Topic, Vec<(&'static str, String, String)>),
    /// Register a schema.
    Register(&'static Schema),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create(topic) => write!(f, "create   {} ({} partitions)", topic.name, topic.partitions),
            Self::Alter(topic, changes) => {
                write!(f, "alter    {}:", topic.name)?;
                changes.iter().try_for_each(|(name, from, to)| write!(f, " {name} {from} -> {to}"))
            }
            Self::Register(schema) => write!(f, "register {}", schema.name),
        }
    }
}

/// Compares broker and registry with the files.
pub struct Provision {
    admin: AdminClient<DefaultClientContext>,
    registry: Registry,
    replication: i32,
    topics: Topics,
}

impl Provision {
    /// For the cluster behind `brokers`; new topics get `replication` replicas.
    ///
    /// # Errors
    /// When the client can't be made.
    pub fn new(brokers: &str, registry: Registry, replication: i32) -> Result<Self, ProvisionError> {
        Self::of(brokers, registry, replication, topics::all().clone())
    }

    /// The same for other topics than those of `topics.yaml`.
    ///
    /// # Errors
    /// When the client can't be made.
    pub fn of(
        brokers: &str,
        registry: Registry,
        replication: i32,
        topics: Topics,
    ) -> Result<Self, ProvisionError> {
        let admin = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("client.id", "millrace-provision")
            .create()
            .map_err(|error| broker("connecting", &error))?;
        Ok(Self { admin, registry, replication, topics })
    }

    /// What has to be done.
    ///
    /// # Errors
    /// When broker or registry do not answer, or a topic can't be brought to what the file says.
    pub async fn plan(&self) -> Result<Vec<Step>, ProvisionError> {
        let mut steps = Vec::new();
        let mut there = Vec::new();
        let metadata =
            self.admin.inner().fetch_metadata(None, ASK).map_err(|error| broker("listing topics", &error))?;
        for topic in self.topics.iter() {
            match metadata.topics().iter().find(|found| found.name() == topic.name) {
                None => steps.push(Step::Create(topic.clone())),
                Some(found) if found.partitions().len() as i64 != i64::from(topic.partitions) => {
                    let (found, declared) = (found.partitions().len(), topic.partitions);
                    return Err(ProvisionError::Partitions { topic: topic.name.clone(), found, declared });
                }
                Some(_) => there.push(topic),
            }
        }
        for topic in there {
            let changes = self.differences(topic).await?;
            if !changes.is_empty() {
                steps.push(Step::Alter(topic.clone(), changes));
            }
        }
        for schema in schemas::all() {
            if self.registry.id_of(schema).await?.is_none() {
                steps.push(Step::Register(schema));
            }
        }
        Ok(steps)
    }

    async fn differences(
        &self,
        topic: &Topic,
    ) -> Result<Vec<(&'static str, String, String)>, ProvisionError> {
        let doing = format!("describing {}", topic.name);
        let described = self
            .admin
            .describe_configs(&[ResourceSpecifier::Topic(&topic.name)], &options())
            .await
            .map_err(|error| broker(&doing, &error))?;
        let found = described.into_iter().next();
        let found =
            found.ok_or_else(|| broker(&doing, &"no answer"))?.map_err(|code| broker(&doing, &code))?;
        let differs = |(name, to): (&'static str, String)| {
            // A broker that does not have a setting can't be told to change it.
            let from = found.get(name)?.value.clone().unwrap_or_default();
            let same = from == to || from.parse::<f64>().ok().is_some_and(|from| Ok(from) == to.parse());
            (!same).then_some((name, from, to))
        };
        Ok(topic.settings().into_iter().filter_map(differs).collect())
    }

    /// Does one thing.
    ///
    /// # Errors
    /// When broker or registry refuse or do not answer.
    pub async fn apply(&self, step: &Step) -> Result<(), ProvisionError> {
        match step {
            Step::Create(topic) => self.create(topic).await,
            Step::Alter(topic, _) => {
                let settings = topic.settings();
                let mut change = AlterConfig::new(ResourceSpecifier::Topic(&topic.name));
                for (name, value) in &settings {
                    change = change.set(name, value);
                }
                let doing = format!("altering {}", topic.name);
                let answer = self.admin.alter_configs(&[change], &options()).await;
                answered(&doing, answer.map_err(|error| broker(&doing, &error))?)
            }
            Step::Register(schema) => {
                // The level first: a run that is cut off leaves no subject without one.
                self.registry.set_full_transitive(schema.name).await?;
                self.registry.register(schema).await?;
                Ok(())
            }
        }
    }

    async fn create(&self, topic: &Topic) -> Result<(), ProvisionError> {
        let doing = format!("creating {}", topic.name);
        let settings = topic.settings();
        let mut new = NewTopic::new(&topic.name, topic.partitions, TopicReplication::Fixed(self.replication));
        for (name, value) in &settings {
            new = new.set(name, value);
        }
        let answer =
            self.admin.create_topics(&[new], &options()).await.map_err(|error| broker(&doing, &error))?;
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
    /// When one has none for half a minute.
    pub async fn wait_for_leaders(&self) -> Result<(), ProvisionError> {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
        loop {
            let metadata = self
                .admin
                .inner()
                .fetch_metadata(None, ASK)
                .map_err(|error| broker("asking for leaders", &error))?;
            let led = |topic: &Topic| {
                let found = metadata.topics().iter().find(|found| found.name() == topic.name);
                found.is_some_and(|found| {
                    found.partitions().len() as i64 == i64::from(topic.partitions)
                        && found.partitions().iter().all(|partition| partition.leader() >= 0)
                })
            };
            let Some(without) = self.topics.iter().find(|topic| !led(topic)) else { return Ok(()) };
            if tokio::time::Instant::now() > deadline {
                return Err(broker(
                    &format!("waiting for the leaders of {}", without.name),
                    &"there is none",
                ));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(ASK)).operation_timeout(Some(ASK))
}

fn broker(doing: &str, cause: &dyn fmt::Display) -> ProvisionError {
    ProvisionError::Broker { doing: doing.to_owned(), cause: cause.to_string() }
}

fn answered<T, N: fmt::Debug>(
    doing: &str,
    answer: Vec<Result<T, (N, RDKafkaErrorCode)>>,
) -> Result<(), ProvisionError> {
    match answer.into_iter().find_map(Result::err) {
        Some((_, code)) => Err(broker(doing, &code)),
        None => Ok(()),
    }
}
