//! What each of librdkafka's errors means for the transaction. It makes no call.

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::{client::fatal, log::LogError};

/// How a transaction call failed, classified by what the thread must do.
pub(super) enum CallError {
    /// The same call may succeed: repeat it until its deadline.
    Retriable,
    /// The transaction must be aborted; then the session is usable again.
    Abortable(String),
    /// Another producer has taken the transactional id: the session is unusable.
    Fenced(String),
    /// Fatal or unclassified: it is unknown what the broker did, so the session is unusable.
    Unknown(String),
}

impl CallError {
    /// Classifies `error`, with which the call that was `doing` something has failed.
    pub(super) fn of(doing: &str, error: &KafkaError) -> Self {
        let text = format!("{doing}: {error}");
        match error {
            // Fenced is tested before fatal, because a fencing error is fatal too, and "fatal" says
            // less.
            KafkaError::Transaction(cause) if is_fenced(cause.code()) => Self::Fenced(text),
            KafkaError::Transaction(cause) if cause.is_fatal() => Self::Unknown(text),
            KafkaError::Transaction(cause) if cause.txn_requires_abort() => Self::Abortable(text),
            KafkaError::Transaction(cause) if cause.is_retriable() => Self::Retriable,
            // A send of a producer with a fatal error returns only this code; `Committer::unusable`
            // asks the client for the error itself.
            KafkaError::MessageProduction(RDKafkaErrorCode::Fatal) => Self::Unknown(text),
            KafkaError::MessageProduction(code) if is_fenced(*code) => Self::Fenced(text),
            KafkaError::MessageProduction(_) | KafkaError::Canceled => Self::Abortable(text),
            _ => Self::Unknown(text),
        }
    }
}

/// Whether `code` says that another producer has taken the transactional id.
pub(super) fn is_fenced(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::Fenced
            | RDKafkaErrorCode::ProducerFenced
            | RDKafkaErrorCode::InvalidProducerEpoch
    )
}

/// The error of a worker that could not hand a request to the committing thread.
pub(super) fn handover_failed(cause: &str) -> LogError {
    fatal("handing a transaction over".to_owned(), cause)
}
