//! When the next transaction may be submitted, if no fixed interval is set: at low load as soon as
//! the input drains, and later the more the worker decides, so that transactions become fewer and
//! larger. A transaction costs the broker, and every reader behind it, about the same whatever its
//! size. Network drivers moderate interrupts by the same rule.

use std::time::{Duration, Instant};

/// The longest interval between two submissions.
const INTERVAL_MAX: Duration = Duration::from_millis(100);
/// The records and timers decided per second from which on the interval is the longest.
const RATE_MAX: f64 = 1_500.0;
/// The time over which the rate is averaged.
const MEMORY: Duration = Duration::from_millis(500);

/// The interval between submissions, adapted to the rate of decisions.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Records and timers decided per second: an average whose weights decay exponentially.
    rate: f64,
    last: Option<Instant>,
}

impl Pace {
    /// A batch of `inputs` records and timers was submitted.
    pub(super) fn submitted(&mut self, inputs: usize, now: Instant) {
        if let Some(last) = self.last.replace(now) {
            let seconds = now.duration_since(last).as_secs_f64().max(1e-6);
            let kept = (-seconds / MEMORY.as_secs_f64()).exp();
            self.rate = self.rate * kept + inputs as f64 / seconds * (1.0 - kept);
        }
    }

    /// How long the next submission has to wait.
    pub(super) fn wait(&self, now: Instant) -> Duration {
        let interval = INTERVAL_MAX.mul_f64((self.rate / RATE_MAX).min(1.0));
        self.last.map_or(Duration::ZERO, |last| (last + interval).saturating_duration_since(now))
    }

    /// Whether a batch is due although its input has not drained.
    pub(super) fn is_overdue(age: Duration) -> bool {
        age >= INTERVAL_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Submits `inputs` every `every` for two seconds, and returns the wait right after the last.
    fn wait_after(inputs: usize, every: Duration) -> Duration {
        let (mut pace, mut now) = (Pace::default(), Instant::now());
        for _ in 0..(2.0 / every.as_secs_f64()) as usize {
            now += every;
            pace.submitted(inputs, now);
        }
        pace.wait(now)
    }

    #[test]
    fn first_batch_and_a_batch_after_a_pause_do_not_wait() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        assert_eq!(pace.wait(now), Duration::ZERO);
        pace.submitted(3, now);
        pace.submitted(3, now + Duration::from_secs(1));
        assert_eq!(pace.wait(now + Duration::from_secs(2)), Duration::ZERO);
    }

    #[test]
    fn interval_grows_with_the_rate_up_to_a_bound() {
        let few = wait_after(3, Duration::from_millis(50));
        let some = wait_after(30, Duration::from_millis(50));
        let many = wait_after(3_000, Duration::from_millis(50));
        assert!(few < Duration::from_millis(6), "{few:?}");
        assert!(some > few * 5 && some < INTERVAL_MAX, "{some:?}");
        assert_eq!(many, INTERVAL_MAX);
    }
}
