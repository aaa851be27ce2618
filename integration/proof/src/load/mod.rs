//! The load: a steady stream of commands, written to the topics as the gateway writes them, with a
//! history of what was sent and acknowledged. A command whose acknowledgement was not seen is sent
//! again under the same id, as a client with an idempotency key does.

mod accounts;
mod history;
mod kind;
mod notices;
mod special;
mod stream;
#[cfg(test)]
mod tests;

use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rand::RngCore;
use redpanda::writer::CommandWriter;
use schemas::order::{Line, PlaceOrder};
use schemas::stock::{AddProduct, ReceiveStock};
use schemas::user::{RegisterUser, Role};
use schemas::{Codec, Message, Money};
use uuid::Uuid;

pub use accounts::Account;
pub use history::{Command, History};

/// How long one write may take before it is repeated.
const WRITE_MAX: Duration = Duration::from_secs(5);

/// How long a command is repeated before it counts as not acknowledged.
const TRY_MAX: Duration = Duration::from_secs(90);

/// The number of products of one round. The last has few pieces, so that some orders are rejected.
const PRODUCTS: usize = 6;

/// The number of users who order in one round. Others register in the stream.
const CUSTOMERS: usize = 20;

/// How many commands the stream sends after one before it sends another about what that one leads
/// to: a user who is registered. It takes about a second.
const SETTLED: usize = 50;

/// Sends commands until it is stopped.
pub struct Load {
    brokers: String,
    writer: CommandWriter,
    codec: Arc<Codec>,
    history: Arc<Mutex<History>>,
    log: Mutex<std::fs::File>,
    stop: AtomicBool,
    paused: AtomicBool,
    in_flight: AtomicUsize,
}

impl Load {
    /// Creates a load on the cluster behind `brokers`. Each attempt to send a command is one JSON
    /// line of `file`.
    pub fn new(brokers: &str, codec: Arc<Codec>, file: &Path) -> anyhow::Result<Arc<Self>> {
        Ok(Arc::new(Self {
            brokers: brokers.to_owned(),
            writer: CommandWriter::new(brokers),
            codec,
            history: Arc::default(),
            log: Mutex::new(std::fs::File::create(file)?),
            stop: AtomicBool::new(false),
            paused: AtomicBool::new(false),
            in_flight: AtomicUsize::new(0),
        }))
    }

    /// The commands so far.
    pub fn history(&self) -> std::sync::MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of commands that are acknowledged so far.
    pub fn acknowledged(&self) -> usize {
        self.history().count()
    }

    /// Sends a command until it is acknowledged, or for as long as it may take.
    pub async fn send(&self, command: Arc<Command>) {
        let begun = tokio::time::Instant::now();
        self.history().sent.insert(command.id, command.clone());
        while begun.elapsed() < TRY_MAX {
            let Command { topic, key, value, headers, .. } = &*command;
            let written = self.writer.write(topic, key, value.clone(), headers, WRITE_MAX).await;
            self.note(&command, &written);
            match written {
                Ok(_) => {
                    self.history().acknowledged.insert(command.id);
                    return;
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
            }
        }
    }

    fn note(&self, command: &Command, written: &Result<(i32, i64), redpanda::writer::WriteError>) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let (written_at, error) = match written {
            Ok(at) => (Some(at), None),
            Err(error) => (None, Some(schemas::chain(error))),
        };
        let line = serde_json::json!({
            "at_ms": u64::try_from(now).unwrap_or(u64::MAX), "command": command.id, "topic": command.topic,
            "key": command.key, "partition_and_offset": written_at, "error": error,
        });
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        // Without this line the history is incomplete, but the judge does not depend on it.
        drop(writeln!(log, "{line}"));
    }

    /// Adds the products of a round with their stock. Returns their SKUs, the scarce one last.
    pub async fn products(self: &Arc<Self>, round: &str) -> anyhow::Result<Vec<String>> {
        let mut skus = Vec::new();
        for number in 0..PRODUCTS {
            let sku = format!("{round}-{number}");
            let price = Money { amount_minor: 100, currency: "EUR".to_owned() };
            let add = AddProduct { sku: sku.clone(), name: "Something".to_owned(), price };
            self.send(Arc::new(Command::new(&self.codec, "stock.commands", sku.clone(), &add)?))
                .await;
            let quantity = if number + 1 == PRODUCTS { 10 } else { 100_000 };
            let receive = ReceiveStock { sku: sku.clone(), quantity };
            self.send(Arc::new(Command::new(
                &self.codec,
                "stock.commands",
                sku.clone(),
                &receive,
            )?))
            .await;
            skus.push(sku);
        }
        Ok(skus)
    }

    /// Registers the users who order in a round, and returns their accounts.
    ///
    /// # Errors
    /// When the codec does not know the schema.
    pub async fn customers(self: &Arc<Self>, round: &str) -> anyhow::Result<Vec<Account>> {
        let mut customers = Vec::new();
        for number in 0..CUSTOMERS {
            let (user_id, name) = (Uuid::new_v4(), format!("{round}-customer-{number}"));
            let register = register(user_id, name.clone());
            let key = user_id.to_string();
            let command = Arc::new(Command::new(&self.codec, "user.commands", key, &register)?);
            customers.push(Account::new(user_id, name, command.id, 0, true));
            self.send(command).await;
        }
        Ok(customers)
    }

    /// Ends [`Load::run`] once the commands in flight are acknowledged.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Pauses or continues [`Load::run`].
    pub fn pause(&self, paused: bool) {
        self.paused.store(paused, Ordering::Relaxed);
    }

    /// Waits until no command is in flight. While the load is paused, none follows.
    pub async fn quiet(&self) {
        while self.in_flight.load(Ordering::Relaxed) > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Makes an order that can be placed: its key and its value.
    ///
    /// # Errors
    /// When the codec does not know its schema.
    pub fn order(&self, sku: &str) -> anyhow::Result<(String, Vec<u8>)> {
        let order_id = Uuid::new_v4();
        let lines = vec![Line { sku: sku.to_owned(), quantity: 1 }];
        let mut value = Vec::new();
        PlaceOrder { order_id, user_id: Uuid::new_v4(), lines }.encode(&self.codec, &mut value)?;
        Ok((order_id.to_string(), value))
    }
}

/// The e-mail address with this local part.
fn address(name: &str) -> String {
    format!("{name}@millrace.example")
}

/// Makes the registration of one user with the address `name@millrace.example`.
fn register(user_id: Uuid, name: String) -> RegisterUser {
    RegisterUser {
        user_id,
        email: address(&name),
        email_fingerprint: name,
        name: "Ada".to_owned(),
        password_hash: "none".to_owned(),
        role: Role::User,
    }
}

/// A random seed.
pub fn any_seed() -> u64 {
    rand::rng().next_u64()
}
