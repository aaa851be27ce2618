//! The gateway's parts, shared by all requests. It holds nothing that another gateway would need:
//! any gateway can answer any request.

use std::{net::IpAddr, sync::Arc, time::Duration};

use secrecy::SecretString;
use tokio::{
    sync::{Mutex, watch},
    time::Instant,
};

use crate::{
    auth::{Backoff, PasswordCheck, Passwords, RefreshTokens, Tokens},
    cache::Cache,
    client::Networks,
    commands::Commands,
    counters::Counters,
    desk::Lists,
    health::{self, Health},
    hub::Hub,
    ids::Ids,
    limit::{Limit, Limiter},
    load::{self, Load},
    metrics::Metrics,
    pipeline::Pipeline,
    problem::Problem,
    reads::Reads,
    schema_versions::SchemaVersions,
    secret::Secret,
    statistics::Frame,
    streams::{Bounds, Streams},
};

/// What a [`State`] is built from.
pub struct Parts {
    /// The secret that the gateway's keys are derived from.
    pub secret: Secret,
    /// Issues and verifies access tokens.
    pub tokens: Tokens,
    /// Hashes and verifies passwords.
    pub passwords: Passwords,
    /// The log.
    pub commands: Arc<dyn Commands>,
    /// The projections.
    pub reads: Arc<dyn Reads>,
    /// Responses of public reads.
    pub cache: Arc<Cache>,
    /// The counters in Redis.
    pub counters: Arc<dyn Counters>,
    /// The limit of requests of one address.
    pub limit: Limit,
    /// The proxies whose `X-Forwarded-For` is trusted.
    pub trusted_proxies: Networks,
    /// The bounds of the clients of streams.
    pub streams: Bounds,
    /// Whether everyone may read some of the statistics.
    pub public_dashboard: bool,
    /// The pipeline's figures.
    pub pipeline: Pipeline,
    /// Which version of its subject a schema is.
    pub schema_versions: SchemaVersions,
    /// The bounds of requests in flight.
    pub load: load::Bounds,
    /// How long a health check's result is cached.
    pub health_max_age: Duration,
    /// The metrics.
    pub metrics: Metrics,
}

/// The gateway's parts.
pub struct State {
    /// Computes ids and fingerprints.
    pub ids: Ids,
    /// Issues and verifies access tokens.
    pub tokens: Tokens,
    /// Issues and verifies refresh tokens.
    pub refresh_tokens: RefreshTokens,
    /// Hashes and verifies passwords.
    pub passwords: Passwords,
    /// Delays guesses of an account's password.
    pub backoff: Backoff,
    /// The log.
    pub commands: Arc<dyn Commands>,
    /// The projections.
    pub reads: Arc<dyn Reads>,
    /// Responses of public reads.
    pub cache: Arc<Cache>,
    /// The counters in Redis.
    pub counters: Arc<dyn Counters>,
    /// Counts requests by address.
    pub limiter: Limiter,
    /// The proxies whose `X-Forwarded-For` is trusted.
    pub trusted_proxies: Networks,
    /// The clients of streams.
    pub streams: Arc<Streams>,
    /// The statistics, for the clients of their stream.
    pub statistics: Arc<Hub<Frame>>,
    /// The lists of the desk, for the clients of their stream.
    pub desk: Arc<Hub<Lists>>,
    /// Whether everyone may read some of the statistics.
    pub public_dashboard: bool,
    /// The pipeline's figures.
    pub pipeline: Pipeline,
    /// Which version of its subject a schema is.
    pub schema_versions: SchemaVersions,
    /// The slots of requests in flight.
    pub load: Load,
    /// The metrics.
    pub metrics: Metrics,
    draining: watch::Sender<bool>,
    health_max_age: Duration,
    health: Mutex<Option<(Instant, Health)>>,
}

impl State {
    /// A state of these parts.
    pub fn new(parts: Parts) -> Arc<Self> {
        let Parts { counters, metrics, .. } = parts;
        Arc::new(Self {
            ids: Ids::new(&parts.secret),
            tokens: parts.tokens,
            refresh_tokens: RefreshTokens::new(parts.secret.key("refresh-token")),
            passwords: parts.passwords,
            backoff: Backoff::new(
                counters.clone(),
                metrics.clone(),
                parts.secret.key("known-client"),
            ),
            commands: parts.commands,
            statistics: Hub::new(parts.reads.clone()),
            desk: Hub::new(parts.reads.clone()),
            public_dashboard: parts.public_dashboard,
            pipeline: parts.pipeline,
            schema_versions: parts.schema_versions,
            reads: parts.reads,
            cache: parts.cache,
            limiter: Limiter::new(parts.limit, counters.clone(), metrics.clone()),
            counters,
            trusted_proxies: parts.trusted_proxies,
            streams: Streams::new(parts.streams),
            load: Load::new(parts.load, &metrics),
            metrics,
            draining: watch::Sender::new(false),
            health_max_age: parts.health_max_age,
            health: Mutex::default(),
        })
    }

    /// Compares the password of an account with its hash, if it has one. Each wrong one delays
    /// further attempts of `client` at this account, and later those of other clients that the
    /// account does not know. A password that was not compared does not count.
    ///
    /// # Errors
    /// Returns a 429 problem during a delay, and a 503 problem when too many passwords of others
    /// are verified first.
    pub async fn check_password(
        &self,
        account: &str,
        client: IpAddr,
        password: &SecretString,
        hash: Option<&str>,
    ) -> Result<PasswordCheck, Problem> {
        let attempt = self.backoff.begin(account, client).await?;
        let checked = self.passwords.verify(password, hash).await;
        match &checked {
            Ok(PasswordCheck::Match { .. }) => attempt.record_match().await,
            Ok(PasswordCheck::Mismatch) => attempt.record_mismatch(),
            Err(_) => attempt.withdraw().await,
        }
        checked
    }

    /// Begins the shutdown: from now on the gateway is not ready.
    pub fn drain(&self) {
        self.draining.send_replace(true);
    }

    /// Resolves when the shutdown begins.
    pub fn draining(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut draining = self.draining.subscribe();
        async move {
            // An error means that the state was dropped, which is a shutdown too.
            let _ = draining.wait_for(|draining| *draining).await;
        }
    }

    /// Whether the shutdown has begun.
    pub fn is_draining(&self) -> bool {
        *self.draining.borrow()
    }

    /// What `wait` returns; `None` when the shutdown begins first. A wait for a result may take
    /// longer than the shutdown lets requests finish.
    pub async fn before_shutdown<T>(&self, wait: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            result = wait => Some(result),
            () = self.draining() => None,
        }
    }

    /// The health of all parts.
    ///
    /// Anyone may ask for it, and such requests do not count against the limit. So the parts are
    /// checked only when the last result is too old, and once for all who wait for it.
    pub async fn health(&self) -> Health {
        let mut cached = self.health.lock().await;
        let mut health = match &*cached {
            Some((at, health)) if at.elapsed() < self.health_max_age => health.clone(),
            _ => {
                let (mut health, commands) =
                    tokio::join!(self.reads.health(), self.commands.health());
                health.extend(commands);
                *cached = Some((Instant::now(), health.clone()));
                health
            }
        };
        drop(cached);
        if self.is_draining() {
            health.insert("gateway", Err(health::cause("draining")));
        }
        self.metrics.ready.set(i64::from(health::is_ready(&health)));
        health
    }
}
