//! Errors between the log and a store. Their texts and those of their
//! causes name what was tried and why it failed; they never quote a row.

use std::error::Error;

/// What made a call fail: the error of a client or codec, or a text if no other error is behind it.
pub type Cause = Box<dyn Error + Send + Sync>;

/// Why a read model could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The store did not do what it was asked. The same may work later.
    #[error("{doing}")]
    Failed {
        /// What was tried, and on what.
        doing: &'static str,
        /// The client's error, or its text where its details may quote a row.
        #[source]
        cause: Cause,
    },
    /// The store refuses the credentials of this program. Only other settings help.
    #[error("{store} refuses the credentials: {why}")]
    Credentials {
        /// The store's name.
        store: &'static str,
        /// The store's answer.
        why: String,
    },
    /// The event's version is not the next one of its key. Never skipped: either the read model or
    /// the log has lost an event.
    #[error(
        "{what} holds version {held}, but its next event has version {came}: rebuild the projection"
    )]
    Gap {
        /// The row, document or key.
        what: String,
        /// The version in the store.
        held: i64,
        /// The version of the event.
        came: i64,
    },
    /// Another owner has claimed the partition, so nothing was written.
    #[error("{position} was claimed by another projector")]
    Lost {
        /// The position's name in the store.
        position: String,
    },
    /// This version of the program can't read the record, but a newer one may. Never skipped.
    #[error("{record} can't be projected")]
    Record {
        /// Topic, partition and offset.
        record: String,
        /// The error of the codec, or what was expected of the record.
        #[source]
        cause: Cause,
    },
    /// No version of the program can project the record, for example because its bytes are not
    /// Avro. The projector writes a dead letter.
    #[error("{record} can't be projected by any version")]
    Unfit {
        /// Topic, partition and offset.
        record: String,
        /// The error of the codec, or what was expected of the record.
        #[source]
        cause: Cause,
    },
    /// The store refuses this data for good. The projector writes a dead letter of the record that
    /// the data comes from.
    #[error("{doing}: the store can't hold it")]
    Unstorable {
        /// What was tried, and on what.
        doing: &'static str,
        /// The client's error, or the store's answer where the error may quote a row.
        #[source]
        cause: Cause,
    },
}

impl StoreError {
    /// A failure with its cause: a client's error, or a text.
    pub fn failed(doing: &'static str, cause: impl Into<Cause>) -> Self {
        Self::Failed { doing, cause: cause.into() }
    }

    /// The value of the label `kind` in metrics.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Failed { .. } | Self::Credentials { .. } => "store",
            Self::Gap { .. } => "gap",
            Self::Lost { .. } => "lost",
            Self::Record { .. } | Self::Unfit { .. } | Self::Unstorable { .. } => "record",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use schemas::chain;

    use super::*;

    #[test]
    fn failure_names_its_cause_once_and_keeps_it() {
        let error = StoreError::failed("reading a row", io::Error::other("connection refused"));
        assert_eq!(error.to_string(), "reading a row");
        assert_eq!(chain(&error), "reading a row: connection refused");
        assert!(error.source().is_some_and(|source| source.is::<io::Error>()), "{error:?}");
        let error = StoreError::failed("reading a row", "no answer within 5 s");
        assert_eq!(chain(&error), "reading a row: no answer within 5 s");
    }
}
