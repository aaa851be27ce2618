//! How long wrong passwords delay further ones: from which one on, and at most.

use std::time::Duration;

use crate::counters::Count;

/// The delays of one client at one account.
pub(super) const OF_CLIENT: Delays =
    Delays { free_attempts: 5, delay_max: Duration::from_secs(300) };
/// The delays of the unknown clients of an IPv6 /56 and of a /48, which have up to 256 and
/// 65,536 clients.
pub(super) const OF_NETWORKS: [Delays; 2] = [
    Delays { free_attempts: 20, delay_max: Duration::from_secs(60) },
    Delays { free_attempts: 100, delay_max: Duration::from_secs(30) },
];
/// The delays of all unknown clients that have a wrong attempt of their own.
pub(super) const OF_ACCOUNT: Delays =
    Delays { free_attempts: 50, delay_max: Duration::from_secs(5) };

/// The delays of those who share them.
pub(super) struct Delays {
    /// The number of the first attempt in a row that costs a delay, if it is wrong.
    free_attempts: u64,
    /// The longest delay.
    delay_max: Duration,
}

impl Delays {
    /// The delay after this attempt, if it is wrong.
    pub(super) fn after(&self, attempt: Count) -> Option<Duration> {
        let excess = attempt.count.checked_sub(self.free_attempts)?;
        let doublings = u32::try_from(excess).unwrap_or(u32::MAX).min(16);
        Some(Duration::from_secs(1 << doublings).min(self.delay_max))
    }
}
