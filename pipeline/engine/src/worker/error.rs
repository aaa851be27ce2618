//! What ends a worker, what ends a session, and what keeps a task from working. Nothing here is
//! about single inputs: see [`crate::error`].

use std::time::Duration;

use redpanda::log::{LogError, Topic, TopicPartition, TransactionError};
use schemas::{CodecError, chain};

use crate::task::{ChangesError, LoadError};

/// Why a worker has ended.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// Another process uses the same transactional id.
    #[error(
        "fenced {times} times in a row: another process runs as {processor} with the same \
         MILLRACE_INSTANCE; give each its own ({detail})"
    )]
    Fenced {
        /// The processor.
        processor: &'static str,
        /// How many times in a row.
        times: u32,
        /// The detail of the last fencing error.
        detail: String,
    },
    /// This process can't continue with any session and must be restarted.
    #[error("{processor} can't continue")]
    Exhausted {
        /// The processor.
        processor: &'static str,
        /// Why no session can be used.
        source: LogError,
    },
}

/// Why a session can't be used any more. The worker discards it with positions and state, and
/// rebuilds them from the log.
#[derive(Debug, thiserror::Error)]
pub(super) enum SessionError {
    #[error(transparent)]
    Log(LogError),
    /// The process can't continue with any session.
    #[error(transparent)]
    Exhausted(LogError),
    /// Another session has the same transactional id, or is the same member of the group.
    #[error("{0}")]
    Fenced(String),
    /// It is unknown whether the transaction was committed.
    #[error(transparent)]
    UnknownEnd(TransactionError),
    #[error("a commit was not answered within {0:?}")]
    CommitTimeout(Duration),
    #[error("a commit was not answered before the tasks were released")]
    NoAnswerBeforeRelease,
    #[error(transparent)]
    Changes(#[from] ChangesError),
    #[error("a position could not be encoded")]
    Position(#[source] CodecError),
}

impl From<LogError> for SessionError {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Exhausted { .. } => Self::Exhausted(error),
            LogError::Fenced { .. } => Self::Fenced(chain(&error)),
            error => Self::Log(error),
        }
    }
}

/// Why a restore has not ended with a working task.
#[derive(Debug)]
pub(super) enum NotRestored {
    /// The task is restored again from the beginning of its changelog.
    Retry(LogError),
    /// The error is not likely to end by itself: an operator is alerted.
    Stuck(StuckError),
    /// The session is unusable and must be rebuilt.
    Session(SessionError),
}

impl From<LogError> for NotRestored {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Exhausted { .. } | LogError::Fenced { .. } => Self::Session(error.into()),
            LogError::Denied { .. } | LogError::Unreadable { .. } => {
                Self::Stuck(StuckError::NoStart(error))
            }
            error => Self::Retry(error),
        }
    }
}

impl From<StuckError> for NotRestored {
    fn from(error: StuckError) -> Self {
        Self::Stuck(error)
    }
}

/// Why a task is stuck: only an operator can fix the cause.
#[derive(Debug, thiserror::Error)]
pub(super) enum StuckError {
    #[error("{partition} at {offset} can't be read back")]
    Unreadable { partition: TopicPartition, offset: i64, source: LoadError },
    #[error(
        "{input}: the group has committed {committed}, but the changelog has applied {applied}; \
         nothing is processed until they are equal"
    )]
    PositionsDiffer { input: TopicPartition, committed: i64, applied: i64 },
    #[error(
        "{input}: the group has committed {committed}, but the changelog knows of no position: \
         has {changelog} been emptied?"
    )]
    NoPosition { input: TopicPartition, committed: i64, changelog: Topic },
    #[error(
        "{changelog}: the group's offsets count {counted} transactions of the task, but the \
         changelog holds {held}: it has lost records. Restore the log's data; if they are lost \
         for good, see 'A stuck task' in pipeline/README.md"
    )]
    TransactionsLost { changelog: TopicPartition, counted: i64, held: i64 },
    #[error("what the task starts from can't be read")]
    NoStart(#[source] LogError),
    #[error("the log has lost its end: restore the log's data, or rebuild the cluster")]
    EndLost(#[source] LogError),
    #[error(
        "what was removed from {input} before it was read may have held records. Start the service \
         with MILLRACE_ACCEPT_LOSS={input} to continue at {beginning} without them"
    )]
    RecordsRemoved {
        input: TopicPartition,
        beginning: i64,
        #[source]
        range: LogError,
    },
}
