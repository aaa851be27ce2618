//! Starts a service and ends it in order: inner listener, schemas, projectors, workers; and all of
//! it on a signal.

use std::{
    process::ExitCode,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, anyhow};
use engine::{SchemaSource, Settings, SourceError, Status, Topology, Worker};
use projections::{
    Projection, StoreError, mongo::Mongo, postgres::Postgres, projector, redis::Redis,
};
use redpanda::{
    log::Topic,
    reader::Reader,
    registry::{self, Registry},
    session,
    settings::SettingError,
    tls::Tls,
};
use schemas::Schema;
use tokio::{
    runtime::{Handle, Runtime},
    signal::unix::{SignalKind, signal},
};

use crate::{
    config::Config,
    inner,
    threads::{TURN_MAX, Threads},
};

/// Connections to PostgreSQL: each projector uses one at a time for each partition.
const POSTGRES_CONNECTIONS_MAX: usize = 8;

/// What a service is made of.
pub struct Service {
    /// Its processor.
    pub topology: Topology,
    /// The projections that it runs; one that has none has no client of a store.
    pub projections: Option<Projections>,
    /// The schemas that these read, beside the processor's.
    pub reads: Vec<&'static Schema>,
}

/// The read models' stores.
#[derive(Clone)]
pub struct Stores {
    /// Users, credentials, sessions, outcomes.
    pub postgres: Postgres,
    /// Orders, products, notifications, recipients.
    pub mongo: Mongo,
    /// Hot reads, notices, the live stream.
    pub redis: Redis,
}

/// Names the projections of a service.
pub type Projections =
    Box<dyn FnOnce(Stores) -> Result<Vec<Box<dyn Projection>>, StoreError> + Send>;

/// Settings turned out to be wrong after the start: exit code 64, as for those that are wrong
/// before.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Wrong(String);

impl From<SettingError> for Wrong {
    fn from(error: SettingError) -> Self {
        Self(error.to_string())
    }
}

impl Stores {
    /// Makes the clients, which connect when they are needed: no store is waited for here.
    async fn new(config: &Config, tls: &Tls) -> Result<Self, Wrong> {
        let stores = &config.stores;
        let postgres = stores.postgres(tls, POSTGRES_CONNECTIONS_MAX)?;
        Ok(Self { postgres, mongo: stores.mongo(tls).await?, redis: stores.redis(tls)? })
    }
}

/// Ends with an error if PostgreSQL refuses the credentials when it first answers; else never.
async fn credentials(postgres: Option<Postgres>) -> Wrong {
    let Some(postgres) = postgres else { return std::future::pending().await };
    loop {
        match postgres.ping().await {
            Ok(()) => return std::future::pending().await,
            Err(error @ StoreError::Credentials { .. }) => {
                let what = "MILLRACE_POSTGRES_URL and MILLRACE_POSTGRES_PASSWORD";
                return Wrong(format!("{error}; check {what}"));
            }
            Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
        }
    }
}

/// Runs a service until it is told to end.
pub fn run(service: fn(&Config) -> anyhow::Result<Service>) -> ExitCode {
    let config = Config::from_env();
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into()),
        )
        .with_writer(std::io::stderr)
        .init();
    drop(rustls::crypto::ring::default_provider().install_default());
    let runtime = match Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("starting the runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    // The mail client starts a task of its own as soon as it is made.
    let made = {
        let _entered = runtime.enter();
        service(&config)
    };
    let service = match made {
        Ok(service) => service,
        Err(error) => {
            eprintln!("{error:#}");
            return ExitCode::from(64);
        }
    };
    let ended = runtime.block_on(serve(service, config));
    runtime.shutdown_timeout(Duration::from_secs(5));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "ended");
            eprintln!("{error:#}");
            match error.is::<Wrong>() {
                true => ExitCode::from(64),
                false => ExitCode::FAILURE,
            }
        }
    }
}

async fn serve(service: Service, config: Config) -> anyhow::Result<()> {
    let tls = config.tls.load().map_err(Wrong::from)?;
    let brokers = config.brokers.open(&tls).map_err(Wrong::from)?;
    let registry = config.registry.open(&tls).map_err(|error| Wrong(error.to_string()))?;
    // Made before anything is bound, as a wrong setting ends the service before.
    let stores = match service.projections {
        Some(_) => Some(Stores::new(&config, &tls).await?),
        None => None,
    };
    let Service { topology, projections, reads } = service;
    let topology = Arc::new(topology);
    let metrics = prometheus::Registry::new();
    metrics.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
    let statuses: Arc<OnceLock<Vec<Arc<Status>>>> = Arc::default();
    let threads = Threads::default();
    threads.register(&metrics)?;
    let checks = vec![("threads", alive(threads.clone())), ("engine", ready(statuses.clone()))];
    inner::serve(config.inner, metrics.clone(), checks).await?;
    let mut stop = Stop::listen()?;

    let mut schemas = topology.schemas().to_vec();
    schemas.extend(
        reads
            .into_iter()
            .filter(|read| !topology.schemas().iter().any(|own| own.name == read.name)),
    );
    let engine_metrics = engine::Metrics::register(&topology, &metrics)?;
    let codec = tokio::select! {
        codec = registry.wait_for_codec(&schemas) => codec,
        () = stop.asked() => return Ok(()),
    };
    let counted = engine_metrics.clone();
    let codec =
        Arc::new(registry::watched(codec, move |schema, what| counted.deprecated(schema, what)));
    let source = Arc::new(Source { registry, runtime: Handle::current() });

    let shutdown = Arc::new(AtomicBool::new(false));
    let readers = brokers.clone();
    let member = format!("{}-{}", topology.processor(), config.instance);
    let schema_by_id = source.clone();
    let context = projector::Context {
        open: Arc::new(move |group, topics| {
            let topics: Vec<Topic> = topics.iter().map(|topic| (*topic).into()).collect();
            Ok(Box::new(Reader::join(&readers, group, &format!("{group}.{member}"), &topics)?))
        }),
        codec: codec.clone(),
        schema_by_id: Arc::new(move |id| {
            schema_by_id.schema_by_id(id).map_err(|error| error.to_string())
        }),
        retention: config.retention(),
        metrics: projections::metrics::Metrics::register(&metrics)?,
        runtime: Handle::current(),
        shutdown: shutdown.clone(),
    };
    let mut postgres = None;
    if let (Some(projections), Some(stores)) = (projections, stores) {
        postgres = Some(stores.postgres.clone());
        for projection in projections(stores)? {
            let context = context.clone();
            // The kernel shows fifteen characters of it.
            threads.spawn(format!("p.{}", projection.name()), move |turned| {
                projector::work(projection, &context, &|| turned.turn());
                Ok(())
            })?;
        }
    }

    let mut found = Vec::new();
    for number in 0..config.workers {
        let connect = session::Settings {
            brokers: brokers.clone(),
            group: topology.processor().to_owned(),
            inputs: topology.inputs(),
            transactional_id: format!("{}-{}-{number}", topology.processor(), config.instance),
            delivery: session::Delivery::ExactlyOnce,
        };
        let worker = Worker::new(
            topology.clone(),
            codec.clone(),
            Arc::new(connect),
            source.clone(),
            Arc::new(now_ms),
            Settings {
                commit_interval: config.commit_interval(),
                part_min: config.part_min as usize,
                accept_loss: config.accept_loss.clone(),
                retention: config.retention(),
                ..Settings::default()
            },
            engine_metrics.clone(),
        );
        found.push(worker.status());
        let shutdown = shutdown.clone();
        threads.spawn(format!("worker-{number}"), move |turned| {
            Ok(worker.run(&shutdown, || turned.turn())?)
        })?;
    }
    drop(statuses.set(found));
    tracing::info!(processor = topology.processor(), instance = config.instance, "at work");

    let ended = tokio::select! {
        name = threads.any_ended() => Err(anyhow!("thread {name} has ended by itself")),
        wrong = credentials(postgres) => Err(wrong.into()),
        () = stop.asked() => Ok(()),
    };
    tracing::info!(processor = topology.processor(), "ending: finishing what was begun");
    shutdown.store(true, Ordering::Relaxed);
    let joined = tokio::task::spawn_blocking(move || threads.join());
    joined.await.context("waiting for the threads")??;
    ended
}

/// Signals to end.
struct Stop {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Stop {
    fn listen() -> anyhow::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Ready when every worker has its session and its partitions, hears from the broker, and has all
/// tasks restored. Stores do not matter: deciding goes on without them. The error names every
/// reason, since one often follows from another: a worker that hears from no broker loses its
/// session too.
fn ready(statuses: Arc<OnceLock<Vec<Arc<Status>>>>) -> inner::Check {
    Arc::new(move || {
        let Some(all) = statuses.get() else { return Err("waiting for the schemas".to_owned()) };
        if all.iter().all(|status| status.is_ready()) {
            return Ok(());
        }
        let mut reasons: Vec<String> = all.iter().flat_map(|status| status.stuck()).collect();
        if !all.iter().all(|status| status.is_in_contact()) {
            reasons
                .push(format!("no broker was heard from for {} s", engine::SILENCE_MAX.as_secs()));
        }
        if reasons.is_empty() {
            reasons.push(
                "a session is being opened, partitions are awaited or a task is restored"
                    .to_owned(),
            );
        }
        Err(reasons.join("; "))
    })
}

/// Ready as long as no thread has ended or is stuck.
fn alive(threads: Threads) -> inner::Check {
    Arc::new(move || threads.failing(TURN_MAX).map_or(Ok(()), Err))
}

/// Schemas by id, for threads that may block.
struct Source {
    registry: Registry,
    runtime: Handle,
}

impl SchemaSource for Source {
    fn schema_by_id(&self, id: u32) -> Result<Option<String>, SourceError> {
        self.runtime.block_on(self.registry.schema_by_id(id)).map_err(Into::into)
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
