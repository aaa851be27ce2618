//! The slots of a class: one for each request in flight, shared fairly between client addresses.
//! Taking one never waits.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use prometheus::{IntCounter, IntGauge};
use tokio::time::Instant;

use super::{Class, adaptive::Adaptive};
use crate::{client, metrics::Metrics};

/// Why there is no slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// As many requests are in flight as the limit allows.
    Limit,
    /// The address has as many slots as are free.
    Address,
}

impl Full {
    const ALL: [Self; 2] = [Self::Limit, Self::Address];

    /// The value of the metric's label.
    fn name(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::Address => "address",
        }
    }
}

/// The slots of a class.
pub(super) struct Slots {
    held: Mutex<Held>,
    in_flight: IntGauge,
    limit: IntGauge,
    /// Refused requests, in the order of [`Full::ALL`].
    shed: [IntCounter; 2],
}

struct Held {
    limit: Adaptive,
    in_flight: usize,
    /// Since when nothing is in flight.
    idle_since: Instant,
    /// How many slots each address has; addresses without one are left out.
    by_address: HashMap<String, usize>,
}

impl Slots {
    /// Slots of `class` up to `limit`.
    pub(super) fn new(class: Class, limit: Adaptive, metrics: &Metrics) -> Arc<Self> {
        let class = class.name();
        let gauge = metrics.class_limit.with_label_values(&[class]);
        gauge.set(limit.get() as i64);
        let by_address = HashMap::new();
        let idle_since = Instant::now();
        Arc::new(Self {
            held: Mutex::new(Held { limit, in_flight: 0, idle_since, by_address }),
            in_flight: metrics.class_in_flight.with_label_values(&[class]),
            limit: gauge,
            shed: Full::ALL.map(|full| metrics.shed.with_label_values(&[class, full.name()])),
        })
    }

    /// Takes a slot for a request of `client`.
    ///
    /// An address may have as many slots as are free: an address alone half of them, `n` busy ones
    /// each one of `n + 1` parts. So the first request of another address always finds a free one.
    /// (Dynamic thresholds: Choudhury and Hahne, IEEE/ACM Transactions on Networking 6(2), 1998.)
    ///
    /// # Errors
    /// Returns why there is no slot.
    pub(super) fn take(self: &Arc<Self>, client: IpAddr) -> Result<Slot, Full> {
        let address = client::bucket(client);
        let mut held = self.held();
        if held.in_flight == 0 {
            let idle = held.idle_since.elapsed();
            held.limit.rest(idle);
        }
        let free = held.limit.get().saturating_sub(held.in_flight);
        let own = held.by_address.get(&address).copied().unwrap_or(0);
        if own >= free {
            let full = if free == 0 { Full::Limit } else { Full::Address };
            self.shed[full as usize].inc();
            return Err(full);
        }
        held.in_flight += 1;
        *held.by_address.entry(address.clone()).or_default() += 1;
        let in_flight = held.in_flight;
        self.show(&held);
        drop(held);
        let times = Times { begun: Instant::now(), is_recorded: false, is_free: false };
        let slots = self.clone();
        Ok(Slot(Arc::new(Taken { slots, address, in_flight, times: Mutex::new(times) })))
    }

    fn record(&self, in_flight: usize, latency: Duration) {
        let mut held = self.held();
        let now_in_flight = held.in_flight;
        held.limit.record(Instant::now(), in_flight, now_in_flight, latency);
        self.show(&held);
    }

    fn free(&self, address: &str) {
        let mut held = self.held();
        held.in_flight -= 1;
        if let Some(own) = held.by_address.get_mut(address) {
            *own -= 1;
            if *own == 0 {
                held.by_address.remove(address);
            }
        }
        if held.in_flight == 0 {
            held.idle_since = Instant::now();
        }
        self.show(&held);
    }

    fn show(&self, held: &Held) {
        self.in_flight.set(held.in_flight as i64);
        self.limit.set(held.limit.get() as i64);
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A slot. Clones are the same slot; it is free when the last one is dropped.
#[derive(Clone)]
pub struct Slot(Arc<Taken>);

struct Taken {
    slots: Arc<Slots>,
    address: String,
    /// How many requests were in flight when this one was admitted, itself included.
    in_flight: usize,
    times: Mutex<Times>,
}

struct Times {
    begun: Instant,
    is_recorded: bool,
    is_free: bool,
}

impl Slot {
    /// Measures the request's latency from now on: the gateway has what it needs from the client.
    pub fn begin_work(&self) {
        self.0.times().begun = Instant::now();
    }

    /// Records the latency of the request until now. Further calls do nothing.
    pub fn record(&self) {
        let mut times = self.0.times();
        if !std::mem::replace(&mut times.is_recorded, true) && !times.is_free {
            self.0.slots.record(self.0.in_flight, times.begun.elapsed());
        }
    }

    /// Frees the slot before it is dropped.
    pub fn free(&self) {
        self.0.free();
    }
}

impl Taken {
    fn free(&self) {
        if !std::mem::replace(&mut self.times().is_free, true) {
            self.slots.free(&self.address);
        }
    }

    fn times(&self) -> MutexGuard<'_, Times> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.free();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(max: usize) -> Arc<Slots> {
        let metrics = Metrics::new(&prometheus::Registry::new()).expect("metrics");
        Slots::new(Class::Reads, Adaptive::new(Duration::from_secs(1), 1, max), &metrics)
    }

    fn client(host: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, host])
    }

    /// Takes slots for `host` until there are no more.
    fn all(slots: &Arc<Slots>, host: u8) -> (Vec<Slot>, Full) {
        let mut taken = Vec::new();
        loop {
            match slots.take(client(host)) {
                Ok(slot) => taken.push(slot),
                Err(full) => return (taken, full),
            }
        }
    }

    #[test]
    fn address_gets_as_many_slots_as_are_free_and_leaves_one_for_each_other() {
        let slots = slots(16);
        let (first, full) = all(&slots, 1);
        assert_eq!((first.len(), full), (8, Full::Address));
        let (second, full) = all(&slots, 2);
        assert_eq!((second.len(), full), (4, Full::Address));
        // Each further address still gets one, until the limit.
        let others: Vec<_> = (3..=6).map(|host| slots.take(client(host))).collect();
        assert!(others.iter().all(Result::is_ok));
        assert_eq!(slots.take(client(7)).err(), Some(Full::Limit));
        drop(first);
        assert!(slots.take(client(7)).is_ok());
        assert_eq!(slots.shed.each_ref().map(IntCounter::get), [1, 2]);
    }

    #[test]
    fn slot_is_freed_once_by_its_last_clone_or_explicitly() {
        let slots = slots(2);
        let slot = slots.take(client(1)).expect("a slot");
        let clone = slot.clone();
        drop(slot);
        assert_eq!(slots.in_flight.get(), 1);
        clone.free();
        assert_eq!(slots.in_flight.get(), 0);
        drop(clone);
        assert_eq!((slots.in_flight.get(), slots.held().by_address.len()), (0, 0));
    }
}
