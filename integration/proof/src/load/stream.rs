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
        self.stop.store(false, Ordering::Relaxed);
        while !self.stop.load(Ordering::Relaxed) {
            pace.tick().await;
            if self.paused.load(Ordering::Relaxed)
                || self.in_flight.load(Ordering::Relaxed) >= IN_FLIGHT_MAX
            {
                continue;
            }
            let Some(command) = self.next(&mut rng, &skus, &customers, &mut orders) else {
                continue;
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
        let made = match rng.random_range(0..100) {
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
            87..95 => {
                let user_id = Uuid::from_u128(rng.random());
                // Some users want the same address.
                let address = format!("{}-{}", skus.first()?, rng.random_range(0..500));
                let register = register(user_id, address);
                Command::new(codec, "user.commands", user_id.to_string(), &register)
            }
            // The same command again, because rskafka may write it twice, and a user may send it
            // twice.
            _ => {
                let history = self.history();
                let of_round = |command: &&Arc<Command>| {
                    orders.iter().any(|(id, _)| command.key == id.to_string())
                };
                return history
                    .sent
                    .values()
                    .find(of_round)
                    .or_else(|| history.sent.values().next())
                    .cloned();
            }
        };
        made.ok().map(Arc::new)
    }
}
