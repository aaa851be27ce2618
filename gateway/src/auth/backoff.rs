//! Back-off of an account whose password is being guessed: after a few wrong passwords each further
//! one costs a delay, which doubles. The counters are in Redis and expire; without Redis there is
//! no delay.

use std::{sync::Arc, time::Duration};

use schemas::chain;

use crate::{
    counters::{CounterError, Counters},
    metrics::Metrics,
    problem::Problem,
};

/// The number of the first attempt in a row that costs a delay, if it is wrong.
const FREE_ATTEMPTS: u64 = 5;
/// The longest delay.
const DELAY_MAX: Duration = Duration::from_secs(300);
/// When attempts are forgotten.
const WINDOW: Duration = Duration::from_secs(900);

/// Counts the attempts at each account's password, and delays further ones.
#[derive(Clone)]
pub struct Backoff {
    counters: Arc<dyn Counters>,
    metrics: Metrics,
}

/// An attempt at the password of an account.
#[derive(Debug)]
pub struct Attempt<'a> {
    account: &'a str,
    /// Whether it is in the account's counter.
    is_counted: bool,
    /// Whether it has begun a delay.
    begins_delay: bool,
}

impl Backoff {
    /// A back-off that counts in `counters`.
    pub fn new(counters: Arc<dyn Counters>, metrics: Metrics) -> Self {
        Self { counters, metrics }
    }

    /// Counts an attempt, and checks whether a password may be tried for this account now. Each
    /// attempt counts as wrong until [`Self::record_match`] or [`Self::withdraw`], so that attempts
    /// at the same time do not pass a delay together.
    ///
    /// # Errors
    /// Returns a 429 problem during a delay, also for an account that does not exist.
    pub async fn begin<'a>(&self, account: &'a str) -> Result<Attempt<'a>, Problem> {
        match self.count(account).await {
            Ok(Ok(begins_delay)) => Ok(Attempt { account, is_counted: true, begins_delay }),
            Ok(Err(left)) => {
                self.metrics.held_back.inc();
                let detail = "Too many wrong passwords for this account.";
                Err(Problem::too_many("too_many_attempts", detail, left))
            }
            Err(error) => {
                self.without_counters(&error);
                Ok(Attempt { account, is_counted: false, begins_delay: false })
            }
        }
    }

    /// Counts an attempt. Returns whether it begins a delay for further ones, or how long it must
    /// wait itself.
    async fn count(&self, account: &str) -> Result<Result<bool, Duration>, CounterError> {
        if let Some(left) = self.counters.left(&delay_key(account)).await? {
            return Ok(Err(left));
        }
        let attempts = self.counters.hit(&count_key(account), WINDOW).await?.count;
        if attempts < FREE_ATTEMPTS {
            return Ok(Ok(false));
        }
        let doublings = u32::try_from(attempts - FREE_ATTEMPTS).unwrap_or(u32::MAX).min(16);
        let delay = Duration::from_secs(1 << doublings).min(DELAY_MAX);
        // Of attempts at the same time, the one that begins the delay is made.
        let held = self.counters.hit(&delay_key(account), delay).await?;
        Ok(if held.count > 1 { Err(held.left) } else { Ok(true) })
    }

    /// Takes an attempt back, because its password was not compared. The attempts before it stay.
    pub async fn withdraw(&self, attempt: Attempt<'_>) {
        if let Err(error) = self.undo(attempt).await {
            self.without_counters(&error);
        }
    }

    async fn undo(&self, attempt: Attempt<'_>) -> Result<(), CounterError> {
        if attempt.is_counted {
            self.counters.undo(&count_key(attempt.account)).await?;
        }
        if attempt.begins_delay {
            self.counters.forget(&delay_key(attempt.account)).await?;
        }
        Ok(())
    }

    /// Forgets the attempts, because the right password was given.
    pub async fn record_match(&self, account: &str) {
        for key in [count_key(account), delay_key(account)] {
            if let Err(error) = self.counters.forget(&key).await {
                return self.without_counters(&error);
            }
        }
    }

    fn without_counters(&self, error: &CounterError) {
        self.metrics.counters_unavailable.inc();
        tracing::warn!(error = chain(error), "wrong passwords could not be counted");
    }
}

fn count_key(account: &str) -> String {
    format!("millrace:gateway:wrong:{account}")
}

fn delay_key(account: &str) -> String {
    format!("millrace:gateway:hold:{account}")
}
