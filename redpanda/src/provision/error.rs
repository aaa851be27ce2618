//! How a step fails, and whether a retry helps. It retries nothing.

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::{log::Cause, raw, registry::RegistryError};

/// Why provisioning stopped. Steps that were applied before stay, and the next run finds them.
#[derive(Debug, thiserror::Error)]
pub enum ProvisionError {
    /// The broker did not answer, or refused.
    #[error("{doing}")]
    Broker {
        /// What was tried.
        doing: String,
        /// The broker's answer, or what kept the client from getting one.
        #[source]
        cause: Cause,
        /// Whether the same request may succeed later.
        retriable: bool,
    },
    /// The registry did not answer, or refused.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The plan has conflicts, so none of its steps was applied.
    #[error("nothing is done: {0}")]
    Conflicts(String),
    /// A step failed after others were applied.
    #[error("{done} of {of} changes were made; a new plan shows what is left")]
    Partly {
        /// The number of steps that were applied.
        done: usize,
        /// The number of steps of the plan.
        of: usize,
        /// Why the next one failed.
        #[source]
        cause: Box<ProvisionError>,
    },
    /// A retriable error did not end in time.
    #[error("gave up after {after_s} s")]
    GaveUp {
        /// How long the request was retried.
        after_s: u64,
        /// The last failure.
        #[source]
        cause: Box<ProvisionError>,
    },
}

impl ProvisionError {
    /// Whether the same request may succeed later: a registry may start after its broker, and a
    /// partition may have no leader yet.
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::Broker { retriable, .. } => *retriable,
            Self::Registry(error) => matches!(error, RegistryError::Unreachable { .. }),
            Self::GaveUp { .. } => true,
            Self::Conflicts(_) => false,
            Self::Partly { cause, .. } => cause.is_retriable(),
        }
    }

    /// An error that a retry does not change.
    pub(crate) fn permanent(doing: &str, cause: impl Into<Cause>) -> Self {
        Self::Broker { doing: doing.to_owned(), cause: cause.into(), retriable: false }
    }

    /// An error after which the same request may succeed.
    pub(super) fn retriable(doing: &str, cause: impl Into<Cause>) -> Self {
        Self::Broker { doing: doing.to_owned(), cause: cause.into(), retriable: true }
    }

    /// An answer that is an error.
    pub(super) fn code(doing: &str, code: RDKafkaErrorCode) -> Self {
        Self::Broker { doing: doing.to_owned(), cause: code.into(), retriable: is_retriable(code) }
    }

    /// A refusal of the admin API.
    pub(crate) fn admin(doing: &str, error: raw::AdminError) -> Self {
        let retriable = is_retriable(error.code);
        Self::Broker { doing: doing.to_owned(), cause: error.into(), retriable }
    }

    /// A request to which the client got no answer. An error without a code concerns the client
    /// itself or the arguments, and is permanent.
    pub(super) fn client(doing: &str, error: KafkaError) -> Self {
        let code = match &error {
            KafkaError::AdminOp(code) => Some(*code),
            error => error.rdkafka_error_code(),
        };
        let retriable = code.is_some_and(is_retriable);
        Self::Broker { doing: doing.to_owned(), cause: error.into(), retriable }
    }
}

/// Whether a request that failed with `code` may succeed later.
///
/// Redpanda answers `UNKNOWN_SERVER_ERROR` while it elects or recovers (`kafka/server/errors.h`,
/// `map_topic_error_code`), so that code counts as retriable.
fn is_retriable(code: RDKafkaErrorCode) -> bool {
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

#[cfg(test)]
mod tests {
    use schemas::chain;

    use super::*;

    #[test]
    fn error_of_provision_names_each_cause_once() {
        let code = RDKafkaErrorCode::TopicAuthorizationFailed;
        let refused = ProvisionError::client("creating d.events", KafkaError::AdminOp(code));
        let error = ProvisionError::GaveUp { after_s: 60, cause: Box::new(refused) };
        let error = ProvisionError::Partly { done: 2, of: 5, cause: Box::new(error) };
        assert!(error.is_retriable());
        let text = chain(&error);
        let expected = "2 of 5 changes were made; a new plan shows what is left: \
                        gave up after 60 s: creating d.events: ";
        assert!(text.starts_with(expected), "{text}");
        assert_eq!(text.matches("creating d.events").count(), 1, "{text}");
        assert_eq!(text.matches("TopicAuthorizationFailed").count(), 1, "{text}");
    }
}
