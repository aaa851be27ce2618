//! Back-off of an account whose password is being guessed. After a few wrong passwords from one
//! client each further one costs that client a delay, which doubles. Wrong passwords of all clients
//! together delay, later and shorter, those clients that have a wrong one of their own. So the
//! first attempt of a client never waits for others: the owner of an account that is under attack
//! can log in from an address that the attacker does not use. Who shares an address with the
//! attacker, or has mistyped, waits with the others. Counters and delays are in Redis and expire;
//! without Redis there is no delay.

use std::{net::IpAddr, sync::Arc, time::Duration};

use schemas::chain;
use tokio::runtime::Handle;
use uuid::Uuid;

use crate::{
    client,
    counters::{Count, CounterError, Counters},
    metrics::Metrics,
    problem::Problem,
};

/// When attempts are forgotten.
const WINDOW: Duration = Duration::from_secs(900);
/// The delays of one client at one account.
const OF_CLIENT: Delays = Delays { free_attempts: 5, delay_max: Duration::from_secs(300) };
/// The delays of all clients at one account that have a wrong attempt of their own.
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
    /// The value of those delays: one that has ended may be another attempt's by now.
    token: String,
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
        let mut attempt = Attempt {
            backoff: self.clone(),
            names,
            is_counted: false,
            delays: Vec::new(),
            token: Uuid::new_v4().to_string(),
        };
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
        let (account, own) = (count_key(account), count_key(own));
        let (of_account, of_own, own_attempts) = tokio::try_join!(
            counters.left(&account_delay),
            counters.left(&own_delay),
            counters.left(&own)
        )?;
        let left = of_own.or(of_account.filter(|_| own_attempts.is_some()));
        if left.is_some() {
            return Ok(left);
        }
        let (account, own) =
            tokio::try_join!(counters.hit(&account, WINDOW), counters.hit(&own, WINDOW))?;
        self.is_counted = true;
        if let Some(delay) = OF_CLIENT.after(own)
            && let Some(left) = self.delay(own_delay, delay).await?
        {
            return Ok(Some(left));
        }
        match OF_ACCOUNT.after(account) {
            Some(delay) if own.count > 1 => self.delay(account_delay, delay).await,
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

    /// The right password was given: forgets the client's attempts, but not those of others.
    pub async fn record_match(mut self) {
        let [_, own] = &self.names;
        let counters = self.backoff.counters.clone();
        let (delay, own) = (delay_key(own), count_key(own));
        let settled = async {
            self.undo().await?;
            counters.forget(&own).await?;
            counters.forget(&delay).await
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
            counters.release(&key, &self.token).await?;
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
            token: std::mem::take(&mut self.token),
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
