//! Shares the connections to the mail server among the partitions whose mails are being sent.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::mailer::CONCURRENT_MAX;

/// The number of partitions whose mails are being sent.
#[derive(Default)]
pub(super) struct Sending(AtomicUsize);

/// One of these partitions, until it is dropped.
pub(super) struct Sender<'a>(&'a Sending);

impl Sending {
    /// Counts a partition.
    pub(super) fn begin(&self) -> Sender<'_> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Sender(self)
    }
}

impl Sender<'_> {
    /// The most mails that the partition may send concurrently.
    pub(super) fn share(&self) -> usize {
        (CONCURRENT_MAX / self.0.0.load(Ordering::Relaxed).max(1)).max(1)
    }
}

impl Drop for Sender<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}
