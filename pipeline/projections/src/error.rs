//! Errors between the log and a store. Their texts name what was tried and why it failed; they
//! never quote a row.

use std::error::Error;

/// The error of a client or codec that a [`StoreError`] came from.
pub type Cause = Box<dyn Error + Send + Sync>;

/// Why a read model could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The store did not do what it was asked. The same may work later.
    #[error("{doing}: {why}")]
    Failed {
        /// What was tried, and on what.
        doing: &'static str,
        /// The client's error and its causes as text.
        why: String,
        /// The client's error. `None` where its details may quote a row.
        #[source]
        source: Option<Cause>,
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
    #[error("{record} can't be projected: {why}")]
    Record {
        /// Topic, partition and offset.
        record: String,
        /// What was expected of the record.
        why: String,
        /// The error of the codec.
        #[source]
        source: Option<Cause>,
    },
    /// No version of the program can project the record, for example because its bytes are not
    /// Avro. The projector writes a dead letter.
    #[error("{record} can't be projected by any version: {why}")]
    Unfit {
        /// Topic, partition and offset.
        record: String,
        /// What was expected of the record.
        why: String,
        /// The error of the codec.
        #[source]
        source: Option<Cause>,
    },
    /// The store refuses this data for good. The projector writes a dead letter of the record that
    /// the data comes from.
    #[error("{doing}: the store can't hold it: {why}")]
    Unstorable {
        /// What was tried, and on what.
        doing: &'static str,
        /// The store's answer.
        why: String,
        /// The client's error. `None` where its details may quote a row.
        #[source]
        source: Option<Cause>,
    },
}

impl StoreError {
    /// A failure of a client's call. The text holds the error and all of its causes.
    pub fn failed(doing: &'static str, error: impl Into<Cause>) -> Self {
        let error = error.into();
        Self::Failed { doing, why: chain(&*error), source: Some(error) }
    }

    /// A failure that no client reported.
    pub fn failed_because(doing: &'static str, why: impl Into<String>) -> Self {
        Self::Failed { doing, why: why.into(), source: None }
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

/// The text of an error and of its causes. A cause that the text already ends with is left out,
/// because some clients include the text of the cause in their own.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("connecting")]
    struct Connecting(#[source] io::Error);

    #[test]
    fn failure_names_every_cause_once_and_keeps_the_first_as_its_source() {
        let refused = io::Error::other("connection refused");
        let error = StoreError::failed("reading a row", Connecting(refused));
        assert_eq!(error.to_string(), "reading a row: connecting: connection refused");
        let source = error.source().expect("a source");
        assert!(source.is::<Connecting>(), "{source:?}");
    }
}
