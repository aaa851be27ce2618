//! The gateway's process: builds the parts, serves, and shuts down in order. Exits with code 64
//! when a setting is wrong.
#![forbid(unsafe_code)]

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use gateway::{
    admin,
    auth::{Passwords, Tokens},
    broker::Broker,
    cache::Cache,
    config::{Config, Secrets},
    counters::RedisCounters,
    metrics::Metrics,
    pipeline::Pipeline,
    routes,
    schema_versions::SchemaVersions,
    server::Server,
    state::{Parts, State},
    stores::Stores,
};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use prometheus::Registry;
use redpanda::spans;
use schemas::chain;
use secrecy::ExposeSecret as _;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tracing_subscriber::EnvFilter;

/// How long load balancers have to see that the gateway is not ready, before it stops accepting
/// connections.
const DRAIN_DELAY: Duration = Duration::from_millis(500);
/// How long a client may read nothing while there is something to send, as at the load balancer.
const UNREAD_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the result of a health check is cached.
const HEALTH_MAX_AGE: Duration = Duration::from_millis(500);
const INTERNAL_CONNECTIONS_MAX: usize = 64;
/// Open files besides clients' connections: connections to brokers and stores, those of the
/// internal listener, log files.
const OTHER_FILES_MAX: u64 = 256;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    redpanda::allocator::disable_huge_pages();
    // Without a provider, the first TLS connection would panic.
    redpanda::tls::install_provider();
    let (config, secrets) = Config::from_env();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().json().with_env_filter(filter).with_writer(std::io::stderr).init();

    raise_file_limit(u64::from(config.connections_max));

    let registry = Registry::new();
    registry
        .register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))
        .context("registering the process's metrics")?;
    let metrics = Metrics::new(&registry).context("registering metrics")?;
    let Secrets { secret, signing, admin } = secrets;
    let tls = exit_if_wrong(config.connections.tls.load());
    exit_if_wrong(spans::start(&config.connections.spans, &tls, "gateway"));
    spans::register(&registry).context("registering the metric of spans")?;
    let brokers = exit_if_wrong(config.connections.brokers.open(&tls));
    let schemas = exit_if_wrong(config.connections.registry.open(&tls));
    let stores = Arc::new(exit_if_wrong(Stores::new(&config.connections.stores, &tls).await));
    let counters = RedisCounters::new(config.connections.stores.redis_url.expose_secret(), &tls)
        .context("MILLRACE_REDIS_URL")?;
    let cache = Arc::new(Cache::new(&metrics));
    let _tracking = stores.track(cache.clone());
    let passwords = Passwords::new(config.hashers as usize)
        .map_err(|error| anyhow::anyhow!("preparing to hash passwords: {error}"))?;
    let pipeline = match &config.prometheus_url {
        Some(url) => Pipeline::at(url).context("MILLRACE_PROMETHEUS_URL")?,
        None => Pipeline::default(),
    };
    let schema_versions = SchemaVersions::of(schemas.clone());
    let state = State::new(Parts {
        secret,
        tokens: Tokens::new(signing),
        passwords,
        commands: Arc::new(Broker::new(&brokers, schemas, config.write_timeout(), &metrics)),
        reads: stores.clone(),
        cache,
        counters: Arc::new(counters),
        limit: config.limit(),
        trusted_proxies: config.trusted_proxies.clone(),
        streams: config.streams(),
        public_dashboard: config.public_dashboard,
        pipeline,
        schema_versions,
        load: config.load(),
        health_max_age: HEALTH_MAX_AGE,
        metrics: metrics.clone(),
    });

    let listener = bind(config.listen, "MILLRACE_LISTEN").await?;
    let internal_listener = bind(config.internal, "MILLRACE_INTERNAL").await?;
    let internal = Server {
        routes: routes::internal(&state, registry),
        connections_max: INTERNAL_CONNECTIONS_MAX,
        unread_timeout: UNREAD_TIMEOUT,
        drain_timeout: Duration::ZERO,
        connections: prometheus::IntGauge::new("internal", "not exported").context("a gauge")?,
    };
    tokio::spawn(internal.run(internal_listener, std::future::pending()));
    tokio::spawn(exit_if_credentials_are_refused(stores));
    if let Some((email, password)) = admin {
        tokio::spawn(admin::register(state.clone(), email, password));
    }
    tracing::info!(listen = %config.listen, internal = %config.internal, "the gateway serves");

    let server = Server {
        routes: routes::all(&state),
        connections_max: config.connections_max as usize,
        unread_timeout: UNREAD_TIMEOUT,
        drain_timeout: Duration::from_secs(config.drain_s),
        connections: metrics.connections.clone(),
    };
    server
        .run(listener, async {
            shutdown_signal().await;
            tracing::info!("shutting down: the gateway is not ready any more");
            state.drain();
            tokio::time::sleep(DRAIN_DELAY).await;
        })
        .await;
    tokio::task::spawn_blocking(spans::shutdown).await.context("exporting the last spans")?;
    tracing::info!("the gateway has stopped");
    Ok(())
}

/// Raises the limit of open files to the hard limit, because each connection is a file, and the
/// usual soft limit of 1,024 is below the number of connections.
fn raise_file_limit(connections_max: u64) {
    let limit = Resource::RLIMIT_NOFILE;
    let raised = getrlimit(limit).and_then(|(_, hard)| setrlimit(limit, hard, hard).map(|()| hard));
    match raised {
        Ok(hard) if hard >= connections_max + OTHER_FILES_MAX => {}
        Ok(hard) => tracing::warn!(
            most = hard,
            connections_max,
            "the hard limit of open files is below the number of connections"
        ),
        Err(error) => tracing::warn!(%error, "the limit of open files could not be raised"),
    }
}

/// The value made from a setting; a wrong setting ends the process with one line and exit code 64.
fn exit_if_wrong<T>(made: Result<T, impl std::error::Error + 'static>) -> T {
    made.unwrap_or_else(|error| {
        eprintln!("error: {}", chain(&error));
        std::process::exit(64);
    })
}

/// Refused credentials are a wrong setting, but PostgreSQL refuses them only when it is up, which
/// may be long after the gateway's start.
async fn exit_if_credentials_are_refused(stores: Arc<Stores>) {
    if let Err(error) = stores.check_credentials().await {
        let error = chain(&error);
        eprintln!("error: {error}; check MILLRACE_POSTGRES_URL and MILLRACE_POSTGRES_PASSWORD");
        std::process::exit(64);
    }
}

async fn bind(address: SocketAddr, variable: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("binding to {address} ({variable})"))
}

/// Resolves on SIGTERM or SIGINT.
async fn shutdown_signal() {
    match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
        (Ok(mut terminate), Ok(mut interrupt)) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        }
        _ => {
            tracing::error!("signals can't be received: the gateway will not shut down on SIGTERM");
            std::future::pending().await
        }
    }
}
