//! Classifies librdkafka's errors of consumers. It retries nothing.

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::log::{Cause, LogError};

/// Whether the client handles this error by itself, by reconnecting, so that the caller of a poll
/// has nothing to do.
pub(crate) fn is_transient(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{AllBrokersDown, BrokerTransportFailure, OperationTimedOut, Resolve};
    let (KafkaError::MessageConsumption(code) | KafkaError::Global(code)) = error else {
        return false;
    };
    matches!(code, AllBrokersDown | BrokerTransportFailure | OperationTimedOut | Resolve)
}

/// Whether this client has no right to read the topic, which a retry does not change.
pub(crate) fn is_denied(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::TopicAuthorizationFailed)
}

/// Whether a request has failed because no broker knows the topic.
pub(crate) fn is_unknown_topic(error: &LogError) -> bool {
    use RDKafkaErrorCode::{UnknownTopic, UnknownTopicOrPartition};
    let LogError::Retriable { cause, .. } = error else { return false };
    let code = cause.downcast_ref().and_then(KafkaError::rdkafka_error_code);
    matches!(code, Some(UnknownTopic | UnknownTopicOrPartition))
}

/// An error of a request for offsets.
pub(crate) fn request(doing: String, error: KafkaError) -> LogError {
    let has_no_group =
        error.rdkafka_error_code() == Some(RDKafkaErrorCode::GroupAuthorizationFailed);
    match has_no_group || is_denied(&error) {
        true => LogError::Denied { doing, cause: error.into() },
        false => retriable(doing, error),
    }
}

/// Whether the log does not hold the requested offset.
pub(crate) fn is_out_of_range(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{AutoOffsetReset, OffsetOutOfRange};
    matches!(error, KafkaError::MessageConsumption(AutoOffsetReset | OffsetOutOfRange))
}

/// Whether the client can't read a batch of records: it lacks the codec or the format, or the bytes
/// are damaged. librdkafka stays in front of such a batch and repeats the error; but it continues
/// behind one with a wrong checksum, so the caller must discard what follows.
pub(crate) fn is_unreadable(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{BadCompression, BadMessage, NotImplemented};
    matches!(error, KafkaError::MessageConsumption(BadCompression | BadMessage | NotImplemented))
}

/// An error that a poll of `what` returned.
pub(crate) fn consumption(what: &str, error: KafkaError) -> LogError {
    let doing = format!("reading {what}");
    match &error {
        KafkaError::MessageConsumption(RDKafkaErrorCode::FencedInstanceId) => {
            LogError::Fenced { doing, cause: error.into() }
        }
        KafkaError::MessageConsumptionFatal(_) => fatal(doing, error),
        KafkaError::MessageConsumption(
            RDKafkaErrorCode::AutoOffsetReset
            | RDKafkaErrorCode::OffsetOutOfRange
            | RDKafkaErrorCode::Fatal,
        ) => fatal(doing, error),
        _ => request(doing, error),
    }
}

/// An error after which the client must be discarded.
pub(crate) fn fatal(doing: String, cause: impl Into<Cause>) -> LogError {
    LogError::Fatal { doing, cause: cause.into() }
}

/// An error after which the same call may succeed.
pub(crate) fn retriable(doing: String, cause: impl Into<Cause>) -> LogError {
    LogError::Retriable { doing, cause: cause.into() }
}
