//! Repeats requests that fail with a retriable error. A permanent error ends the attempt at once:
//! no retry corrects a wrong replication factor.

use std::{fmt, sync::Arc, time::Duration};

use schemas::chain;
use tokio::time::{Instant, sleep};

use super::error::ProvisionError;

/// The pause after the first failure. It doubles after each further one.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Receives failures that are followed by another attempt.
type Report = Arc<dyn Fn(&ProvisionError) + Send + Sync>;

/// How long a request with a retriable error is repeated, and where its failures are reported. The
/// default repeats nothing.
#[derive(Clone, Default)]
pub struct RetryPolicy {
    retry_max: Duration,
    report: Option<Report>,
}

impl fmt::Debug for RetryPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryPolicy").field("retry_max", &self.retry_max).finish_non_exhaustive()
    }
}

impl RetryPolicy {
    /// Repeats each request for up to `retry_max`, and calls `report` with each new failure, and
    /// every 2 s with one that has not changed.
    pub fn new(
        retry_max: Duration,
        report: impl Fn(&ProvisionError) + Send + Sync + 'static,
    ) -> Self {
        Self { retry_max, report: Some(Arc::new(report)) }
    }

    /// The same, but not shorter than `retry_max`.
    pub(super) fn at_least(&self, retry_max: Duration) -> Self {
        Self { retry_max: self.retry_max.max(retry_max), ..self.clone() }
    }

    /// The answer to `request`, which is repeated while its error is retriable.
    pub(crate) async fn run<T>(
        &self,
        request: impl AsyncFn() -> Result<T, ProvisionError>,
    ) -> Result<T, ProvisionError> {
        let since = Instant::now();
        let mut pause = PAUSE_MIN;
        let mut reported = String::new();
        loop {
            let error = match request().await {
                Err(error) if error.is_retriable() => error,
                answer => return answer,
            };
            if since.elapsed() >= self.retry_max {
                let after_s = since.elapsed().as_secs();
                return Err(match self.retry_max.is_zero() {
                    true => error,
                    false => ProvisionError::GaveUp { after_s, cause: Box::new(error) },
                });
            }
            // One line for each new failure, and one each time that the longest pause has passed.
            let text = chain(&error);
            if text != reported || pause == PAUSE_MAX {
                if let Some(report) = &self.report {
                    report(&error);
                }
                reported = text;
            }
            sleep(pause.min(self.retry_max.saturating_sub(since.elapsed()))).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}
