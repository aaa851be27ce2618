//! Brings broker and registry to what the files say: plans, applies, and never deletes.
//!
//! librdkafka's admin client makes the topics, because rskafka can't give a topic its settings at birth: between its
//! making and its settings a topic would take records with the wrong clock.

use std::{collections::BTreeMap, fmt, time::Duration};

use rdkafka::{
    ClientConfig,
    admin::{
        AdminClient, AdminOptions, AlterConfig, ConfigResource, ConfigSource, NewTopic, ResourceSpecifier,
        TopicReplication,
    },
    client::DefaultClientContext,
    error::RDKafkaErrorCode,
};
use schemas::{Schema, avro::Invalid, compatibility};
use serde_json::{Value, json};

use crate::{
    registry::{FULL_TRANSITIVE, Registry, RegistryError},
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

/// What can't be brought to what the files say, and would break something if it were tried.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Break {
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
    /// A schema can't stand beside a version that the registry has.
    #[error("{subject}, {}: {cause}", cause.release)]
    Incompatible {
        /// The subject.
        subject: &'static str,
        /// What breaks, and which version.
        cause: compatibility::Break,
    },
    /// A schema, or a version that the registry has of it, can't be read.
    #[error("{subject}: {cause}")]
    Unreadable {
        /// The subject.
        subject: &'static str,
        /// What is wrong with it.
        cause: Invalid,
    },
}

/// One thing to do.
#[derive(Clone, Debug)]
pub enum Step {
    /// Make a topic.
    Create {
        /// The topic.
        topic: Topic,
        /// How many replicas it gets.
        replication: i32,
    },
    /// Change settings of a topic.
    Alter {
        /// The topic.
        topic: Topic,
        /// Settings to change: name, from, to.
        changes: Vec<(&'static str, String, String)>,
        /// What was set on this topic besides, by whomever. It stays.
        others: BTreeMap<String, String>,
    },
    /// Hold a subject that is there to `FULL_TRANSITIVE`.
    Level {
        /// Its schema.
        schema: &'static Schema,
        /// The level that it has; `None`: the registry's.
        from: Option<String>,
    },
    /// Register a schema, and hold its subject to `FULL_TRANSITIVE`.
    Register {
        /// The schema.
        schema: &'static Schema,
        /// The versions that its subject has.
        after: Vec<u32>,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create { topic, .. } => {
                write!(f, "create   {} ({} partitions)", topic.name, topic.partitions)
            }
            Self::Alter { topic, changes, .. } => {
                write!(f, "alter    {}:", topic.name)?;
                changes.iter().try_for_each(|(name, from, to)| write!(f, " {name} {from} -> {to}"))
            }
            Self::Level { schema, from } => {
                let from = from.as_deref().unwrap_or("the registry's");
                write!(f, "level    {}: {from} -> {FULL_TRANSITIVE}", schema.name)
            }
            Self::Register { schema, after } => match after.last() {
                None => write!(f, "register {}", schema.name),
                Some(last) => write!(f, "register {} after version {last}", schema.name),
            },
        }
    }
}

impl Step {
    /// Everything that the step depends on and does, to be kept and compared.
    fn to_json(&self) -> Value {
        match self {
            Self::Create { topic, replication } => json!({
                "do": "create", "topic": topic.name, "partitions": topic.partitions, "replication": replication,
                "settings": topic.settings(),
            }),
            Self::Alter { topic, changes, others } => {
                let changes: BTreeMap<_, _> = changes
                    .iter()
                    .map(|(name, from, to)| (*name, json!({ "from": from, "to": to })))
                    .collect();
                json!({ "do": "alter", "topic": topic.name, "settings": changes, "others": others })
            }
            Self::Level { schema, from } => {
                json!({ "do": "level", "subject": schema.name, "from": from, "to": FULL_TRANSITIVE })
            }
            Self::Register { schema, after } => {
                json!({ "do": "register", "subject": schema.name, "after": after, "schema": schema.json })
            }
        }
    }
}

/// What has to be done, and what keeps it from being done.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What has to be done, in this order.
    pub steps: Vec<Step>,
    /// What would break. While there is one, nothing is done at all.
    pub breaks: Vec<Break>,
    /// The cluster's own id, where it has one.
    pub cluster: Option<String>,
}

impl Plan {
    /// Whether all is as the files say.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.breaks.is_empty()
    }

    /// The plan, to be kept and compared: equal ones were made of the same state and do the same.
    pub fn to_json(&self) -> Value {
        let steps: Vec<_> = self.steps.iter().map(Step::to_json).collect();
        json!({ "millrace": "plan 1", "cluster": self.cluster, "steps": steps })
    }
}

/// Compares broker and registry with the files.
pub struct Provision {
    admin: AdminClient<DefaultClientContext>,
    registry: Registry,
    replication: i32,
    topics: Topics,
    schemas: Vec<&'static Schema>,
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
        Ok(Self { admin, registry, replication, topics, schemas: schemas::all().to_vec() })
    }

    /// The same for other schemas than those that this program was built with.
    #[must_use]
    pub fn with_schemas(self, schemas: Vec<&'static Schema>) -> Self {
        Self { schemas, ..self }
    }

    /// What has to be done.
    ///
    /// # Errors
    /// When broker or registry do not answer.
    pub async fn plan(&self) -> Result<Plan, ProvisionError> {
        let cluster = self.admin.inner().fetch_cluster_id(ASK);
        let mut plan = Plan { steps: Vec::new(), breaks: Vec::new(), cluster };
        let mut there = Vec::new();
        let metadata =
            self.admin.inner().fetch_metadata(None, ASK).map_err(|error| broker("listing topics", &error))?;
        for topic in self.topics.iter() {
            match metadata.topics().iter().find(|found| found.name() == topic.name) {
                None => {
                    plan.steps.push(Step::Create { topic: topic.clone(), replication: self.replication });
                }
                Some(found) if found.partitions().len() as i64 != i64::from(topic.partitions) => {
                    let (found, declared) = (found.partitions().len(), topic.partitions);
                    plan.breaks.push(Break::Partitions { topic: topic.name.clone(), found, declared });
                }
                Some(_) => there.push(topic),
            }
        }
        for topic in there {
            plan.steps.extend(self.altered(topic).await?);
        }
        for schema in &self.schemas {
            self.plan_schema(schema, &mut plan).await?;
        }
        Ok(plan)
    }

    /// How the settings of `topic` have to change, if they have to.
    async fn altered(&self, topic: &Topic) -> Result<Option<Step>, ProvisionError> {
        let found = self.described(topic).await?;
        let found = found.entry_map();
        let settings = topic.settings();
        let differs = |(name, to): (&'static str, String)| {
            // A broker that does not have a setting can't be told to change it.
            let from = found.get(name)?.value.clone().unwrap_or_default();
            let same = from == to || from.parse::<f64>().ok().is_some_and(|from| Ok(from) == to.parse());
            (!same).then_some((name, from, to))
        };
        let changes: Vec<_> = settings.clone().into_iter().filter_map(differs).collect();
        let of_the_topic = |(name, entry): (&&str, &&rdkafka::admin::ConfigEntry)| {
            let set = entry.source == ConfigSource::DynamicTopic && !settings.contains_key(name);
            Some(((*name).to_owned(), entry.value.clone().filter(|_| set)?))
        };
        let others = found.iter().filter_map(of_the_topic).collect();
        Ok((!changes.is_empty()).then(|| Step::Alter { topic: topic.clone(), changes, others }))
    }

    async fn described(&self, topic: &Topic) -> Result<ConfigResource, ProvisionError> {
        let doing = format!("describing {}", topic.name);
        let described = self
            .admin
            .describe_configs(&[ResourceSpecifier::Topic(&topic.name)], &options())
            .await
            .map_err(|error| broker(&doing, &error))?;
        let found = described.into_iter().next();
        found.ok_or_else(|| broker(&doing, &"no answer"))?.map_err(|code| broker(&doing, &code))
    }

    async fn plan_schema(&self, schema: &'static Schema, plan: &mut Plan) -> Result<(), ProvisionError> {
        let is_there = self.registry.id_of(schema).await?.is_some();
        let mut after = Vec::new();
        if !is_there {
            let versions = self.registry.versions(schema.name).await?;
            let texts: Vec<_> = versions
                .iter()
                .map(|version| (format!("version {}", version.number), version.schema.as_str()))
                .collect();
            let subject = schema.name;
            match compatibility::breaks(schema.json, &texts) {
                Ok(breaks) => {
                    let broken = breaks.into_iter().map(|cause| Break::Incompatible { subject, cause });
                    plan.breaks.extend(broken);
                }
                Err(wrong) => {
                    plan.breaks.extend(wrong.into_iter().map(|cause| Break::Unreadable { subject, cause }));
                }
            }
            after.extend(versions.iter().map(|version| version.number));
        }
        if is_there || !after.is_empty() {
            let from = self.registry.level_of(schema.name).await?;
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
    /// When broker or registry refuse or do not answer.
    pub async fn apply(&self, step: &Step) -> Result<(), ProvisionError> {
        match step {
            Step::Create { topic, replication } => self.create(topic, *replication).await,
            Step::Alter { topic, others, .. } => {
                let settings = topic.settings();
                let mut change = AlterConfig::new(ResourceSpecifier::Topic(&topic.name));
                for (name, value) in &settings {
                    change = change.set(name, value);
                }
                // What is not named here would fall back to the broker's default.
                for (name, value) in others {
                    change = change.set(name, value);
                }
                let doing = format!("altering {}", topic.name);
                let answer = self.admin.alter_configs(&[change], &options()).await;
                answered(&doing, answer.map_err(|error| broker(&doing, &error))?)
            }
            Step::Level { schema, .. } => Ok(self.registry.set_full_transitive(schema.name).await?),
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
        let settings = topic.settings();
        let mut new = NewTopic::new(&topic.name, topic.partitions, TopicReplication::Fixed(replication));
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
