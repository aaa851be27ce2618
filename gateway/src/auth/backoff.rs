//! Back-off of an account whose password is being guessed: after a few wrong ones each further one
//! costs a wait that doubles. Counted in Redis and forgotten after a while; without Redis nobody is
//! held up by it.

use std::{sync::Arc, time::Duration};

use crate::{counters::Counters, metrics::Metrics, problem::Problem};

/// Wrong passwords that cost nothing.
const FREE: u64 = 5;
/// The longest wait.
const WAIT_MAX: Duration = Duration::from_secs(300);
/// Without a wrong one for so long, the account is as good as new.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(900);

/// Counts wrong passwords by account.
#[derive(Clone)]
pub struct Backoff {
    counters: Arc<dyn Counters>,
    metrics: Metrics,
}

impl Backoff {
    /// Counting in `counters`.
    pub fn new(counters: Arc<dyn Counters>, metrics: Metrics) -> Self {
        Self { counters, metrics }
    }

    /// Whether a password may be tried for this account now.
    ///
    /// # Errors
    /// The problem to answer with, if it may not. It is the same for accounts that do not exist.
    pub async fn admit(&self, account: &str) -> Result<(), Problem> {
        match self.counters.left(&hold(account)).await {
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

    /// Counts a wrong one.
    pub async fn wrong(&self, account: &str) {
        let counted = async {
            let wrong = self.counters.hit(&count(account), FORGOTTEN_AFTER).await?.count;
            if wrong >= FREE {
                let doublings = u32::try_from(wrong - FREE).unwrap_or(u32::MAX).min(16);
                let wait = Duration::from_secs(1 << doublings).min(WAIT_MAX);
                self.counters.hit(&hold(account), wait).await?;
            }
            Ok(())
        };
        if let Err(error) = counted.await {
            self.without_counters(&error);
        }
    }

    /// Forgets the wrong ones.
    pub async fn right(&self, account: &str) {
        if let Err(error) = self.counters.forget(&count(account)).await {
            self.without_counters(&error);
        }
    }

    fn without_counters(&self, error: &crate::counters::CounterError) {
        self.metrics.counters_unavailable.inc();
        tracing::warn!(%error, "wrong passwords can't be counted");
    }
}

fn count(account: &str) -> String {
    format!("millrace:gateway:wrong:{account}")
}

fn hold(account: &str) -> String {
    format!("millrace:gateway:hold:{account}")
}
