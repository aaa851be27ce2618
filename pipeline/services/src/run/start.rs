//! Starts the threads of projectors and workers.

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use engine::{SchemaSource, Settings, SourceError, Status, Topology, Worker};
use projections::{Projection, clock::now_ms, progress::Progress, projector};
use redpanda::{
    brokers::Brokers,
    log::Topic,
    reader::Reader,
    registry::Registry,
    session::{self, Delivery},
};
use schemas::Codec;
use tokio::runtime::Handle;

use crate::{config::Config, threads::Threads};

/// What the threads of a service share.
pub(super) struct Start<'a> {
    pub(super) config: &'a Config,
    pub(super) topology: Arc<Topology>,
    pub(super) commit_interval: Option<Duration>,
    pub(super) brokers: Brokers,
    pub(super) registry: Registry,
    pub(super) codec: Arc<Codec>,
    pub(super) metrics: &'a prometheus::Registry,
    /// What the projectors apply, for traces.
    pub(super) progress: Progress,
    pub(super) threads: &'a Threads,
    /// Ends the threads when it becomes true.
    pub(super) shutdown: Arc<AtomicBool>,
}

impl Start<'_> {
    /// Starts a thread for each projection.
    pub(super) fn projectors(&self, all: Vec<Box<dyn Projection>>) -> anyhow::Result<()> {
        let resources = self.projector_resources()?;
        for projection in all {
            let resources = resources.clone();
            // The kernel shows fifteen characters of the name.
            self.threads.spawn(format!("p.{}", projection.name()), move |turns| {
                Ok(projector::run(projection, &resources, &|| turns.begin())?)
            })?;
        }
        Ok(())
    }

    fn projector_resources(&self) -> Result<projector::Resources, prometheus::Error> {
        let (brokers, schemas) = (self.brokers.clone(), self.schemas());
        let service = self.topology.processor().to_owned();
        let member = format!("{service}-{}", self.config.instance);
        Ok(projector::Resources {
            open: Arc::new(move |projection, topics| {
                let topics: Vec<Topic> = topics.iter().map(|topic| (*topic).into()).collect();
                let group = projector::group(&service, projection);
                Ok(Box::new(Reader::join(&brokers, &group, &format!("{group}.{member}"), &topics)?))
            }),
            codec: self.codec.clone(),
            schema_by_id: Arc::new(move |id| Ok(schemas.by_id(id)?)),
            retention: self.config.retention(),
            metrics: projections::Metrics::register(self.metrics)?,
            progress: self.progress.clone(),
            runtime: Handle::current(),
            shutdown: self.shutdown.clone(),
        })
    }

    /// Starts the workers of the processor, and returns their statuses.
    pub(super) fn workers(&self, metrics: &engine::Metrics) -> anyhow::Result<Vec<Arc<Status>>> {
        let schemas = Arc::new(self.schemas());
        let mut statuses = Vec::new();
        for number in 0..self.config.workers {
            let worker = Worker::new(
                self.topology.clone(),
                self.codec.clone(),
                Arc::new(self.session(number)),
                schemas.clone(),
                Arc::new(now_ms),
                self.worker_settings(),
                metrics.clone(),
            );
            statuses.push(worker.status());
            let shutdown = self.shutdown.clone();
            self.threads.spawn(format!("worker-{number}"), move |turns| {
                Ok(worker.run(&shutdown, || turns.begin())?)
            })?;
        }
        Ok(statuses)
    }

    fn session(&self, worker: u32) -> session::Settings {
        let processor = self.topology.processor();
        session::Settings {
            brokers: self.brokers.clone(),
            group: processor.to_owned(),
            inputs: self.topology.inputs(),
            transactional_id: format!("{processor}-{}-{worker}", self.config.instance),
            delivery: Delivery::ExactlyOnce,
        }
    }

    fn worker_settings(&self) -> Settings {
        let default = Settings::default();
        Settings {
            commit_interval: self.commit_interval,
            local_follow_ups: self.config.local_follow_ups,
            part_min: self.config.part_min as usize,
            accept_loss: self.config.accept_loss.clone(),
            retention: self.config.retention(),
            dedupe_horizon: self.config.soak_retention().unwrap_or(default.dedupe_horizon),
            ..default
        }
    }

    fn schemas(&self) -> BlockingRegistry {
        BlockingRegistry { registry: self.registry.clone(), runtime: Handle::current() }
    }
}

/// The registry for threads that may block.
struct BlockingRegistry {
    registry: Registry,
    runtime: Handle,
}

impl BlockingRegistry {
    fn by_id(&self, id: u32) -> Result<Option<String>, redpanda::registry::RegistryError> {
        self.runtime.block_on(self.registry.schema_by_id(id))
    }
}

impl SchemaSource for BlockingRegistry {
    fn schema_by_id(&self, id: u32) -> Result<Option<String>, SourceError> {
        Ok(self.by_id(id)?)
    }
}
