//! What each of librdkafka's errors means for the transaction. It makes no call.

use std::time::Duration;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::producer::TRANSACTION_TIMEOUT;
use crate::{
    client::fatal,
    log::{LogError, TransactionError},
};

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

/// What it means for a transaction that was begun `open` ago that its producer is fenced. The
/// broker fences the producer of a transaction that takes too long, by ending it with a new epoch.
/// Then no other process has to be searched for.
pub(super) fn fenced(text: String, open: Duration) -> TransactionError {
    match open < TRANSACTION_TIMEOUT {
        true => TransactionError::Fenced(text),
        false => TransactionError::Unknown(format!(
            "{text}; it was begun {open:?} ago, so the broker has aborted it after \
             {TRANSACTION_TIMEOUT:?}"
        )),
    }
}

/// The error of a worker that could not hand a request to the committing thread.
pub(super) fn handover_failed(cause: &str) -> LogError {
    fatal("handing a transaction over".to_owned(), cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn producer_of_a_transaction_that_took_too_long_was_fenced_by_the_broker() {
        let of = |open| fenced("committing: fenced".to_owned(), open);
        assert!(matches!(of(Duration::from_secs(1)), TransactionError::Fenced(_)));
        let late = of(TRANSACTION_TIMEOUT + Duration::from_secs(1));
        assert!(matches!(late, TransactionError::Unknown(_)), "{late}");
        let text = "transaction in an unknown state: committing: fenced; it was begun 11s ago, so \
                    the broker has aborted it after 10s";
        assert_eq!(late.to_string(), text);
    }
}
