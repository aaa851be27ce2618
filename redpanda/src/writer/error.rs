//! Why a command is not known to be in the log.

use std::time::Duration;

use crate::log::Cause;

/// Why a write failed.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The write was not acknowledged in time. The record may still be written.
    #[error("{topic}: not acknowledged within {deadline:?}; it may still be written")]
    Deadline {
        /// The topic.
        topic: String,
        /// How long the write was tried.
        deadline: Duration,
    },
    /// The write was not tried, because too many earlier writes have not ended.
    #[error(
        "{topic}: not written, since {under_way} writes are under way and have not been \
         acknowledged"
    )]
    Full {
        /// The topic.
        topic: String,
        /// The number of writes in flight.
        under_way: usize,
    },
    /// The log refused the record.
    #[error("{topic}: the record was refused")]
    Refused {
        /// The topic.
        topic: String,
        /// Why.
        #[source]
        cause: Cause,
    },
}
