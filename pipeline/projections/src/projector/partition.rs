//! The state of one partition in a projector. Data only: the other files change it.

use std::time::{Duration, Instant};

use crate::projection::Claim;

/// The state of a partition that the group has assigned to this member.
#[derive(Debug)]
pub(super) enum Slot {
    /// Not read. It is claimed at `until`.
    Waiting { until: Instant, retry: Retry },
    /// Read and applied.
    Claimed(Claimed),
}

/// A partition that this member has claimed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claimed {
    /// The claim, with the position as it is in the store.
    pub(super) claim: Claim,
    /// The next offset to apply. It may be ahead of the position in the store, because transaction
    /// markers move it too.
    pub(super) next: i64,
    /// The failures since the last batch that was applied.
    pub(super) retry: Retry,
}

/// How a partition is retried after failures.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Retry {
    /// Failures in a row.
    pub(super) failures: u32,
    /// How much is applied at once.
    pub(super) size: Size,
}

/// How much of a poll is applied at once. A failure makes it smaller, to find what fails; a batch
/// that is applied makes it a poll again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Size {
    /// The partition together with others.
    #[default]
    Poll,
    /// The partition by itself.
    Partition,
    /// Record by record.
    Record,
}

impl Claimed {
    /// Moves behind a batch that the store has. The next one must find this position there.
    pub(super) fn pass(&mut self, to: i64) {
        (self.claim.next, self.next) = (Some(to), to);
    }
}

impl Retry {
    /// The same after one more failure.
    pub(super) fn after_failure(self) -> Self {
        Self { failures: self.failures.saturating_add(1), ..self }
    }
}

impl Slot {
    /// A partition that is claimed in the next turn.
    pub(super) fn due() -> Self {
        Self::Waiting { until: Instant::now(), retry: Retry::default() }
    }

    pub(super) fn claimed(&self) -> Option<&Claimed> {
        match self {
            Self::Claimed(claimed) => Some(claimed),
            Self::Waiting { .. } => None,
        }
    }

    pub(super) fn is_waiting(&self) -> bool {
        matches!(self, Self::Waiting { .. })
    }
}

/// Work that is repeated at an interval.
#[derive(Clone, Copy, Debug)]
pub(super) struct Interval {
    pub(super) every: Duration,
    last: Instant,
}

impl Interval {
    pub(super) fn new(every: Duration) -> Self {
        Self { every, last: Instant::now() }
    }

    pub(super) fn is_due(&self) -> bool {
        self.last.elapsed() >= self.every
    }

    pub(super) fn restart(&mut self) {
        self.last = Instant::now();
    }
}
