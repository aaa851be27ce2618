//! The gateway's process: puts the parts together, serves, and leaves in order. Exit code 64 for
//! wrong settings.
#![forbid(unsafe_code)]

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use gateway::{
    admin,
    auth::{Passwords, Tokens},
    broker::Broker,
    config::{Config, Secrets},
    counters::RedisCounters,
    limit::Limit,
    metrics::Metrics,
    routes,
    server::Server,
    state::{Parts, State},
    stores::Stores,
};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use secrecy::ExposeSecret as _;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tracing_subscriber::EnvFilter;

/// How long balancers have to see that the gateway is not ready, before it stops accepting.
const NOTICE: Duration = Duration::from_millis(500);
/// Ready or not is found out at most so often.
const HEALTH_EVERY: Duration = Duration::from_millis(500);
const INNER_CONNECTIONS_MAX: usize = 64;
/// Files besides clients' connections: those to brokers and stores, the inner listener's, logs.
const OTHER_FILES_MAX: u64 = 256;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // Two providers are linked in, and the first use without a choice would panic.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (config, secrets) = Config::from_env();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().json().with_env_filter(filter).with_writer(std::io::stderr).init();

    allow_files(u64::from(config.connections_max));

    let registry = prometheus::Registry::new();
    registry
        .register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))
        .context("registering the process's metrics")?;
    let metrics = Metrics::new(&registry).context("registering metrics")?;
    let Secrets { secret, signing, admin } = secrets;
    let tls = usable(config.tls.load());
    let (brokers, schemas) =
        (usable(config.brokers.open(&tls)), usable(config.registry.open(&tls)));
    let stores = Arc::new(usable(Stores::new(&config.stores, &tls).await));
    let redis_url = config.stores.redis_url.expose_secret();
    let counters =
        RedisCounters::new(redis_url, &tls).context("MILLRACE_REDIS_URL is of no use")?;
    let state = State::new(Parts {
        secret,
        tokens: Tokens::new(signing),
        passwords: Passwords::new(config.hashers as usize)
            .map_err(|error| anyhow::anyhow!("preparing to hash passwords: {error}"))?,
        commands: Arc::new(Broker::new(&brokers, schemas, config.write_deadline(), &metrics)),
        reads: stores.clone(),
        counters: Arc::new(counters),
        limit: Limit {
            requests: config.rate_limit,
            window_s: config.rate_window_s,
            trusted: config.trusted_proxies.clone(),
        },
        streams: config.streams(),
        requests_max: config.requests_max as usize,
        health_every: HEALTH_EVERY,
        metrics: metrics.clone(),
    });

    let listener = bind(config.listen, "MILLRACE_LISTEN").await?;
    let inner_listener = bind(config.inner, "MILLRACE_INNER").await?;
    let inner = Server {
        routes: routes::inner(&state, registry),
        connections_max: INNER_CONNECTIONS_MAX,
        drain: Duration::ZERO,
        connections: prometheus::IntGauge::new("inner", "not exported").context("a gauge")?,
    };
    tokio::spawn(inner.run(inner_listener, std::future::pending()));
    tokio::spawn(async move {
        // The store says so only when it is up, which may be later than this start.
        if let Err(error) = stores.prove_credentials().await {
            eprintln!("error: {error}; check MILLRACE_POSTGRES_URL and MILLRACE_POSTGRES_PASSWORD");
            std::process::exit(64);
        }
    });
    if let Some((email, password)) = admin {
        tokio::spawn(admin::register(state.clone(), email, password));
    }
    tracing::info!(listen = %config.listen, inner = %config.inner, "the gateway serves");

    let server = Server {
        routes: routes::all(&state),
        connections_max: config.connections_max as usize,
        drain: Duration::from_secs(config.drain_s),
        connections: metrics.connections,
    };
    server
        .run(listener, async {
            asked_to_leave().await;
            tracing::info!("leaving: not ready any more");
            state.drain();
            tokio::time::sleep(NOTICE).await;
        })
        .await;
    tracing::info!("left");
    Ok(())
}

/// Lets the process open as many files as the machine allows it at most, because a connection is a
/// file and the usual limit of 1,024 is below that of connections.
fn allow_files(connections_max: u64) {
    let limit = Resource::RLIMIT_NOFILE;
    let raised = getrlimit(limit).and_then(|(_, most)| setrlimit(limit, most, most).map(|()| most));
    match raised {
        Ok(most) if most >= connections_max + OTHER_FILES_MAX => {}
        Ok(most) => {
            tracing::warn!(
                most,
                connections_max,
                "the machine allows fewer open files than connections"
            );
        }
        Err(error) => tracing::warn!(%error, "the limit of open files could not be raised"),
    }
}

/// What a setting is for; a wrong one ends the process with one line and exit code 64.
fn usable<T>(made: Result<T, impl std::fmt::Display>) -> T {
    made.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        std::process::exit(64);
    })
}

async fn bind(address: std::net::SocketAddr, variable: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("binding to {address} ({variable})"))
}

async fn asked_to_leave() {
    match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
        (Ok(mut terminate), Ok(mut interrupt)) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        }
        _ => {
            tracing::error!("signals can't be heard: the gateway will not leave by itself");
            std::future::pending().await
        }
    }
}
