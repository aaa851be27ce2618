//! Decides when a partition is retried after a failure. Every failure leads to a new claim; none
//! skips a record.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use redpanda::log::{LogError, TopicPartition};
use schemas::chain;

use super::{
    partition::{Retry, Size, Slot},
    turn::{IDLE, Projector},
};
use crate::StoreError;

/// The wait after the first failure of the store or the log. It doubles up to [`WAIT_MAX`].
pub(super) const WAIT_MIN: Duration = Duration::from_millis(200);
pub(super) const WAIT_MAX: Duration = Duration::from_secs(5);
/// The wait after a failure that a retry alone is unlikely to fix.
const STUCK: Duration = Duration::from_secs(30);

impl Projector<'_> {
    /// Stops a partition after `error`, and schedules its next claim. `retry` is the state before
    /// the failure.
    pub(super) fn failed(&mut self, partition: &TopicPartition, error: StoreError, retry: Retry) {
        let projection = self.projection.name();
        self.resources.metrics.failed(projection, error.kind());
        let retry = retry.after_failure();
        match error {
            StoreError::Failed { .. } | StoreError::Credentials { .. } => {
                tracing::warn!(projection, %partition, error = chain(&error), "retrying later");
                self.wait_after_failure(partition, retry);
            }
            StoreError::Lost { .. } => {
                // The group will soon report that another member owns the partition. If it does
                // not, the other claim is outdated, and this member claims the partition again.
                tracing::info!(projection, %partition, error = chain(&error), "released");
                self.wait(partition, WAIT_MAX, retry);
            }
            StoreError::Gap { .. }
            | StoreError::Record { .. }
            | StoreError::Unfit { .. }
            | StoreError::Unstorable { .. } => match retry.size {
                Size::Record => {
                    tracing::error!(projection, %partition, error = chain(&error), "stopped");
                    self.wait(partition, STUCK, retry);
                }
                // One record has failed its whole batch. One by one, the records before it can be
                // applied.
                Size::Poll | Size::Partition => {
                    self.wait(partition, Duration::ZERO, Retry { size: Size::Record, ..retry });
                }
            },
        }
    }

    /// Claimed -> Waiting, until the next turn, for partitions whose batches have failed together.
    /// Then each is applied by itself, so that a fault stops only its own partition. One that
    /// another owner has claimed is released, as if it had been applied by itself.
    pub(super) fn failed_together(&mut self, partitions: &[TopicPartition], error: &StoreError) {
        let projection = self.projection.name();
        self.resources.metrics.failed(projection, error.kind());
        tracing::warn!(projection, error = chain(error), "applying each partition by itself");
        if matches!(error, StoreError::Lost { .. }) {
            self.compare_claims();
        }
        for partition in partitions {
            if let Some(claimed) = self.slots.get(partition).and_then(Slot::claimed) {
                let retry = Retry { size: Size::Partition, ..claimed.retry };
                self.wait(partition, Duration::ZERO, retry);
            }
        }
    }

    /// Claimed or Waiting -> Waiting, for a time that grows with the failures in a row.
    pub(super) fn wait_after_failure(&mut self, partition: &TopicPartition, retry: Retry) {
        self.wait(partition, wait_after(retry.failures), retry);
    }

    /// Claimed or Waiting -> Waiting. The partition is not read until it is claimed again. A
    /// partition that the group has taken meanwhile stays released.
    pub(super) fn wait(&mut self, partition: &TopicPartition, wait: Duration, retry: Retry) {
        if let Some(slot) = self.slots.get_mut(partition) {
            *slot = Slot::Waiting { until: Instant::now() + wait, retry };
            self.needs_seek = true;
        }
    }

    /// Waits after a failure of the log that does not end the membership.
    ///
    /// # Errors
    /// Fails if the membership has ended and the group must be joined again.
    pub(super) fn tolerate(&mut self, result: Result<(), LogError>) -> Result<(), LogError> {
        let projection = self.projection.name();
        match result {
            Ok(()) => self.log_failures = 0,
            Err(LogError::Retriable { doing, cause } | LogError::Denied { doing, cause }) => {
                self.resources.metrics.failed(projection, "log");
                tracing::warn!(projection, doing, cause = chain(&*cause), "retrying the log");
                self.log_failures += 1;
                pause(wait_after(self.log_failures), &self.resources.shutdown);
            }
            Err(LogError::OutOfRange { ref partition, offset, beginning, end })
                if self.pass_removed_marker(partition, offset, (beginning, end)) => {}
            Err(ref error @ LogError::OutOfRange { ref partition, .. }) => {
                self.resources.metrics.failed(projection, "log");
                tracing::error!(
                    projection,
                    error = chain(error),
                    "stopped: rebuild the projection"
                );
                self.wait(partition, STUCK, Retry::default().after_failure());
            }
            Err(ref error @ LogError::Unreadable { ref partition, .. }) => {
                self.resources.metrics.failed(projection, "log");
                tracing::error!(projection, error = chain(error), "stopped at these records");
                self.wait(partition, STUCK, Retry::default().after_failure());
            }
            Err(
                error @ (LogError::Fatal { .. }
                | LogError::Fenced { .. }
                | LogError::Exhausted { .. }),
            ) => return Err(error),
        }
        Ok(())
    }
}

/// Waits, and returns early at a shutdown.
pub(super) fn pause(wait: Duration, shutdown: &AtomicBool) {
    let until = Instant::now() + wait;
    while Instant::now() < until && !shutdown.load(Ordering::Relaxed) {
        std::thread::sleep(IDLE.min(wait));
    }
}

/// The wait after this many failures in a row.
pub(super) fn wait_after(failures: u32) -> Duration {
    WAIT_MIN.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(WAIT_MAX)
}
