//! Restoring: what a task reads before it processes anything. It changes nothing in the log.

use std::time::Duration;

use super::{
    error::LogError,
    record::{CommittedOffset, Record},
};

/// The offsets that a task starts from, beside its changelog.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Start {
    /// For each input the group's committed offset, requested as stable before the changelog's end
    /// was requested.
    pub committed: Vec<Option<CommittedOffset>>,
    /// For each input the first offset that the log holds and the high watermark, requested after
    /// the changelog was read.
    pub kept: Vec<(i64, i64)>,
    /// The high watermark of each watched partition, requested last.
    pub ends: Vec<i64>,
}

/// Reads what one task starts from, in this order: the committed offsets of its inputs, the
/// changelog's high watermark, the changelog (read committed) up to that watermark and on to the
/// end that its leader states after that, and the watermarks of the inputs.
pub trait Restore: Send {
    /// Appends up to `max` records of the changelog to `out`, and waits up to `timeout`, whatever
    /// request is unanswered. Returns `Some` when everything is read and no more records follow.
    /// After a retriable error the next poll continues where this one stopped.
    fn poll(
        &mut self,
        timeout: Duration,
        max: usize,
        out: &mut Vec<Record>,
    ) -> Result<Option<Start>, LogError>;

    /// Position and end in the changelog, both offsets; zeros before the end is known.
    fn progress(&self) -> (i64, i64);
}
