//! People who order: a steady stream of commands, written to the topics as the gateway writes them,
//! and a history of what was sent and acknowledged. A command whose acknowledgement was not seen is
//! sent again under the same id, as a client with an idempotency key does.

use std::{
    collections::{HashMap, HashSet},
    ffi::OsString,
    io::Write,
    os::unix::ffi::OsStringExt as _,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::Context as _;
use bytes::Bytes;
use integration::cluster::{Cluster, Given};
use rand::{Rng, RngCore, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use redpanda::{
    aborted::Aborted,
    log::{Headers, TopicPartition},
    writer::CommandWriter,
};
use schemas::{
    Codec, Message, Money, headers,
    order::{CancelOrder, Line, PlaceOrder},
    stock::{AddProduct, ReceiveStock},
    user::{RegisterUser, Role},
};
use uuid::Uuid;

/// How long one write may take before it is tried again.
const WRITE_MAX: Duration = Duration::from_secs(5);
/// How long a command is tried before it counts as not acknowledged.
const TRY_MAX: Duration = Duration::from_secs(90);
/// Commands that wait for their acknowledgement at once; whoever comes then leaves again, as more
/// would only be in each other's way.
const IN_FLIGHT_MAX: usize = 300;
/// Products of one round; the last has few pieces, so that orders are rejected too.
const PRODUCTS: usize = 6;
/// Registered users of one round.
const CUSTOMERS: usize = 20;

/// What was sent, and what of it was acknowledged.
#[derive(Default)]
pub struct History {
    acknowledged: HashSet<Uuid>,
    sent: HashMap<Uuid, Arc<Command>>,
    /// What nobody can work on: it must fail.
    doomed: HashSet<Uuid>,
}

impl History {
    /// The ids of the commands that are in the log for sure.
    pub fn acknowledged(&self) -> impl Iterator<Item = &Uuid> {
        self.acknowledged.iter()
    }

    /// Whether a command must fail.
    pub fn is_doomed(&self, id: &Uuid) -> bool {
        self.doomed.contains(id)
    }

    /// How many those are.
    pub fn count(&self) -> usize {
        self.acknowledged.len()
    }
}

/// One command, ready to be written as often as need be.
pub struct Command {
    id: Uuid,
    topic: &'static str,
    key: String,
    value: Bytes,
    headers: Headers,
}

impl Command {
    fn new(
        codec: &Codec,
        topic: &'static str,
        key: String,
        message: &impl Message,
    ) -> anyhow::Result<Self> {
        let mut value = Vec::new();
        message.encode(codec, &mut value)?;
        Ok(Self::raw(topic, key, message.name(), value.into()))
    }

    /// A command that says of itself that it is a `name`.
    fn raw(topic: &'static str, key: String, name: &str, value: Bytes) -> Self {
        Self::of("faults", topic, key, name, value)
    }

    /// The same from somebody else.
    fn of(principal: &str, topic: &'static str, key: String, name: &str, value: Bytes) -> Self {
        let id = Uuid::new_v4();
        let mut headers = Headers::default();
        headers.push(headers::SPEC_VERSION, &b"1.0"[..]);
        headers.push(headers::ID, id.to_string());
        headers.push(headers::TYPE, name);
        headers.push(headers::SOURCE, &b"/millrace/faults"[..]);
        headers.push(headers::PRINCIPAL, principal);
        headers.push(headers::FINGERPRINT, id.simple().to_string());
        Self { id, topic, key, value, headers }
    }
}

/// Sends commands until it is told to stop.
pub struct Load {
    writer: CommandWriter,
    codec: Arc<Codec>,
    history: Arc<Mutex<History>>,
    log: Mutex<std::fs::File>,
    stop: AtomicBool,
    paused: AtomicBool,
    in_flight: AtomicUsize,
}

impl Load {
    /// A load on the cluster behind `brokers`, its history written to `file` as it goes, a JSON
    /// line a try.
    pub fn new(brokers: &str, codec: Arc<Codec>, file: &Path) -> anyhow::Result<Arc<Self>> {
        Ok(Arc::new(Self {
            writer: CommandWriter::new(brokers),
            codec,
            history: Arc::default(),
            log: Mutex::new(std::fs::File::create(file)?),
            stop: AtomicBool::new(false),
            paused: AtomicBool::new(false),
            in_flight: AtomicUsize::new(0),
        }))
    }

    /// What was sent so far.
    pub fn history(&self) -> std::sync::MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many commands are acknowledged so far.
    pub fn acknowledged(&self) -> usize {
        self.history().count()
    }

    /// Sends a command until it is acknowledged, or has been tried for too long.
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
        let (place, error) = match written {
            Ok(place) => (Some(place), None),
            Err(error) => (None, Some(error.to_string())),
        };
        let line = serde_json::json!({
            "at_ms": u64::try_from(now).unwrap_or(u64::MAX), "command": command.id, "topic": command.topic,
            "key": command.key, "partition_and_offset": place, "error": error,
        });
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        // A history that can't be written is missed by who reads it; the proof goes on.
        drop(writeln!(log, "{line}"));
    }

    /// Products of a round, with their stock; their SKUs, the scarce one last.
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

    /// Registers the users who order in a round, and returns their ids.
    ///
    /// # Errors
    /// When the codec does not know the schema.
    pub async fn customers(self: &Arc<Self>, round: &str) -> anyhow::Result<Vec<Uuid>> {
        let mut customers = Vec::new();
        for number in 0..CUSTOMERS {
            let user_id = Uuid::new_v4();
            let register = register(user_id, format!("{round}-customer-{number}"));
            let key = user_id.to_string();
            self.send(Arc::new(Command::new(&self.codec, "user.commands", key, &register)?)).await;
            customers.push(user_id);
        }
        Ok(customers)
    }

    /// Sends about `per_second` commands a second until [`Load::stop`], never waiting for one
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

    /// Ends [`Load::run`], once what is under way is acknowledged.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Lets [`Load::run`] send nothing while `paused`.
    pub fn pause(&self, paused: bool) {
        self.paused.store(paused, Ordering::Relaxed);
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
                // A few orders come from users who never registered: their mails are retried and
                // fail.
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
                let place = PlaceOrder { order_id, user_id, lines };
                Command::new(codec, "order.commands", order_id.to_string(), &place)
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
                // Some want an address that others want too.
                let address = format!("{}-{}", skus.first()?, rng.random_range(0..500));
                let register = register(user_id, address);
                Command::new(codec, "user.commands", user_id.to_string(), &register)
            }
            // The same command again, as rskafka may write it twice and people press twice.
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

    /// Sends what nobody can work on, as an acknowledged command that must fail.
    pub async fn doom(&self, topic: &'static str, key: String, value: Bytes) {
        let command = Command::raw(topic, key, "millrace.Poison", value);
        self.history().doomed.insert(command.id);
        self.send(Arc::new(command)).await;
    }

    /// Sends an order whose sender has so long a name that an output that repeats it twice is too
    /// large for its topic.
    ///
    /// # Errors
    /// When the codec does not know the schema.
    pub async fn oversize(&self, sku: &str, principal_bytes: usize) -> anyhow::Result<()> {
        let (key, order) = self.order(sku)?;
        let name = <PlaceOrder as schemas::Record>::SCHEMA.name;
        let principal = "p".repeat(principal_bytes);
        let command = Command::of(&principal, "order.commands", key, name, order.into());
        self.history().doomed.insert(command.id);
        self.send(Arc::new(command)).await;
        Ok(())
    }

    /// Waits until nothing is under way. Nothing new is sent while it is paused.
    pub async fn quiet(&self) {
        while self.in_flight.load(Ordering::Relaxed) > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Places an order in a record that claims to be of another time than now: the topic takes the
    /// writer's word for it meanwhile. Nothing else may be written to it then.
    ///
    /// # Errors
    /// When the cluster refuses it, or the topic's settings have no effect.
    pub async fn place_at(
        &self,
        cluster: &Cluster,
        sku: &str,
        ahead: Duration,
    ) -> anyhow::Result<()> {
        const TOPIC: &str = "order.commands";
        const SETTINGS: [&str; 2] = ["message.timestamp.type", "message.timestamp.after.max.ms"];
        let (key, order) = self.order(sku)?;
        let name = <PlaceOrder as schemas::Record>::SCHEMA.name;
        let command = Command::raw(TOPIC, key, name, order.into());
        let headers = command.headers.iter();
        let headers: Vec<_> = headers
            .map(|(name, value)| (String::from_utf8_lossy(name).into_owned(), value.to_vec()))
            .collect();
        let given = Given { key: &command.key, value: &command.value, headers: &headers };
        let partitions = redpanda::topics::all().get(TOPIC).map_or(1, |topic| topic.partitions);
        let partition = redpanda::partition_of(command.key.as_bytes(), partitions);
        // A setting works a moment after it is made, so the record is written until it is stamped
        // as wanted. It is one command all the same, by its id.
        let write_until = async |writers_word: bool, ahead: Duration| {
            let begun = tokio::time::Instant::now();
            loop {
                let at = SystemTime::now().duration_since(UNIX_EPOCH)? + ahead;
                let at_ms = i64::try_from(at.as_millis())?;
                if cluster.write(TOPIC, partition, &given, at_ms).await? == writers_word {
                    return anyhow::Ok(());
                }
                anyhow::ensure!(
                    begun.elapsed() < TRY_MAX,
                    "{TOPIC} does not stamp records as it was told to"
                );
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let any_ms = i64::MAX.to_string();
        cluster
            .configure(TOPIC, &[(SETTINGS[0], Some("CreateTime")), (SETTINGS[1], Some(&any_ms))])
            .await?;
        let written = write_until(true, ahead).await;
        cluster
            .configure(TOPIC, &[(SETTINGS[0], Some("LogAppendTime")), (SETTINGS[1], None)])
            .await?;
        written?;
        write_until(false, Duration::ZERO).await?;
        let mut history = self.history();
        history.acknowledged.insert(command.id);
        history.sent.insert(command.id, Arc::new(command));
        Ok(())
    }

    /// Writes a command with kcat under one more header, whose name is not UTF-8. No other client
    /// here can.
    ///
    /// # Errors
    /// When kcat can't be run, or the record was not acknowledged.
    pub async fn with_odd_header(
        &self,
        brokers: &str,
        topic: &'static str,
        key: String,
        name: &str,
        value: Bytes,
        doomed: bool,
    ) -> anyhow::Result<()> {
        let command = Command::raw(topic, key, name, value);
        let file = tempfile::NamedTempFile::new()?;
        std::fs::write(file.path(), &command.value)?;
        let partitions = redpanda::topics::all().get(topic).map_or(1, |topic| topic.partitions);
        let partition = redpanda::partition_of(command.key.as_bytes(), partitions).to_string();
        let mut kcat = tokio::process::Command::new("kcat");
        kcat.args(["-P", "-b", brokers, "-t", topic, "-p", &partition, "-k", &command.key]);
        for (name, value) in command.headers.iter() {
            kcat.arg("-H").arg(OsString::from_vec([name, b"=", value].concat()));
        }
        kcat.arg("-H").arg(OsString::from_vec(b"\xff\xfe=1".to_vec())).arg(file.path());
        let written = kcat.output().await.context("running kcat")?;
        anyhow::ensure!(
            written.status.success(),
            "kcat: {}",
            String::from_utf8_lossy(&written.stderr)
        );
        let mut history = self.history();
        if doomed {
            history.doomed.insert(command.id);
        }
        history.acknowledged.insert(command.id);
        history.sent.insert(command.id, Arc::new(command));
        Ok(())
    }

    /// An order that can be placed: its key and its value.
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

    /// Writes `count` orders of unknown users in one transaction and aborts it. None of them is a
    /// command, so none may have an outcome. Blocks.
    ///
    /// # Errors
    /// When the codec does not know their schema, or the broker refuses a step.
    pub fn aborted_orders(&self, brokers: &str, sku: &str, count: usize) -> anyhow::Result<()> {
        let topic = "order.commands";
        let partitions = redpanda::topics::all().get(topic).map_or(1, |topic| topic.partitions);
        let name = <PlaceOrder as schemas::Record>::SCHEMA.name;
        let order = |_| {
            let (key, value) = self.order(sku)?;
            let Command { key, value, headers, .. } = Command::raw(topic, key, name, value.into());
            let partition = redpanda::partition_of(key.as_bytes(), partitions);
            let partition = TopicPartition::new(topic, partition);
            Ok(Aborted { partition, key, value, headers })
        };
        let orders = (0..count).map(order).collect::<anyhow::Result<Vec<_>>>()?;
        Ok(redpanda::aborted::write_and_abort(brokers, "faults-aborted", &orders)?)
    }

    /// Places an order as a newer program does, whose schema `id` has one more field at its end,
    /// null here.
    ///
    /// # Errors
    /// When the codec does not know the schema of today.
    pub async fn place_as(&self, id: u32, sku: &str) -> anyhow::Result<()> {
        let (key, mut value) = self.order(sku)?;
        value[1..5].copy_from_slice(&id.to_be_bytes());
        // The first branch of a union.
        value.push(0);
        let name = <PlaceOrder as schemas::Record>::SCHEMA.name;
        self.send(Arc::new(Command::raw("order.commands", key, name, value.into()))).await;
        Ok(())
    }

    /// Sends one command that receives stock a hundred times, as a client that never sees an answer
    /// would.
    pub async fn a_hundred_times(&self, sku: &str) -> anyhow::Result<()> {
        let receive = ReceiveStock { sku: sku.to_owned(), quantity: 1 };
        let command =
            Arc::new(Command::new(&self.codec, "stock.commands", sku.to_owned(), &receive)?);
        for _ in 0..100 {
            self.send(command.clone()).await;
        }
        Ok(())
    }
}

/// The registration of one user, whose address is `name` at a domain of ours.
fn register(user_id: Uuid, name: String) -> RegisterUser {
    RegisterUser {
        user_id,
        email: format!("{name}@millrace.example"),
        email_fingerprint: name,
        name: "Ada".to_owned(),
        password_hash: "none".to_owned(),
        role: Role::User,
    }
}

/// A seed that nobody chose.
pub fn any_seed() -> u64 {
    rand::rng().next_u64()
}
