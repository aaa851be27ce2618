//! What every route has at hand. Holds nothing that another gateway would need: each request can go
//! to any of them.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{Mutex, Semaphore, watch},
    time::Instant,
};

use crate::{
    auth::{Backoff, Passwords, RefreshTokens, Tokens},
    commands::Commands,
    counters::Counters,
    ids::Ids,
    limit::Limit,
    metrics::Metrics,
    reads::{Health, Reads},
    secret::Secret,
    streams::{Bounds, Streams},
};

/// The parts that a gateway is put together from.
pub struct Parts {
    /// The gateway's secret.
    pub secret: Secret,
    /// Access tokens.
    pub tokens: Tokens,
    /// Passwords.
    pub passwords: Passwords,
    /// Where commands go.
    pub commands: Arc<dyn Commands>,
    /// Where answers come from.
    pub reads: Arc<dyn Reads>,
    /// Where requests are counted.
    pub counters: Arc<dyn Counters>,
    /// The limit of requests.
    pub limit: Limit,
    /// Clients of the live stream at once.
    pub streams: Bounds,
    /// Requests that are answered at once.
    pub requests_max: usize,
    /// Ready or not is found out at most so often.
    pub health_every: Duration,
    /// What is counted for operators.
    pub metrics: Metrics,
}

/// What every route has at hand.
pub struct State {
    /// Computes ids.
    pub ids: Ids,
    /// Access tokens.
    pub tokens: Tokens,
    /// Refresh tokens.
    pub refresh_tokens: RefreshTokens,
    /// Passwords.
    pub passwords: Passwords,
    /// Accounts whose passwords are being guessed.
    pub backoff: Backoff,
    /// Where commands go.
    pub commands: Arc<dyn Commands>,
    /// Where answers come from.
    pub reads: Arc<dyn Reads>,
    /// Where requests are counted.
    pub counters: Arc<dyn Counters>,
    /// The limit of requests.
    pub limit: Limit,
    /// Room for clients of the live stream.
    pub streams: Arc<Streams>,
    /// Room for requests until their answers begin.
    pub requests: Arc<Semaphore>,
    /// What is counted for operators.
    pub metrics: Metrics,
    draining: watch::Sender<bool>,
    health_every: Duration,
    health: Mutex<Option<(Instant, Health)>>,
}

impl State {
    /// Put together from `parts`.
    pub fn new(parts: Parts) -> Arc<Self> {
        Arc::new(Self {
            ids: Ids::new(&parts.secret),
            tokens: parts.tokens,
            refresh_tokens: RefreshTokens::new(parts.secret.key("refresh-token")),
            passwords: parts.passwords,
            backoff: Backoff::new(parts.counters.clone(), parts.metrics.clone()),
            commands: parts.commands,
            reads: parts.reads,
            counters: parts.counters,
            limit: parts.limit,
            streams: Streams::new(parts.streams),
            requests: Arc::new(Semaphore::new(parts.requests_max)),
            metrics: parts.metrics,
            draining: watch::Sender::new(false),
            health_every: parts.health_every,
            health: Mutex::default(),
        })
    }

    /// From now on the gateway is not ready: it is about to leave.
    pub fn drain(&self) {
        self.draining.send_replace(true);
    }

    /// Resolves when the gateway is about to leave.
    pub fn leaving(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut draining = self.draining.subscribe();
        async move {
            // The sender is in the state, which may go first.
            let _ = draining.wait_for(|draining| *draining).await;
        }
    }

    /// Everything that the gateway needs, and why it can't be had.
    ///
    /// Anyone may ask, and uncounted: so the parts are asked only now and then, and once for all
    /// who wait.
    pub async fn health(&self) -> Health {
        let mut known = self.health.lock().await;
        let mut health = match &*known {
            Some((at, health)) if at.elapsed() < self.health_every => health.clone(),
            _ => {
                let (mut health, commands) =
                    tokio::join!(self.reads.health(), self.commands.health());
                health.extend(commands);
                *known = Some((Instant::now(), health.clone()));
                health
            }
        };
        drop(known);
        if *self.draining.borrow() {
            health.insert("gateway", Err("draining".to_owned()));
        }
        self.metrics.ready.set(i64::from(is_ready(&health)));
        health
    }
}

/// Whether a gateway in this health should get requests. Without Redis they are answered, only
/// slower and uncounted.
pub fn is_ready(health: &Health) -> bool {
    health.iter().all(|(part, health)| health.is_ok() || *part == "redis")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redis_is_missed_but_not_needed() {
        let health = |part| Health::from([(part, Err("no answer".to_owned())), ("log", Ok(()))]);
        assert!(is_ready(&health("redis")));
        assert!(!is_ready(&health("postgres")));
    }
}
