//! What can go wrong between the log and a store.

/// Why a read model could not be read or written.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The store did not do what it was asked. The same may work later.
    #[error("{doing}: {why}")]
    Failed {
        /// What was tried, and on what.
        doing: &'static str,
        /// What the client said.
        why: String,
    },
    /// The store refuses the credentials of this program. Only other settings help.
    #[error("{store} refuses the credentials: {why}")]
    Credentials {
        /// Which store.
        store: &'static str,
        /// What it said.
        why: String,
    },
    /// The events of a key do not follow each other. Never skipped: the read model or the log has
    /// lost something.
    #[error("{what} holds version {held}, but the log goes on with {came}: rebuild the projection")]
    Gap {
        /// Which row, document or key.
        what: String,
        /// The version held.
        held: i64,
        /// The version that came.
        came: i64,
    },
    /// Someone else has claimed the partition: what was to be written has not been.
    #[error("someone else has claimed {position}")]
    Lost {
        /// The position's name in the store.
        position: String,
    },
    /// A record that this version can't understand, but a newer one may. Never skipped either.
    #[error("{place} can't be projected: {why}")]
    Record {
        /// Topic, partition and offset.
        place: String,
        /// What is wrong with it.
        why: String,
    },
    /// A record that no version can project, such as bytes that are not Avro. It becomes a dead
    /// letter.
    #[error("{place} is no record that can be projected: {why}")]
    Unfit {
        /// Topic, partition and offset.
        place: String,
        /// What is wrong with it.
        why: String,
    },
    /// The store will never take this data, whoever asks. The record it comes from becomes a dead
    /// letter.
    #[error("{doing}: the store can't hold it: {why}")]
    Unstorable {
        /// What was tried, and on what.
        doing: &'static str,
        /// What the store said.
        why: String,
    },
}

impl StoreError {
    pub(crate) fn failed(doing: &'static str, error: impl std::error::Error) -> Self {
        Self::Failed { doing, why: chain(&error) }
    }

    /// A word for metrics.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Failed { .. } | Self::Credentials { .. } => "store",
            Self::Gap { .. } => "gap",
            Self::Lost { .. } => "lost",
            Self::Record { .. } | Self::Unfit { .. } | Self::Unstorable { .. } => "record",
        }
    }
}

/// The error and its causes. A cause that the text before it already ends with is left out: clients
/// differ in whether an error's text includes that of its cause.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
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
