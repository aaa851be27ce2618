//! How calls of the log and transactions fail, classified by what the caller must do.

use super::record::TopicPartition;

/// What made a call fail: the client's error, or a text if no other error is behind it.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a call of the log failed.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The same call may succeed later.
    #[error("{doing} (will be tried again)")]
    Retriable {
        /// What was tried, and on what.
        doing: String,
        /// Why it failed.
        #[source]
        cause: Cause,
    },
    /// This client has no right to do it, and a retry changes nothing before an operator has
    /// changed the access rules.
    #[error("{doing} (this client has no right to it: see redpanda/acls.yaml)")]
    Denied {
        /// What was tried, and on what.
        doing: String,
        /// Why it failed.
        #[source]
        cause: Cause,
    },
    /// The session is unusable: its owner discards it with all positions and state, and rebuilds
    /// from the log.
    #[error("{doing} (the session must be rebuilt)")]
    Fatal {
        /// What was tried, and on what.
        doing: String,
        /// Why it failed.
        #[source]
        cause: Cause,
    },
    /// Another client has joined the group as the same static member, so this one's session is
    /// unusable, as after a fatal error.
    #[error("{doing} (another client is the same member of the group)")]
    Fenced {
        /// What was tried, and on what.
        doing: String,
        /// What the broker has answered.
        #[source]
        cause: Cause,
    },
    /// This process can't continue with any session and must be restarted.
    #[error("{doing} (the process must be restarted)")]
    Exhausted {
        /// What was tried, and on what.
        doing: String,
        /// Why no later attempt can succeed, and what an operator can do.
        #[source]
        cause: Cause,
    },
    /// The log does not hold the requested offset. The caller never answers this by skipping.
    #[error("offset {offset} of {partition} is out of range: the log keeps {beginning}..{end}")]
    OutOfRange {
        /// The requested partition.
        partition: TopicPartition,
        /// The requested offset.
        offset: i64,
        /// The first offset that the log holds.
        beginning: i64,
        /// The high watermark.
        end: i64,
    },
    /// The client can't read a batch of records: it lacks their compression, or their bytes are
    /// damaged. A retry changes nothing, and the caller never answers this by skipping.
    #[error("the records of {partition} from offset {offset} on can't be read")]
    Unreadable {
        /// The partition.
        partition: TopicPartition,
        /// The offset from which the batch was requested.
        offset: i64,
        /// What the client reports.
        #[source]
        cause: Cause,
    },
}

/// How a transaction failed.
#[derive(Debug, thiserror::Error)]
pub enum TransactionError {
    /// The transaction was aborted, and the abort has completed. The worker rewinds its input,
    /// undoes its writes, and continues with the same session.
    #[error("transaction aborted: {0}")]
    Aborted(String),
    /// Another producer with the same transactional id has taken over. The worker rebuilds; a
    /// process that is fenced again and again must end.
    #[error("fenced by another producer with the same transactional id: {0}")]
    Fenced(String),
    /// The error was fatal or unclassified, or no answer arrived: the transaction may or may not
    /// have committed. The worker discards producer, positions and state, and rebuilds from the
    /// log.
    #[error("transaction in an unknown state: {0}")]
    Unknown(String),
}

#[cfg(test)]
mod tests {
    use rdkafka::error::{KafkaError, RDKafkaErrorCode};
    use schemas::chain;

    use super::*;

    #[test]
    fn error_of_the_log_names_its_cause_once() {
        let cause = KafkaError::MetadataFetch(RDKafkaErrorCode::BrokerTransportFailure).into();
        let error = LogError::Retriable { doing: "reading order.events".to_owned(), cause };
        let text = chain(&error);
        assert!(text.starts_with("reading order.events (will be tried again): "), "{text}");
        assert_eq!(text.matches("BrokerTransportFailure").count(), 1, "{text}");
    }
}
