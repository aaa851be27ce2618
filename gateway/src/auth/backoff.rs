//! Back-off of an account whose password is being guessed. After a few wrong passwords from one
//! client each further one costs that client a delay, which doubles. A client that has given the
//! right password before is known to the account, and waits for nobody else. Unknown clients delay
//! one another, later and shorter: those of one IPv6 network, which may be one person with many
//! addresses, and all that have a wrong password of their own. The first attempt of an unknown
//! client does not wait for clients outside its network, except once, for a short time, after very
//! many wrong passwords. So the owner of an account under attack gets in from a new address too.
//! Counters, delays and marks of known clients are in Redis and expire; without Redis there is no
//! delay.

mod delays;

use std::{net::IpAddr, sync::Arc, time::Duration};

use futures_util::future::try_join_all;
use schemas::chain;
use tokio::{runtime::Handle, task::JoinHandle};
use uuid::Uuid;

use crate::{
    client,
    counters::{CounterError, Counters},
    metrics::Metrics,
    problem::Problem,
    secret::Key,
};
use delays::{Delays, OF_ACCOUNT, OF_CLIENT, OF_NETWORKS};

/// When attempts are forgotten.
const WINDOW: Duration = Duration::from_secs(900);
/// After how many attempts at an account the first one of an unknown client waits once.
const FIRST_FREE: u64 = 300;
/// How long it waits.
const FIRST_DELAY: Duration = Duration::from_secs(5);
/// How long after that it may be made.
const FIRST_WITHIN: Duration = Duration::from_secs(60);
/// How long an account knows a client after a right password. Longer than a session lasts.
const KNOWN: Duration = Duration::from_secs(60 * 86_400);
/// How many clients an account knows at most: a single user may have very many addresses.
const KNOWN_MAX: usize = 32;

/// Counts the attempts at each account's password, and delays further ones.
#[derive(Clone)]
pub struct Backoff {
    counters: Arc<dyn Counters>,
    metrics: Metrics,
    /// Hashes who is known where, because that is kept for long.
    known: Key,
}

/// Where attempts are counted.
struct Level {
    name: String,
    delays: &'static Delays,
    /// Whether its delays are only for clients that have a wrong attempt of their own.
    spares_first: bool,
}

impl Level {
    fn new(name: String, delays: &'static Delays) -> Self {
        Self { name, delays, spares_first: false }
    }
}

/// An attempt at the password of an account, which counts as wrong. When it is dropped, it is taken
/// back: its password was not compared, because the request was cut off or something else failed.
pub struct Attempt {
    backoff: Backoff,
    /// The client at the account; then its networks, if it has any, and the account, unless the
    /// account knows the client.
    levels: Vec<Level>,
    /// The set of the marks of the clients that the account knows, and the client's mark there.
    known: (String, String),
    /// Whether it is in the counters of all levels.
    is_counted: bool,
    /// The delays that it has begun.
    delays: Vec<String>,
    /// The value of those delays: one that has ended may be another attempt's by now.
    token: String,
}

impl Backoff {
    /// A back-off that counts in `counters`.
    pub fn new(counters: Arc<dyn Counters>, metrics: Metrics, known: Key) -> Self {
        Self { counters, metrics, known }
    }

    /// Counts an attempt, and checks whether `client` may try a password for this account now. Each
    /// attempt counts as wrong from the beginning, so that attempts at the same time do not pass a
    /// delay together.
    ///
    /// # Errors
    /// Returns a 429 problem during a delay, also for an account that does not exist.
    pub async fn begin(&self, account: &str, client: IpAddr) -> Result<Attempt, Problem> {
        let bucket = client::bucket(client);
        let known = self.known.hex(&[account.as_bytes()]);
        let mark = self.known.hex(&[account.as_bytes(), bucket.as_bytes()]);
        let mut levels = vec![Level::new(format!("{account}:{bucket}"), &OF_CLIENT)];
        let networks = client::networks(client).into_iter().flatten();
        levels.extend(
            networks
                .zip(&OF_NETWORKS)
                .map(|(network, delays)| Level::new(format!("{account}:{network}"), delays)),
        );
        let everyone = Level::new(account.to_owned(), &OF_ACCOUNT);
        levels.push(Level { spares_first: true, ..everyone });
        let mut attempt = Attempt {
            backoff: self.clone(),
            levels,
            known: (format!("millrace:gateway:known:{known}"), mark),
            is_counted: false,
            delays: Vec::new(),
            token: Uuid::new_v4().to_string(),
        };
        match attempt.count().await {
            Ok(None) => Ok(attempt),
            Ok(Some(left)) => {
                // Before the response: the next attempt of the client may be its first again.
                attempt.withdraw().await;
                self.metrics.held_back.inc();
                let detail = "Too many wrong passwords for this account.";
                Err(Problem::too_many("too_many_attempts", detail, left))
            }
            Err(error) => {
                self.without_counters(&error);
                Ok(attempt)
            }
        }
    }

    /// Works in a task of its own, which goes on when the request is cut off, and does not fail.
    fn spawn_update(
        &self,
        work: impl Future<Output = Result<(), CounterError>> + Send + 'static,
    ) -> JoinHandle<()> {
        let backoff = self.clone();
        tokio::spawn(async move {
            if let Err(error) = work.await {
                backoff.without_counters(&error);
            }
        })
    }

    fn without_counters(&self, error: &CounterError) {
        self.metrics.counters_unavailable.inc();
        tracing::warn!(error = chain(error), "wrong passwords could not be counted");
    }
}

impl Attempt {
    /// Counts the attempt; returns how long it must wait.
    async fn count(&mut self) -> Result<Option<Duration>, CounterError> {
        let counters = self.backoff.counters.clone();
        let [delays, counts] = [delay_key, count_key]
            .map(|key| self.levels.iter().map(|level| key(&level.name)).collect::<Vec<_>>());
        let own = counts.first().map_or("", String::as_str);
        let (known, mark) = &self.known;
        let (is_known, own_attempts, left) = tokio::try_join!(
            counters.is_marked(known, mark),
            counters.left(own),
            try_join_all(delays.iter().map(|key| counters.left(key)))
        )?;
        if is_known {
            self.levels.truncate(1);
        }
        let applies = |level: &Level| own_attempts.is_some() || !level.spares_first;
        let mut levels = self.levels.iter().zip(left).filter(|(level, _)| applies(level));
        if let Some(left) = levels.find_map(|(_, left)| left) {
            return Ok(Some(left));
        }
        let counted = counts.iter().take(self.levels.len());
        let counted = try_join_all(counted.map(|key| counters.hit(key, WINDOW))).await?;
        self.is_counted = true;
        let is_first = counted.first().is_some_and(|own| own.count == 1);
        if is_first
            && counted.last().is_some_and(|all| all.count > FIRST_FREE)
            && let Some(left) = self.first_delay().await?
        {
            return Ok(Some(left));
        }
        for (index, (count, key)) in counted.into_iter().zip(delays).enumerate() {
            let level = &self.levels[index];
            if let Some(delay) = level.delays.after(count)
                && !(is_first && level.spares_first)
                && let Some(left) = self.delay(key, delay).await?
            {
                return Ok(Some(left));
            }
        }
        Ok(None)
    }

    /// How long the first attempt of an unknown client must still wait since it was first made.
    async fn first_delay(&self) -> Result<Option<Duration>, CounterError> {
        let counters = &self.backoff.counters;
        let own = self.levels.first().map_or("", |own| &own.name);
        let key = format!("millrace:gateway:first:{own}");
        counters.claim(&key, "", FIRST_DELAY + FIRST_WITHIN).await?;
        let left = counters.left(&key).await?.unwrap_or_default();
        Ok(left.checked_sub(FIRST_WITHIN).filter(|left| !left.is_zero()))
    }

    /// Begins a delay for further attempts. Of attempts at the same time, the one that begins it is
    /// made; the others get the time that is left.
    async fn delay(
        &mut self,
        key: String,
        delay: Duration,
    ) -> Result<Option<Duration>, CounterError> {
        let counters = self.backoff.counters.clone();
        // Before the reply, which a request that is cut off does not see.
        self.delays.push(key.clone());
        if counters.claim(&key, &self.token, delay).await? == self.token {
            return Ok(None);
        }
        self.delays.pop();
        // One that has just ended has no time left.
        Ok(Some(counters.left(&key).await?.unwrap_or_default()))
    }

    /// The password was compared and is wrong: the attempt stays.
    pub fn record_mismatch(mut self) {
        self.is_counted = false;
        self.delays.clear();
    }

    /// The right password was given: the account knows the client from now on, and forgets its
    /// attempts, but not those of others.
    pub async fn record_match(mut self) {
        let counters = self.backoff.counters.clone();
        let (known, mark) = std::mem::take(&mut self.known);
        let own = self.levels.first().map_or("", |own| &own.name);
        let (delay, own) = (delay_key(own), count_key(own));
        let undo = self.undo();
        let updated = self.backoff.spawn_update(async move {
            undo.await?;
            counters.mark(&known, &mark, KNOWN, KNOWN_MAX).await?;
            counters.forget(&own).await?;
            counters.forget(&delay).await
        });
        let _ = updated.await;
    }

    /// Takes the attempt back. Those before it stay.
    pub async fn withdraw(mut self) {
        let undo = self.undo();
        let _ = self.backoff.spawn_update(undo).await;
    }

    /// What takes the attempt back. From now on the drop does not do so.
    fn undo(&mut self) -> impl Future<Output = Result<(), CounterError>> + Send + use<> {
        let (counters, token) = (self.backoff.counters.clone(), std::mem::take(&mut self.token));
        let delays = std::mem::take(&mut self.delays);
        let levels = std::mem::take(&mut self.levels);
        let counted = if std::mem::take(&mut self.is_counted) { levels } else { Vec::new() };
        async move {
            for level in counted {
                counters.undo(&count_key(&level.name)).await?;
            }
            for key in delays {
                counters.release(&key, &token).await?;
            }
            Ok(())
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let is_open = self.is_counted || !self.delays.is_empty();
        // The request may be dropped with its runtime, at the end of the process. Then the task
        // ends too, and begins no other one.
        if is_open && Handle::try_current().is_ok() {
            let undo = self.undo();
            drop(self.backoff.spawn_update(undo));
        }
    }
}

fn count_key(name: &str) -> String {
    format!("millrace:gateway:wrong:{name}")
}

fn delay_key(name: &str) -> String {
    format!("millrace:gateway:hold:{name}")
}
