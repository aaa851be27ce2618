//! The limit of commands in front of a simulated server, under a simulated clock.

use std::{collections::VecDeque, net::IpAddr, sync::Arc, time::Duration};

use tokio::time::{Instant, advance};

use super::{Class, adaptive::Adaptive, slots::Slot, slots::Slots};
use crate::metrics::Metrics;

/// The latency of the server when nothing waits.
const IDLE_MS: u64 = 100;
const TARGET: Duration = Duration::from_millis(600);
const MAX: usize = 96;

/// A client address and how many requests a second it sends.
type Source = (u16, u64);

/// A request in the server.
struct Request {
    /// When it ends.
    ready: Instant,
    source: u16,
    sent: Instant,
    slot: Slot,
}

/// A server that does one request after the other, and the slots in front of it.
struct Simulation {
    slots: Arc<Slots>,
    begun: Instant,
    /// Requests in the server, in the order in which they end.
    queue: VecDeque<Request>,
    /// The parts of a request that each source has sent, in thousandths.
    due: Vec<u64>,
}

/// What a phase has seen, by source.
#[derive(Debug, Default)]
struct Seen {
    /// The latencies of the requests that ended, by source, in milliseconds.
    done: Vec<(u16, u64)>,
    shed: Vec<u16>,
    in_flight_max: usize,
}

impl Seen {
    fn done_of(&self, wanted: impl Fn(u16) -> bool) -> usize {
        self.done.iter().filter(|(source, _)| wanted(*source)).count()
    }

    fn shed_of(&self, wanted: impl Fn(u16) -> bool) -> usize {
        self.shed.iter().filter(|source| wanted(**source)).count()
    }

    fn p99_ms(&self) -> u64 {
        let mut latencies: Vec<_> = self.done.iter().map(|(_, ms)| *ms).collect();
        latencies.sort_unstable();
        latencies[latencies.len() * 99 / 100]
    }
}

impl Simulation {
    fn new() -> Self {
        let metrics = Metrics::new(&prometheus::Registry::new()).expect("metrics");
        let slots = Slots::new(Class::Commands, Adaptive::new(TARGET, 24, MAX), &metrics);
        // Not all sources send in the same moment.
        let due = (0..1_000).map(|source| source * 37 % 1_000).collect();
        Self { slots, begun: Instant::now(), queue: VecDeque::new(), due }
    }

    /// Sends the requests of `sources` for `seconds`, while the server does `capacity` a second; 0
    /// stops it.
    async fn run(&mut self, seconds: u64, sources: &[Source], capacity: u64) -> Seen {
        let mut seen = Seen::default();
        let mut credit = 0;
        for _ in 0..seconds * 1_000 {
            advance(Duration::from_millis(1)).await;
            credit = (credit + capacity).min(1_000 + capacity);
            let now = Instant::now();
            while credit >= 1_000 && self.queue.front().is_some_and(|it| it.ready <= now) {
                let Request { source, sent, slot, .. } = self.queue.pop_front().expect("a request");
                slot.record();
                credit -= 1_000;
                let ms = u64::try_from((now - sent).as_millis()).expect("short");
                seen.done.push((source, ms));
            }
            for (source, rate) in sources {
                let due = &mut self.due[usize::from(*source)];
                *due += rate;
                if *due < 1_000 {
                    continue;
                }
                *due -= 1_000;
                let [high, low] = source.to_be_bytes();
                match self.slots.take(IpAddr::from([10, 0, high, low])) {
                    Ok(slot) => {
                        let ready = now + Duration::from_millis(IDLE_MS);
                        self.queue.push_back(Request { ready, source: *source, sent: now, slot });
                    }
                    Err(_) => seen.shed.push(*source),
                }
            }
            seen.in_flight_max = seen.in_flight_max.max(self.queue.len());
        }
        let at_s = self.begun.elapsed().as_secs();
        println!("until {at_s} s: {} done, {} shed", seen.done.len(), seen.shed.len());
        seen
    }
}

/// Sources that together send `rate` requests a second.
fn crowd(rate: u64) -> Vec<Source> {
    (1..=50).map(|source| (source, rate / 50)).collect()
}

#[tokio::test(start_paused = true)]
async fn three_times_the_capacity_is_shed_and_the_latency_is_back_after_five_seconds() {
    let mut simulation = Simulation::new();
    let normal = simulation.run(5, &crowd(100), 150).await;
    assert_eq!(normal.shed.len(), 0);

    let overload = simulation.run(20, &crowd(450), 150).await;

    assert!(overload.done.len() >= 150 * 20 * 95 / 100, "{}", overload.done.len());
    assert!(overload.p99_ms() <= 1_000, "{}", overload.p99_ms());
    simulation.run(5, &crowd(100), 150).await;
    let after = simulation.run(5, &crowd(100), 150).await;
    assert_eq!(after.shed.len(), 0);
    assert!(after.p99_ms() <= 2 * IDLE_MS, "{}", after.p99_ms());
}

#[tokio::test(start_paused = true)]
async fn slower_server_gets_less_and_a_faster_one_more_again() {
    let mut simulation = Simulation::new();
    simulation.run(5, &crowd(450), 150).await;

    let changing = simulation.run(5, &crowd(450), 40).await;
    let slow = simulation.run(10, &crowd(450), 40).await;
    simulation.run(5, &crowd(450), 150).await;
    let fast = simulation.run(10, &crowd(450), 150).await;

    assert!(changing.done.len() >= 40 * 5 * 95 / 100, "{}", changing.done.len());
    assert!(slow.done.len() >= 40 * 10 * 95 / 100, "{}", slow.done.len());
    assert!(slow.p99_ms() <= 1_000, "{}", slow.p99_ms());
    assert!(fast.done.len() >= 150 * 10 * 95 / 100, "{}", fast.done.len());
    assert!(fast.p99_ms() <= 1_000, "{}", fast.p99_ms());
}

#[tokio::test(start_paused = true)]
async fn greedy_address_takes_nothing_from_the_others() {
    let greedy = |source: u16| source == 999;
    let mut simulation = Simulation::new();
    let mut sources = crowd(50);
    sources.push((999, 900));

    simulation.run(5, &sources, 150).await;
    let seen = simulation.run(20, &sources, 150).await;

    assert_eq!(seen.shed_of(|source| !greedy(source)), 0);
    assert!(seen.done_of(|source| !greedy(source)) >= 50 * 20 * 99 / 100);
    // And it gets what they leave.
    assert!(seen.done_of(greedy) >= 95 * 20, "{}", seen.done_of(greedy));
    assert!(seen.p99_ms() <= 1_000, "{}", seen.p99_ms());
}

#[tokio::test(start_paused = true)]
async fn stopped_server_gets_requests_up_to_the_maximum_and_recovers_within_five_seconds() {
    // Given a server that stops for ten seconds, as in a rebalance
    let mut simulation = Simulation::new();
    simulation.run(5, &crowd(50), 150).await;
    let short = simulation.run(1, &crowd(50), 0).await;
    assert_eq!(short.shed.len(), 0, "there is room for what comes in a second");
    let stopped = simulation.run(7, &crowd(450), 0).await;
    assert!((MAX - 5..=MAX).contains(&stopped.in_flight_max), "{}", stopped.in_flight_max);

    simulation.run(5, &crowd(100), 150).await;
    let after = simulation.run(5, &crowd(100), 150).await;

    assert_eq!(after.shed.len(), 0);
    assert!(after.p99_ms() <= 2 * IDLE_MS, "{}", after.p99_ms());
}
