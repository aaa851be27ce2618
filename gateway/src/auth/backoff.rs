//! Back-off of an account whose password is being guessed. After a few wrong passwords from one
//! client each further one costs that client a delay, which doubles. Wrong passwords of all clients
//! together delay an account later and shorter, so that nobody can lock its owner out, and never
//! for a client that has given the right password lately. The counters are in Redis and expire;
//! without Redis there is no delay.

use std::{net::IpAddr, sync::Arc, time::Duration};

use schemas::chain;
use tokio::runtime::Handle;

use crate::{
    client,
    counters::{Count, CounterError, Counters},
    metrics::Metrics,
    problem::Problem,
};

/// When attempts are forgotten.
const WINDOW: Duration = Duration::from_secs(900);
/// How long a client is known that has given the right password.
const KNOWN: Duration = Duration::from_secs(7 * 24 * 3600);
/// The delays of one client at one account.
const OF_CLIENT: Delays = Delays { free_attempts: 5, delay_max: Duration::from_secs(300) };
/// The delays of all clients at one account.
const OF_ACCOUNT: Delays = Delays { free_attempts: 50, delay_max: Duration::from_secs(5) };

struct Delays {
    /// The number of the first attempt in a row that costs a delay, if it is wrong.
    free_attempts: u64,
    /// The longest delay.
    delay_max: Duration,
}

impl Delays {
    /// The delay after this attempt, if it is wrong.
    fn after(&self, attempt: Count) -> Option<Duration> {
        let excess = attempt.count.checked_sub(self.free_attempts)?;
        let doublings = u32::try_from(excess).unwrap_or(u32::MAX).min(16);
        Some(Duration::from_secs(1 << doublings).min(self.delay_max))
    }
}

/// Counts the attempts at each account's password, and delays further ones.
#[derive(Clone)]
pub struct Backoff {
    counters: Arc<dyn Counters>,
    metrics: Metrics,
}

/// An attempt at the password of an account, which counts as wrong. When it is dropped, it is taken
/// back: its password was not compared, because the request was cut off or something else failed.
pub struct Attempt {
    backoff: Backoff,
    /// The account, and the account with the client.
    names: [String; 2],
    /// Whether it is in both counters.
    is_counted: bool,
    /// The delays that it has begun.
    delays: Vec<String>,
}

impl Backoff {
    /// A back-off that counts in `counters`.
    pub fn new(counters: Arc<dyn Counters>, metrics: Metrics) -> Self {
        Self { counters, metrics }
    }

    /// Counts an attempt, and checks whether `client` may try a password for this account now. Each
    /// attempt counts as wrong from the beginning, so that attempts at the same time do not pass a
    /// delay together.
    ///
    /// # Errors
    /// Returns a 429 problem during a delay, also for an account that does not exist.
    pub async fn begin(&self, account: &str, client: IpAddr) -> Result<Attempt, Problem> {
        let names = [account.to_owned(), format!("{account}:{}", client::bucket(client))];
        let mut attempt =
            Attempt { backoff: self.clone(), names, is_counted: false, delays: Vec::new() };
        match attempt.count().await {
            Ok(None) => Ok(attempt),
            Ok(Some(left)) => {
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

    fn without_counters(&self, error: &CounterError) {
        self.metrics.counters_unavailable.inc();
        tracing::warn!(error = chain(error), "wrong passwords could not be counted");
    }
}

impl Attempt {
    /// Counts the attempt; returns how long it must wait.
    async fn count(&mut self) -> Result<Option<Duration>, CounterError> {
        let counters = self.backoff.counters.clone();
        let [account, own] = &self.names;
        let (account_delay, own_delay) = (delay_key(account), delay_key(own));
        let (of_account, of_own) =
            tokio::try_join!(counters.left(&account_delay), counters.left(&own_delay))?;
        if of_own.is_some() {
            return Ok(of_own);
        }
        if of_account.is_some() && !self.is_known().await? {
            return Ok(of_account);
        }
        let (account, own) = (count_key(account), count_key(own));
        let (account, own) =
            tokio::try_join!(counters.hit(&account, WINDOW), counters.hit(&own, WINDOW))?;
        self.is_counted = true;
        if let Some(delay) = OF_CLIENT.after(own)
            && let Some(left) = self.delay(own_delay, delay).await?
        {
            return Ok(Some(left));
        }
        match OF_ACCOUNT.after(account) {
            Some(delay) if !self.is_known().await? => self.delay(account_delay, delay).await,
            _ => Ok(None),
        }
    }

    /// Begins a delay for further attempts. Of attempts at the same time, the one that begins it is
    /// made; the others get the time that is left.
    async fn delay(
        &mut self,
        key: String,
        delay: Duration,
    ) -> Result<Option<Duration>, CounterError> {
        let held = self.backoff.counters.hit(&key, delay).await?;
        if held.count > 1 {
            return Ok(Some(held.left));
        }
        self.delays.push(key);
        Ok(None)
    }

    /// Whether the client has given the right password lately.
    async fn is_known(&self) -> Result<bool, CounterError> {
        let [_, own] = &self.names;
        Ok(self.backoff.counters.left(&known_key(own)).await?.is_some())
    }

    /// The password was compared and is wrong: the attempt stays.
    pub fn record_mismatch(mut self) {
        self.is_counted = false;
        self.delays.clear();
    }

    /// The right password was given: forgets the client's attempts, but not those of others.
    pub async fn record_match(mut self) {
        let [_, own] = &self.names;
        self.delays.push(delay_key(own));
        let counters = self.backoff.counters.clone();
        let (known, own) = (known_key(own), count_key(own));
        let settled = async {
            self.undo().await?;
            counters.forget(&own).await?;
            counters.hit(&known, KNOWN).await
        };
        if let Err(error) = settled.await {
            self.backoff.without_counters(&error);
        }
    }

    /// Takes the attempt back. Those before it stay.
    pub async fn withdraw(mut self) {
        if let Err(error) = self.undo().await {
            self.backoff.without_counters(&error);
        }
    }

    async fn undo(&mut self) -> Result<(), CounterError> {
        let counters = self.backoff.counters.clone();
        // Both at once: what fails is not tried again by the drop.
        let delays = std::mem::take(&mut self.delays);
        if std::mem::take(&mut self.is_counted) {
            for name in &self.names {
                counters.undo(&count_key(name)).await?;
            }
        }
        for key in delays {
            counters.forget(&key).await?;
        }
        Ok(())
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if !self.is_counted && self.delays.is_empty() {
            return;
        }
        let taken_back = Self {
            backoff: self.backoff.clone(),
            names: std::mem::take(&mut self.names),
            is_counted: self.is_counted,
            delays: std::mem::take(&mut self.delays),
        };
        // The request may be dropped with its runtime, at the end of the process.
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(taken_back.withdraw())),
            Err(_) => taken_back.record_mismatch(),
        }
    }
}

fn count_key(name: &str) -> String {
    format!("millrace:gateway:wrong:{name}")
}

fn delay_key(name: &str) -> String {
    format!("millrace:gateway:hold:{name}")
}

fn known_key(name: &str) -> String {
    format!("millrace:gateway:known:{name}")
}
