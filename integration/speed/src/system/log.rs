//! What the log says about orders: when each reached which hop, and how often it was confirmed. It
//! reads whole topics and joins no group.

use std::{collections::HashMap, ops::ControlFlow, time::Duration};

use anyhow::Context as _;
use hdrhistogram::Histogram;
use redpanda::{log::Record, registry::Registry, scan};
use schemas::{Codec, Message as _, notification, order, stock};

use super::shop::variable;

/// How long a topic may yield nothing while it is read.
const IDLE_MAX: Duration = Duration::from_secs(30);
/// A hop above this counts as this, in milliseconds.
const HOP_MS_MAX: u64 = 600_000;
/// The hops of an order after its command, each named by what it has done.
pub(super) const HOPS: [&str; 4] = ["placed", "reserved", "confirmed", "notified"];

/// An order in the log.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// When its command and its hops were appended, in milliseconds since the epoch. Of several
    /// lines the last one counts.
    at: [Option<i64>; HOPS.len() + 1],
    pub(super) confirmed: usize,
    /// SKUs and quantities.
    pub(super) lines: Vec<(String, i64)>,
}

/// All orders in the log, by id.
#[derive(Debug, Default)]
pub(super) struct Log {
    pub(super) orders: HashMap<String, Order>,
}

impl Log {
    /// Reads the log.
    ///
    /// # Errors
    /// If the log or the registry does not answer, or a record cannot be decoded.
    pub(super) async fn read() -> anyhow::Result<Self> {
        let codec =
            Registry::new(&variable("MILLRACE_REGISTRY_URL")?)?.codec(schemas::all()).await?;
        tokio::task::spawn_blocking(move || Self::read_with(&codec)).await?
    }

    fn read_with(codec: &Codec) -> anyhow::Result<Self> {
        let mut log = Self::default();
        each("order.commands", |record, _| {
            if let Some(id) = record.key.as_deref().and_then(|key| std::str::from_utf8(key).ok()) {
                log.note(id.to_owned(), 0, record.timestamp_ms);
            }
            Ok(())
        })?;
        each("order.events", |record, value| {
            match order::Event::decode(codec, value)? {
                order::Event::OrderPlaced(placed) => {
                    let order = log.note(placed.order_id.to_string(), 1, record.timestamp_ms);
                    let lines = placed.lines.into_iter();
                    order.lines = lines.map(|line| (line.sku, line.quantity.into())).collect();
                }
                order::Event::OrderConfirmed(event) => {
                    log.note(event.order_id.to_string(), 3, record.timestamp_ms).confirmed += 1;
                }
                _ => {}
            }
            Ok(())
        })?;
        each("stock.events", |record, value| {
            if let stock::Event::StockReserved(event) = stock::Event::decode(codec, value)? {
                log.note(event.order_id.to_string(), 2, record.timestamp_ms);
            }
            Ok(())
        })?;
        each("notification.events", |record, value| {
            if let notification::Event::NotificationRaised(event) =
                notification::Event::decode(codec, value)?
                && let Some(id) = event.order_id
            {
                log.note(id.to_string(), 4, record.timestamp_ms);
            }
            Ok(())
        })?;
        Ok(log)
    }

    fn note(&mut self, id: String, place: usize, at_ms: i64) -> &mut Order {
        let order = self.orders.entry(id).or_default();
        order.at[place] = order.at[place].max(Some(at_ms));
        order
    }

    /// Pieces in confirmed orders, by SKU.
    pub(super) fn sold(&self) -> HashMap<&str, i64> {
        let mut sold = HashMap::<&str, i64>::new();
        let confirmed = self.orders.values().filter(|order| order.confirmed > 0);
        for (sku, quantity) in confirmed.flat_map(|order| &order.lines) {
            *sold.entry(sku).or_default() += quantity;
        }
        sold
    }

    /// When orders were confirmed, in milliseconds since the epoch, the first one first.
    pub(super) fn confirmed_at(&self) -> Vec<i64> {
        let mut at: Vec<_> = self.orders.values().filter_map(|order| order.at[3]).collect();
        at.sort_unstable();
        at
    }

    /// How long each hop took after the one before it, for the orders whose commands were appended
    /// in the window: the median and the 99th percentile in milliseconds, by the broker's clock.
    ///
    /// # Errors
    /// When a histogram cannot be created.
    pub(super) fn hops_ms(&self, from_ms: i64, to_ms: i64) -> anyhow::Result<Vec<[u64; 2]>> {
        let within = |order: &&Order| order.at[0].is_some_and(|at| (from_ms..to_ms).contains(&at));
        let mut hops = Vec::new();
        for place in 1..=HOPS.len() {
            let mut histogram = Histogram::<u64>::new_with_bounds(1, HOP_MS_MAX, 3)?;
            for order in self.orders.values().filter(within) {
                if let (Some(before), Some(at)) = (order.at[place - 1], order.at[place]) {
                    histogram.saturating_record(u64::try_from(at - before).unwrap_or(0));
                }
            }
            hops.push([0.5, 0.99].map(|quantile| histogram.value_at_quantile(quantile)));
        }
        Ok(hops)
    }
}

/// Passes each record of a topic that has a value to `visit`, until one fails.
fn each(
    topic: &str,
    mut visit: impl FnMut(&Record, &[u8]) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let brokers = variable("MILLRACE_BROKERS")?;
    let spans = scan::spans(&*brokers, topic)?.with_context(|| format!("{topic} is missing"))?;
    let mut failed = Ok(());
    scan::each(&*brokers, topic, &spans, IDLE_MAX, |record| {
        let value = record.value.as_deref();
        match value.map_or(Ok(()), |value| visit(&record, value)) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failed = Err(error.context(format!("{topic}, offset {}", record.offset)));
                ControlFlow::Break(())
            }
        }
    })?;
    failed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_hop_counts_from_the_one_before() {
        let mut log = Log::default();
        for (place, at) in [(0, 100), (1, 105), (2, 110), (2, 130), (3, 131), (4, 231)] {
            log.note("a".to_owned(), place, at);
        }
        // Another step's.
        log.note("b".to_owned(), 0, 200);
        log.note("b".to_owned(), 1, 900);
        assert_eq!(vec![[5; 2], [25; 2], [1; 2], [100; 2]], log.hops_ms(100, 200).expect("hops"));
    }
}
