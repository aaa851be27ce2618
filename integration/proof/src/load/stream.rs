//! A stream of random commands at a steady rate.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use schemas::order::{CancelOrder, Line, PlaceOrder};
use schemas::stock::ReceiveStock;
use uuid::Uuid;

use super::history::Command;
use super::{Load, register};

/// The number of commands that may wait for their acknowledgement. Above it the stream skips
/// commands, because more would only slow each other down.
const IN_FLIGHT_MAX: usize = 300;

impl Load {
    /// Sends about `per_second` commands a second until [`Load::stop`], without waiting for one
    /// before the next.
    pub async fn run(
        self: Arc<Self>,
        skus: Vec<String>,
        customers: Vec<Uuid>,
        per_second: u32,
        seed: u64,
    ) {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut pace = tokio::time::interval(Duration::from_secs(1) / per_second.max(1));
        let mut orders: Vec<(Uuid, Uuid)> = Vec::new();
        let mut sent: Vec<Arc<Command>> = Vec::new();
        self.stop.store(false, Ordering::Relaxed);
        while !self.stop.load(Ordering::Relaxed) {
            pace.tick().await;
            if self.paused.load(Ordering::Relaxed)
                || self.in_flight.load(Ordering::Relaxed) >= IN_FLIGHT_MAX
            {
                continue;
            }
            let command = match repeated(&sent, &mut rng) {
                Some(command) => command,
                None => {
                    let next = self.next(&mut rng, &skus, &customers, &mut orders);
                    let Some(command) = next else { continue };
                    sent.push(command.clone());
                    command
                }
            };
            self.in_flight.fetch_add(1, Ordering::Relaxed);
            let load = self.clone();
            tokio::spawn(async move {
                load.send(command).await;
                load.in_flight.fetch_sub(1, Ordering::Relaxed);
            });
        }
        self.quiet().await;
    }

    fn next(
        &self,
        rng: &mut StdRng,
        skus: &[String],
        customers: &[Uuid],
        orders: &mut Vec<(Uuid, Uuid)>,
    ) -> Option<Arc<Command>> {
        let codec = &self.codec;
        let made = match rng.random_range(0..95) {
            0..70 => {
                let order_id = Uuid::from_u128(rng.random());
                // A few orders are of users who never registered: their mails are retried and fail.
                let registered = rng.random_ratio(49, 50);
                let user_id = if registered {
                    *customers.choose(rng)?
                } else {
                    Uuid::from_u128(rng.random())
                };
                orders.push((order_id, user_id));
                let mut lines = Vec::new();
                for _ in 0..rng.random_range(1..=3) {
                    let sku = skus.choose(rng)?.clone();
                    lines.push(Line { sku, quantity: rng.random_range(1..=3) });
                }
                let order = PlaceOrder { order_id, user_id, lines };
                Command::new(codec, "order.commands", order_id.to_string(), &order)
            }
            70..80 => {
                let (order_id, user_id) = *orders.choose(rng)?;
                let cancel = CancelOrder { order_id, user_id, expected_version: None };
                Command::new(codec, "order.commands", order_id.to_string(), &cancel)
            }
            80..87 => {
                let sku = skus.choose(rng)?.clone();
                let receive = ReceiveStock { sku: sku.clone(), quantity: rng.random_range(1..=5) };
                Command::new(codec, "stock.commands", sku, &receive)
            }
            _ => {
                let user_id = Uuid::from_u128(rng.random());
                // Some users want the same address.
                let address = format!("{}-{}", skus.first()?, rng.random_range(0..500));
                let register = register(user_id, address);
                Command::new(codec, "user.commands", user_id.to_string(), &register)
            }
        };
        made.ok().map(Arc::new)
    }
}

/// One time in twenty, one of the commands that were sent, of any kind: rskafka may write a command
/// twice, and a user may send it twice.
fn repeated(sent: &[Arc<Command>], rng: &mut StdRng) -> Option<Arc<Command>> {
    if rng.random_ratio(1, 20) { sent.choose(rng).cloned() } else { None }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use bytes::Bytes;

    use super::*;

    #[test]
    fn every_kind_of_command_is_repeated() {
        let mut rng = StdRng::seed_from_u64(7);
        let topics = ["order.commands", "stock.commands", "user.commands"];
        let sent: Vec<_> = topics
            .map(|topic| Arc::new(Command::raw(topic, "key".to_owned(), "", Bytes::new())))
            .into();
        let repeats: Vec<_> = (0..2000).filter_map(|_| repeated(&sent, &mut rng)).collect();
        let kinds: HashSet<_> = repeats.iter().map(|command| command.topic).collect();
        assert_eq!(kinds.len(), topics.len(), "{kinds:?}");
        assert!((50..200).contains(&repeats.len()), "{} of 2000", repeats.len());
        assert!(repeated(&[], &mut rng).is_none());
    }
}
