//! A stream of random commands at a steady rate.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use schemas::Codec;
use schemas::notification::MarkRead;
use schemas::order::{CancelOrder, Line, PlaceOrder};
use schemas::stock::ReceiveStock;
use uuid::Uuid;

use super::accounts::{Account, Accounts};
use super::history::{Command, History};
use super::notices::Notice;
use super::{Load, register};

/// The number of commands that may wait for their acknowledgement. Above it the stream skips
/// commands, because more would only slow each other down.
const IN_FLIGHT_MAX: usize = 300;

impl Load {
    /// Sends about `per_second` commands a second until [`Load::stop`], without waiting for one
    /// before the next, except for commands about the same account.
    pub async fn run(
        self: Arc<Self>,
        skus: Vec<String>,
        customers: Vec<Account>,
        per_second: u32,
        seed: u64,
    ) {
        let mut stream = Stream::new(skus, customers, seed);
        let mut pace = tokio::time::interval(Duration::from_secs(1) / per_second.max(1));
        self.stop.store(false, Ordering::Relaxed);
        let notices = tokio::spawn(self.clone().read_notices());
        while !self.stop.load(Ordering::Relaxed) {
            pace.tick().await;
            if self.paused.load(Ordering::Relaxed)
                || self.in_flight.load(Ordering::Relaxed) >= IN_FLIGHT_MAX
            {
                continue;
            }
            let next = stream.next(&self.codec, &self.history());
            let Some(command) = next else { continue };
            self.in_flight.fetch_add(1, Ordering::Relaxed);
            let load = self.clone();
            tokio::spawn(async move {
                load.send(command).await;
                load.in_flight.fetch_sub(1, Ordering::Relaxed);
            });
        }
        self.quiet().await;
        // It ends by itself, and has nothing to say.
        drop(notices.await);
    }
}

/// What the stream has sent, and what it knows from that.
pub(super) struct Stream {
    rng: StdRng,
    skus: Vec<String>,
    /// The users who order.
    customers: Vec<Uuid>,
    accounts: Accounts,
    /// Orders with their users.
    orders: Vec<(Uuid, Uuid)>,
    sent: Vec<Arc<Command>>,
}

impl Stream {
    pub(super) fn new(skus: Vec<String>, customers: Vec<Account>, seed: u64) -> Self {
        let prefix = skus.first().cloned().unwrap_or_default();
        Self {
            rng: StdRng::seed_from_u64(seed),
            skus,
            customers: customers.iter().map(|account| account.user_id).collect(),
            accounts: Accounts { prefix, all: customers },
            orders: Vec::new(),
            sent: Vec::new(),
        }
    }

    /// The next command, or an earlier one again. `None` if what was drawn needs something that the
    /// stream does not have yet.
    pub(super) fn next(&mut self, codec: &Codec, history: &History) -> Option<Arc<Command>> {
        if let Some(command) = repeated(&self.sent, &mut self.rng) {
            return Some(command);
        }
        let command = Arc::new(self.new_command(codec, history)?);
        self.sent.push(command.clone());
        Some(command)
    }

    fn new_command(&mut self, codec: &Codec, history: &History) -> Option<Command> {
        match self.rng.random_range(0..100) {
            0..66 => self.place_order(codec),
            66..75 => self.cancel_order(codec),
            75..82 => {
                let (sku, quantity) =
                    (self.skus.choose(&mut self.rng)?.clone(), self.rng.random_range(1..=5));
                let receive = ReceiveStock { sku: sku.clone(), quantity };
                Command::new(codec, "stock.commands", sku, &receive).ok()
            }
            82..88 => self.register(codec),
            88..97 => self.accounts.next(&mut self.rng, self.sent.len(), history, codec),
            _ => self.mark_read(codec, history),
        }
    }

    fn place_order(&mut self, codec: &Codec) -> Option<Command> {
        let rng = &mut self.rng;
        let order_id = Uuid::from_u128(rng.random());
        // A few orders are of users who never registered: their mails are retried and fail.
        let registered = rng.random_ratio(49, 50);
        let user_id =
            if registered { *self.customers.choose(rng)? } else { Uuid::from_u128(rng.random()) };
        self.orders.push((order_id, user_id));
        let mut lines = Vec::new();
        for _ in 0..rng.random_range(1..=3) {
            let sku = self.skus.choose(rng)?.clone();
            lines.push(Line { sku, quantity: rng.random_range(1..=3) });
        }
        let order = PlaceOrder { order_id, user_id, lines };
        Command::new(codec, "order.commands", order_id.to_string(), &order).ok()
    }

    fn cancel_order(&mut self, codec: &Codec) -> Option<Command> {
        let (order_id, user_id) = *self.orders.choose(&mut self.rng)?;
        let cancel = CancelOrder { order_id, user_id, expected_version: None };
        Command::new(codec, "order.commands", order_id.to_string(), &cancel).ok()
    }

    fn register(&mut self, codec: &Codec) -> Option<Command> {
        let user_id = Uuid::from_u128(self.rng.random());
        // Some users want the same address.
        let name = format!("{}-{}", self.skus.first()?, self.rng.random_range(0..500));
        let register = register(user_id, name.clone());
        let command = Command::new(codec, "user.commands", user_id.to_string(), &register).ok()?;
        let account = Account::new(user_id, name, command.id, self.sent.len(), false);
        self.accounts.all.push(account);
        Some(command)
    }

    /// Reads a notification, perhaps a second time.
    fn mark_read(&mut self, codec: &Codec, history: &History) -> Option<Command> {
        let newest = &history.notices.newest;
        let chosen = newest.get(self.rng.random_range(0..newest.len().max(1)));
        let Notice { notification_id, user_id } = *chosen?;
        let read = MarkRead { notification_id, user_id };
        let key = notification_id.to_string();
        Command::new(codec, "notification.commands", key, &read).ok()
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
