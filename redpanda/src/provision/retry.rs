//! Which errors pass by themselves, and for how long a request is repeated that meets one.
//!
//! A permanent error ends the attempt at once: no retry makes a wrong replication factor right.

use std::{fmt, sync::Arc, time::Duration};

use rdkafka::error::RDKafkaErrorCode;
use tokio::time::{Instant, sleep};

use super::ProvisionError;

/// Between two attempts: from the first value, doubled each time, to the second.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// Receives each failure that is followed by another attempt.
type Report = Arc<dyn Fn(&ProvisionError) + Send + Sync>;

/// For how long a request with a passing error is repeated, and who hears of it. The default
/// repeats nothing.
#[derive(Clone, Default)]
pub struct Patience {
    longest: Duration,
    report: Option<Report>,
}

impl fmt::Debug for Patience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Patience").field("longest", &self.longest).finish_non_exhaustive()
    }
}

impl Patience {
    /// Repeats each request for up to `longest`, and calls `report` with each failure.
    pub fn new(
        longest: Duration,
        report: impl Fn(&ProvisionError) + Send + Sync + 'static,
    ) -> Self {
        Self { longest, report: Some(Arc::new(report)) }
    }

    /// The same, but not shorter than `longest`.
    pub(super) fn at_least(&self, longest: Duration) -> Self {
        Self { longest: self.longest.max(longest), ..self.clone() }
    }

    /// The answer to `request`, which is repeated while its error is a passing one.
    pub(super) async fn wait<T>(
        &self,
        request: impl AsyncFn() -> Result<T, ProvisionError>,
    ) -> Result<T, ProvisionError> {
        let since = Instant::now();
        let mut pause = PAUSE.0;
        let mut reported = String::new();
        loop {
            let error = match request().await {
                Err(error) if error.is_passing() => error,
                answer => return answer,
            };
            if since.elapsed() >= self.longest {
                let after_s = since.elapsed().as_secs();
                return Err(match self.longest.is_zero() {
                    true => error,
                    false => ProvisionError::GaveUp { after_s, cause: Box::new(error) },
                });
            }
            // One line for each new failure, and one each time that the longest pause has passed.
            let text = error.to_string();
            if text != reported || pause == PAUSE.1 {
                if let Some(report) = &self.report {
                    report(&error);
                }
                reported = text;
            }
            sleep(pause.min(self.longest.saturating_sub(since.elapsed()))).await;
            pause = (pause * 2).min(PAUSE.1);
        }
    }
}

/// Whether a request that failed with `code` may succeed when it is repeated.
///
/// Redpanda answers `UNKNOWN_SERVER_ERROR` for what happens while it elects or recovers
/// (`kafka/server/errors.h`, `map_topic_error_code`), so that code counts as passing.
pub(crate) fn is_passing(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Code::AllBrokersDown
            | Code::BrokerNotAvailable
            | Code::BrokerTransportFailure
            | Code::CoordinatorLoadInProgress
            | Code::CoordinatorNotAvailable
            | Code::LeaderNotAvailable
            | Code::MessageTimedOut
            | Code::NetworkException
            | Code::NotController
            | Code::NotCoordinator
            | Code::NotLeaderForPartition
            | Code::OperationTimedOut
            | Code::ReplicaNotAvailable
            | Code::RequestTimedOut
            | Code::Resolve
            | Code::ThrottlingQuotaExceeded
            | Code::TimedOutQueue
            | Code::Unknown
            | Code::UnknownBroker
            | Code::UnknownTopicOrPartition
            | Code::WaitingForCoordinator
    )
}
