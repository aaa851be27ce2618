//! Changes broker and registry to what the files declare: plans, applies, and never deletes.
//!
//! librdkafka's admin client creates the topics, because rskafka can't pass settings when it
//! creates a topic: until the settings were changed, the topic would accept records with the wrong
//! timestamps.
//!
//! Every request that fails with a retriable error is repeated for up to a stated time, and each
//! failure is reported; see [`retry`]. All requests are idempotent.
//!
//! - `plan`: the steps and what forbids them; `cluster`: requests to the broker
//! - `error`: how a step fails, and whether a retry helps; `settings`: what callers choose

mod cluster;
mod error;
mod plan;
pub mod retry;
mod settings;

use std::time::Duration;

use schemas::{
    Schema,
    compatibility::{self, Break, Severity},
};

pub use error::ProvisionError;
pub use plan::{Conflict, Plan, SettingChange, Step};
pub use settings::ProvisionSettings;

use crate::{
    brokers::Brokers,
    registry::{FULL_TRANSITIVE, Registry},
    topics::{self, Topics},
};
use cluster::Cluster;
use retry::RetryPolicy;

/// How long new partitions may take to elect a leader, at least.
const LEADERS_MAX: Duration = Duration::from_secs(30);

/// Whether a change of meaning of this subject is allowed.
type Allowed = dyn Fn(&str, &Break) -> bool + Send + Sync;

/// Compares broker and registry with the files.
pub struct Provision {
    cluster: Cluster,
    registry: Registry,
    replication: i32,
    topics: Topics,
    schemas: Vec<&'static Schema>,
    allowed: Box<Allowed>,
    retries: RetryPolicy,
}

impl Provision {
    /// For the cluster behind `brokers` and the topics of `topics.yaml`; new topics get
    /// `replication` replicas.
    ///
    /// # Errors
    /// If the client can't be created.
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
    /// If the client can't be created.
    pub fn of(
        brokers: impl Into<Brokers>,
        registry: Registry,
        replication: i32,
        topics: Topics,
    ) -> Result<Self, ProvisionError> {
        let cluster = Cluster::connect(&brokers.into())?;
        let (schemas, retries) = (schemas::all().to_vec(), RetryPolicy::default());
        let allowed = Box::new(|_: &str, _: &Break| false);
        Ok(Self { cluster, registry, replication, topics, schemas, allowed, retries })
    }

    /// The same for other schemas than those that this program was built with.
    #[must_use]
    pub fn with_schemas(self, schemas: Vec<&'static Schema>) -> Self {
        Self { schemas, ..self }
    }

    /// The same with exceptions: it registers a schema that changes the meaning of a field if
    /// `allowed` returns true for the subject and the change. By default, none is allowed, and a
    /// schema that breaks a version never is.
    #[must_use]
    pub fn with_allowed(
        self,
        allowed: impl Fn(&str, &Break) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self { allowed: Box::new(allowed), ..self }
    }

    /// The same with retries, of which there are none by default.
    #[must_use]
    pub fn with_retries(self, retries: RetryPolicy) -> Self {
        Self { retries, ..self }
    }

    /// Compares and returns what is to be done.
    ///
    /// # Errors
    /// If broker or registry refuse, or do not answer in time.
    pub async fn plan(&self) -> Result<Plan, ProvisionError> {
        let cluster = self.retries.run(async || self.cluster.id()).await?;
        let mut plan = Plan { steps: Vec::new(), conflicts: Vec::new(), cluster: Some(cluster) };
        self.plan_topics(&mut plan).await?;
        for schema in &self.schemas {
            self.plan_schema(schema, &mut plan).await?;
        }
        Ok(plan)
    }

    async fn plan_topics(&self, plan: &mut Plan) -> Result<(), ProvisionError> {
        let list = async || self.cluster.complete_metadata(&self.topics, self.replication);
        let metadata = self.retries.run(list).await?;
        let mut existing = Vec::new();
        for topic in self.topics.iter() {
            match metadata.topics().iter().find(|found| found.name() == topic.name) {
                None => {
                    plan.steps
                        .push(Step::Create { topic: topic.clone(), replication: self.replication });
                }
                Some(found) if found.partitions().len() as i64 != i64::from(topic.partitions) => {
                    plan.conflicts.push(Conflict::Partitions {
                        topic: topic.name.clone(),
                        found: found.partitions().len(),
                        declared: topic.partitions,
                    });
                }
                Some(found) => {
                    let replicas =
                        found.partitions().iter().map(|found| found.replicas().len()).min();
                    existing.push((topic, i32::try_from(replicas.unwrap_or(1)).unwrap_or(1)));
                }
            }
        }
        for (topic, replicas) in existing {
            let compare = async || self.cluster.setting_changes(topic, replicas).await;
            let changes = self.retries.run(compare).await?;
            if !changes.is_empty() {
                plan.steps.push(Step::Alter { topic: topic.clone(), changes });
            }
        }
        Ok(())
    }

    async fn plan_schema(
        &self,
        schema: &'static Schema,
        plan: &mut Plan,
    ) -> Result<(), ProvisionError> {
        let registry = &self.registry;
        let id = self.retries.run(async || Ok(registry.id_of(schema).await?)).await?;
        let is_registered = id.is_some();
        let mut after = Vec::new();
        if !is_registered {
            let versions = async || Ok(registry.versions(schema.name).await?);
            let versions = self.retries.run(versions).await?;
            let texts: Vec<_> = versions
                .iter()
                .map(|version| (format!("version {}", version.number), version.schema.as_str()))
                .collect();
            let subject = schema.name;
            match compatibility::breaks(schema.json, &texts) {
                Ok(breaks) => {
                    let broken =
                        breaks.into_iter().filter(|cause| !self.is_allowed(subject, cause));
                    plan.conflicts
                        .extend(broken.map(|cause| Conflict::Incompatible { subject, cause }));
                }
                Err(wrong) => {
                    plan.conflicts.extend(
                        wrong.into_iter().map(|cause| Conflict::Unreadable { subject, cause }),
                    );
                }
            }
            after.extend(versions.iter().map(|version| version.number));
        }
        if is_registered || !after.is_empty() {
            let from = self.retries.run(async || Ok(registry.level_of(schema.name).await?)).await?;
            if from.as_deref() != Some(FULL_TRANSITIVE) {
                plan.steps.push(Step::Level { schema, from });
            }
        }
        if !is_registered {
            plan.steps.push(Step::Register { schema, after });
        }
        Ok(())
    }

    fn is_allowed(&self, subject: &str, cause: &Break) -> bool {
        cause.problem.kind.severity() == Severity::Meaning && (self.allowed)(subject, cause)
    }

    /// Applies the steps of a plan in order, and calls `begin` before each. Then waits until every
    /// partition has a leader.
    ///
    /// # Errors
    /// If the plan has conflicts: then nothing is applied. If broker or registry refuse a step, or
    /// do not answer in time: then the error says how many steps were applied.
    pub async fn apply_all(
        &self,
        plan: &Plan,
        mut begin: impl FnMut(&Step),
    ) -> Result<(), ProvisionError> {
        plan.check()?;
        let of = plan.steps.len();
        for (done, step) in plan.steps.iter().enumerate() {
            begin(step);
            let partly = |cause| ProvisionError::Partly { done, of, cause: Box::new(cause) };
            self.apply(step).await.map_err(partly)?;
        }
        self.wait_for_leaders().await
    }

    /// Applies one step.
    ///
    /// # Errors
    /// If broker or registry refuse, or do not answer in time.
    pub async fn apply(&self, step: &Step) -> Result<(), ProvisionError> {
        self.retries.run(async || self.apply_once(step).await).await
    }

    async fn apply_once(&self, step: &Step) -> Result<(), ProvisionError> {
        match step {
            Step::Create { topic, replication } => self.cluster.create(topic, *replication).await,
            Step::Alter { topic, changes } => self.cluster.alter(topic, changes),
            Step::Level { schema, .. } => {
                Ok(self.registry.set_full_transitive(schema.name).await?)
            }
            Step::Register { schema, .. } => {
                // The level first: if the run ends in between, no subject is without a level.
                self.registry.set_full_transitive(schema.name).await?;
                self.registry.register(schema).await?;
                Ok(())
            }
        }
    }

    /// Waits until every partition has a leader.
    ///
    /// # Errors
    /// If a partition has none for half a minute, or for the time of the retries if that is longer.
    pub async fn wait_for_leaders(&self) -> Result<(), ProvisionError> {
        let retries = self.retries.at_least(LEADERS_MAX);
        retries.run(async || self.cluster.check_leaders(&self.topics)).await
    }
}
