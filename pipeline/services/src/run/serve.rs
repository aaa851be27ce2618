//! The order of a service's start and end. The start: everything that a wrong setting could break,
//! then the internal listener, the schemas, the projectors, the workers. The end: all threads
//! finish what they have begun, and one that is stuck ends with the process.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, anyhow};
use projections::{Projection, StoreError, catalog, postgres::Postgres, progress::Progress};
use prometheus::process_collector::ProcessCollector;
use redpanda::{registry, spans};
use schemas::Schema;

use super::{
    error::WrongSetting,
    health::{Statuses, engine_ready, threads_alive},
    signals::Signals,
    start::Start,
};
use crate::{
    config::Config,
    internal,
    service::Service,
    threads::{END_MAX, Threads},
};

/// The most connections to PostgreSQL. Each projector uses one at a time for each partition.
const POSTGRES_CONNECTIONS_MAX: usize = 8;

/// Runs a service until a signal, or until a thread ends or a setting turns out to be wrong.
pub(super) async fn serve(service: Service, config: Config) -> anyhow::Result<()> {
    let connections = &config.connections;
    let tls = connections.tls.load().map_err(WrongSetting::from)?;
    let processor = service.topology.processor();
    spans::start(&connections.spans, &tls, processor).map_err(WrongSetting::from)?;
    let brokers = connections.brokers.open(&tls).map_err(WrongSetting::from)?;
    let registry = connections.registry.open(&tls).map_err(WrongSetting::from)?;
    let Service { topology, commit_interval, projections } = service;
    let topology = Arc::new(topology);
    let catalog = catalog::of(topology.processor());
    let mut all: Vec<Box<dyn Projection>> = Vec::new();
    let mut postgres = None;
    // A service without projections has no client of a store. The clients connect when they are
    // first used: no store is waited for here.
    if !catalog.is_empty() || !projections.is_empty() {
        let stores = connections.stores.open(&tls, POSTGRES_CONNECTIONS_MAX).await;
        let stores = stores.map_err(WrongSetting::from)?;
        all.extend(catalog.into_iter().map(|create| create(&stores)));
        all.extend(projections.into_iter().map(|create| create(&stores)));
        postgres = Some(stores.postgres);
    }

    // From here on the process answers, and is not ready until its workers are.
    let metrics = prometheus::Registry::new();
    metrics.register(Box::new(ProcessCollector::for_self()))?;
    let (threads, statuses) = (Threads::default(), Statuses::default());
    threads.register(&metrics)?;
    spans::register(&metrics)?;
    let checks = vec![
        ("threads", threads_alive(threads.clone())),
        ("engine", engine_ready(statuses.clone())),
    ];
    internal::serve(config.internal, metrics.clone(), checks).await?;
    let mut signals = Signals::listen()?;

    let engine_metrics = engine::Metrics::register(&topology, &metrics)?;
    let schemas = schemas(&topology, &all);
    let codec = tokio::select! {
        codec = registry.wait_for_codec(&schemas) => codec,
        () = signals.received() => return Ok(()),
    };
    let counted = engine_metrics.clone();
    let codec = registry::watched(codec, move |schema, what| counted.deprecated(schema, what));

    let shutdown = Arc::new(AtomicBool::new(false));
    let progress = Progress::default();
    if let Some(postgres) = postgres.clone() {
        tokio::spawn(postgres.write_progress(progress.clone(), shutdown.clone()));
    }
    let start = Start {
        config: &config,
        topology: topology.clone(),
        commit_interval: config.commit_interval().or(commit_interval),
        brokers,
        registry,
        codec: Arc::new(codec),
        metrics: &metrics,
        progress,
        threads: &threads,
        shutdown: shutdown.clone(),
    };
    start.projectors(all)?;
    drop(statuses.set(start.workers(&engine_metrics)?));
    tracing::info!(processor = topology.processor(), instance = config.instance, "at work");

    let ended = tokio::select! {
        name = threads.any_ended() => Err(anyhow!("thread {name} has ended by itself")),
        error = refused_credentials(postgres) => Err(WrongSetting::Credentials(error).into()),
        () = signals.received() => Ok(()),
    };
    // Workers commit their last transaction; projectors finish their batch.
    tracing::info!(processor = topology.processor(), "ending: finishing what was begun");
    shutdown.store(true, Ordering::Relaxed);
    let joined = tokio::task::spawn_blocking(move || threads.join(END_MAX));
    joined.await.context("waiting for the threads")??;
    ended
}

/// The schemas that the processor and its projections read and write, each once.
fn schemas(
    topology: &engine::Topology,
    projections: &[Box<dyn Projection>],
) -> Vec<&'static Schema> {
    let mut all = topology.schemas().to_vec();
    for schema in projections.iter().flat_map(|projection| projection.schemas()) {
        if !all.iter().any(|known| known.name == schema.name) {
            all.push(schema);
        }
    }
    all
}

/// Waits until PostgreSQL first answers, and returns its error if it refuses the credentials.
/// Otherwise it never returns.
async fn refused_credentials(postgres: Option<Postgres>) -> StoreError {
    let Some(postgres) = postgres else { return std::future::pending().await };
    loop {
        match postgres.ping().await {
            Ok(()) => return std::future::pending().await,
            Err(error @ StoreError::Credentials { .. }) => return error,
            Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
        }
    }
}
