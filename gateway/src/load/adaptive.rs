//! The adaptive limit of a class: how many requests may be in flight so that each takes about as
//! long as the target. Pure: it reads no clock and knows no request.
//!
//! The method is the gradient limit of Netflix's concurrency-limits
//! (<https://github.com/Netflix/concurrency-limits>, `GradientLimit`; Envoy's adaptive concurrency
//! filter is another one): the limit is multiplied by the latency that is wanted over the latency
//! that is measured. Two things differ:
//!
//! - Netflix compares with the smallest latency that it has seen. Here a transaction holds more
//!   commands when more of them wait, so the best throughput has a latency several times that of an
//!   idle system. So the latency that is wanted is a setting.
//! - By Little's law a request that found `n` requests in flight and took `t` has seen a throughput
//!   of `n / t`, whatever the limit was meanwhile. The new limit is that throughput times the
//!   target, so it does not depend on the old limit, and one step is enough.
//!
//! The limit falls when requests are slow, and also when more are in flight than were lately done
//! in the time of the target: those would be slow, and by the time they are, many more would have
//! come.
//!
//! Without samples the limit does not change: while the processors are restarted, no outcome comes,
//! and commands are accepted up to the limit.

use std::time::Duration;

use tokio::time::Instant;

/// The shortest time between two changes of the limit.
const WINDOW: Duration = Duration::from_millis(200);
/// The least number of samples that can lower the limit, so that a few odd requests can't.
const SAMPLES_MIN: u32 = 10;
/// The longest time between two changes. So few samples that they do not end a window before show
/// no load: if they are quick the limit rises, and otherwise it stays.
const WINDOW_MAX: Duration = Duration::from_secs(1);
/// One slow sample of this many means that requests wait for each other.
const SLOW_SHARE: u32 = 4;
/// The largest step upwards.
const GROWTH: f64 = 1.25;

/// A limit that follows the latency.
#[derive(Debug)]
pub(super) struct Adaptive {
    target: Duration,
    min: f64,
    max: f64,
    limit: f64,
    window: Window,
}

/// The samples since the last change.
#[derive(Debug, Default)]
struct Window {
    begun: Option<Instant>,
    samples: u32,
    /// Samples of more than half the target.
    slow: u32,
    /// The sum of what the samples found in flight.
    found: f64,
    /// The sum of their latencies.
    seconds: f64,
}

impl Adaptive {
    /// A limit from `min` to `max` that aims at the latency `target`. It begins at `max`.
    pub(super) fn new(target: Duration, min: usize, max: usize) -> Self {
        let (min, max) = (min.min(max) as f64, max as f64);
        Self { target, min, max, limit: max, window: Window::default() }
    }

    /// How many requests may be in flight.
    pub(super) fn get(&self) -> usize {
        // At most `max`, which was an integer.
        self.limit.round() as usize
    }

    /// Records that a request took `latency`. When it was admitted, `found` requests were in
    /// flight, itself included, and now `in_flight` are.
    pub(super) fn record(
        &mut self,
        now: Instant,
        found: usize,
        in_flight: usize,
        latency: Duration,
    ) {
        let window = &mut self.window;
        let begun = *window.begun.get_or_insert(now);
        window.samples += 1;
        window.slow += u32::from(latency > self.target / 2);
        window.found += found as f64;
        window.seconds += latency.as_secs_f64();
        let time = now.duration_since(begun);
        let are_slow = window.slow * SLOW_SHARE >= window.samples;
        if time >= WINDOW_MAX && window.samples < SAMPLES_MIN {
            if are_slow {
                self.window = Window::default();
            } else {
                self.rest(time);
            }
            return;
        }
        if window.samples < SAMPLES_MIN || time < WINDOW {
            return;
        }
        let Window { samples, found, seconds, .. } = std::mem::take(window);
        let target = self.target.as_secs_f64();
        let throughput = f64::from(samples) / time.as_secs_f64();
        let will_be_slow = in_flight as f64 > throughput * target;
        let largest = self.limit * GROWTH;
        let limit = if !are_slow && !will_be_slow {
            largest
        } else if (in_flight as f64).max(found / f64::from(samples)) < self.min {
            // So few are slow for another reason than a queue, and a lower limit would not help.
            self.limit
        } else {
            (found / seconds * target).min(largest)
        };
        self.limit = limit.clamp(self.min, self.max);
    }

    /// Raises the limit as good samples would have done, because nothing, or only a few quick
    /// requests, were in flight for a time.
    pub(super) fn rest(&mut self, time: Duration) {
        let windows = time.as_secs_f64() / WINDOW.as_secs_f64();
        self.limit = (self.limit * GROWTH.powf(windows)).min(self.max);
        self.window = Window::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: Duration = Duration::from_secs(1);

    /// Records a window of samples that each found and left `in_flight` requests and took `ms`.
    fn window(limit: &mut Adaptive, at_ms: u64, in_flight: usize, ms: &[u64]) {
        let now = Instant::now() + Duration::from_millis(at_ms);
        for latency in ms {
            limit.record(now, in_flight, in_flight, Duration::from_millis(*latency));
        }
        // Ends the window.
        limit.record(now + WINDOW, in_flight, in_flight, Duration::from_millis(ms[0]));
    }

    #[tokio::test(start_paused = true)]
    async fn slow_samples_set_the_limit_to_throughput_times_target() {
        let mut limit = Adaptive::new(TARGET, 8, 100);
        // 90 in flight take 1.5 s, so 60 are done in a second.
        window(&mut limit, 0, 90, &[1_500; 20]);
        assert_eq!(limit.get(), 60);
        // Twice as fast, and still slower than half the target: 60 in flight, 100 in a second.
        window(&mut limit, 1_000, 60, &[600; 20]);
        assert_eq!(limit.get(), 75, "a step is at most a quarter");
        window(&mut limit, 2_000, 60, &[600; 20]);
        assert_eq!(limit.get(), 94);
        window(&mut limit, 3_000, 60, &[600; 20]);
        assert_eq!(limit.get(), 100, "the maximum");
    }

    #[tokio::test(start_paused = true)]
    async fn limit_does_not_fall_below_its_minimum_and_rises_while_nothing_is_in_flight() {
        let mut limit = Adaptive::new(TARGET, 8, 100);
        window(&mut limit, 0, 10, &[60_000; 10]);
        assert_eq!(limit.get(), 8);
        limit.rest(WINDOW);
        assert_eq!(limit.get(), 10);
        limit.rest(Duration::from_secs(3600));
        assert_eq!(limit.get(), 100);
    }

    #[tokio::test(start_paused = true)]
    async fn requests_that_pile_up_lower_the_limit_before_they_are_slow() {
        let mut limit = Adaptive::new(TARGET, 8, 100);
        let now = Instant::now();
        // 50 are done in a second, each in a fifth of the target, and 80 are in flight.
        for number in 0..=10 {
            let at = now + Duration::from_millis(20 * number);
            limit.record(at, 10, 80, Duration::from_millis(200));
        }
        assert_eq!(limit.get(), 50);
    }

    #[tokio::test(start_paused = true)]
    async fn few_quick_samples_raise_the_limit_and_few_slow_ones_do_not_change_it() {
        let mut limit = Adaptive::new(TARGET, 8, 100);
        window(&mut limit, 0, 10, &[60_000; 10]);
        let now = Instant::now();
        let mut sample = |at: Duration, ms| {
            limit.record(now + at, 1, 1, Duration::from_millis(ms));
            limit.get()
        };
        assert_eq!(sample(Duration::from_secs(1), 2_000), 8);
        assert_eq!(sample(Duration::from_secs(2), 2_000), 8);
        assert_eq!(sample(Duration::from_secs(3), 100), 8, "begins a window");
        assert_eq!(sample(Duration::from_secs(4), 100), 24, "five windows");
    }

    #[tokio::test(start_paused = true)]
    async fn few_slow_samples_among_many_or_too_few_samples_change_nothing() {
        let mut limit = Adaptive::new(TARGET, 8, 100);
        window(&mut limit, 0, 5, &[40, 30_000, 40, 40, 30_000, 40, 40, 40, 40, 40]);
        assert_eq!(limit.get(), 100);
        window(&mut limit, 1_000, 50, &[30_000; 8]);
        assert_eq!(limit.get(), 100, "nine samples");
        limit.rest(WINDOW);
        window(&mut limit, 2_000, 7, &[30_000; 20]);
        assert_eq!(limit.get(), 100, "seven in flight are no queue");
    }
}
