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

/// The number of the first wrong password that costs a delay.
const FREE_ATTEMPTS: u64 = 5;
/// The longest delay.
const DELAY_MAX: Duration = Duration::from_secs(300);
/// When wrong passwords are forgotten.
const WINDOW: Duration = Duration::from_secs(900);

/// Counts the wrong passwords of each account, and delays further attempts.
#[derive(Clone)]
pub struct Backoff {
    counters: Arc<dyn Counters>,
    metrics: Metrics,
}

impl Backoff {
    /// A back-off that counts in `counters`.
    pub fn new(counters: Arc<dyn Counters>, metrics: Metrics) -> Self {
        Self { counters, metrics }
    }

    /// Checks whether a password may be tried for this account now.
    ///
    /// # Errors
    /// Returns a 429 problem during a delay, also for an account that does not exist.
    pub async fn admit(&self, account: &str) -> Result<(), Problem> {
        match self.counters.left(&delay_key(account)).await {
            Ok(None) => Ok(()),
            Ok(Some(left)) => {
                self.metrics.held_back.inc();
                let detail = "Too many wrong passwords for this account.";
                Err(Problem::too_many("too_many_attempts", detail, left))
            }
            Err(error) => {
                self.without_counters(&error);
                Ok(())
            }
        }
    }

    /// Counts a wrong password.
    pub async fn record_mismatch(&self, account: &str) {
        let counted = async {
            let wrong = self.counters.hit(&count_key(account), WINDOW).await?.count;
            if wrong >= FREE_ATTEMPTS {
                let doublings = u32::try_from(wrong - FREE_ATTEMPTS).unwrap_or(u32::MAX).min(16);
                let delay = Duration::from_secs(1 << doublings).min(DELAY_MAX);
                self.counters.hit(&delay_key(account), delay).await?;
            }
            Ok(())
        };
        if let Err(error) = counted.await {
            self.without_counters(&error);
        }
    }

    /// Forgets the wrong passwords, because the right one was given.
    pub async fn record_match(&self, account: &str) {
        if let Err(error) = self.counters.forget(&count_key(account)).await {
            self.without_counters(&error);
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
