//! Random commands under random faults: workers are killed and transactions fail between any two
//! steps, and afterwards every sum is right.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use redpanda::memory::Fault;
use schemas::{
    Money, Outcome, Verdict, order, stock,
    stock::{AddProduct, ReceiveStock},
    user,
    user::{ChangeEmail, DeactivateUser},
};
use uuid::Uuid;

use crate::{
    commands::{cancel, place, register},
    millrace::{Millrace, WORKERS},
};

const SKUS: [&str; 4] = ["cup", "jug", "pot", "pan"];
const ADDRESSES: [&str; 4] = ["ann", "bob", "eve", "zoe"];

/// A random command.
fn random_command(random: &mut StdRng) -> Sent {
    let sku = *SKUS.choose(random).unwrap();
    let order = random.random_range(0..40);
    let user = random.random_range(0..12);
    let order_id = Uuid::from_u128(order).to_string();
    let user_id = Uuid::from_u128(user).to_string();
    match random.random_range(0..10) {
        0 => {
            let price = Money { amount_minor: 250, currency: "EUR".into() };
            let add = AddProduct { sku: sku.into(), name: sku.into(), price };
            Sent::new("stock.commands", sku.into(), Command::Stock(add.into()))
        }
        1..=2 => {
            let receive = ReceiveStock { sku: sku.into(), quantity: random.random_range(1..12) };
            Sent::new("stock.commands", sku.into(), Command::Stock(receive.into()))
        }
        3..=5 => {
            let lines: Vec<_> = SKUS.iter().map(|sku| (*sku, random.random_range(-4..4))).collect();
            let lines: Vec<_> = lines.into_iter().filter(|(_, quantity)| *quantity > 0).collect();
            Sent::new("order.commands", order_id, Command::Order(place(order, &lines).into()))
        }
        6 => Sent::new("order.commands", order_id, Command::Order(cancel(order).into())),
        7 => {
            let address = ADDRESSES.choose(random).unwrap();
            Sent::new("user.commands", user_id, Command::User(register(user, address).into()))
        }
        8 => {
            let address = *ADDRESSES.choose(random).unwrap();
            let change = ChangeEmail {
                user_id: Uuid::from_u128(user),
                email: format!("{address}@example.org"),
                email_fingerprint: address.into(),
                credential_version: 1,
                expected_version: None,
            };
            Sent::new("user.commands", user_id, Command::User(change.into()))
        }
        _ => {
            let leave = DeactivateUser { user_id: Uuid::from_u128(user), credential_version: 1 };
            Sent::new("user.commands", user_id, Command::User(leave.into()))
        }
    }
}

/// A command with its topic and key. The test keeps those that it has sent.
struct Sent {
    topic: &'static str,
    key: String,
    command: Command,
}

enum Command {
    User(user::Command),
    Order(order::Command),
    Stock(stock::Command),
}

impl Sent {
    fn new(topic: &'static str, key: String, command: Command) -> Self {
        Self { topic, key, command }
    }
}

impl Millrace {
    fn send_random(&self, id: Uuid, Sent { topic, key, command }: &Sent) {
        match command {
            Command::User(command) => self.send(topic, key, id, command),
            Command::Order(command) => self.send(topic, key, id, command),
            Command::Stock(command) => self.send(topic, key, id, command),
        };
    }

    /// A random fault, or time that passes.
    fn random_fault(&mut self, random: &mut StdRng) {
        let processors = self.processors.len();
        let processor = &mut self.processors[random.random_range(0..processors)];
        let worker = random.random_range(0..WORKERS);
        let name = processor.transactional_id(worker);
        let group = name.split('-').next().unwrap();
        match random.random_range(0..25) {
            0..=5 => {
                let fault = match random.random_range(0..6) {
                    0 => Fault::BeforeBegin,
                    1 => Fault::AfterSend(random.random_range(1..=8)),
                    2 => Fault::BeforeCommit,
                    3 => Fault::CommitUnseen,
                    4 => Fault::Abort,
                    _ => Fault::Fence,
                };
                self.log.fail_next(&name, fault);
            }
            6..=8 => processor.kill(worker),
            9..=15 => processor.start(worker),
            16 => self.log.expire_members(group),
            17 => self.log.expire_transactions(),
            18 => self.log.compact(&format!("{group}.state")),
            19..=21 => self.log.hold_commits(random.random()),
            _ => self.advance(Duration::from_secs(random.random_range(0..12))),
        }
    }
}

/// Sends random commands under random faults, then checks every sum.
fn run(seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut millrace = Millrace::new();
    let mut sent = HashMap::new();
    for _ in 0..500 {
        match random.random_range(0..100) {
            0..=14 => {
                let id = Uuid::from_u128(random.random());
                let command = random_command(&mut random);
                millrace.send_random(id, &command);
                sent.insert(id, command);
            }
            // The gateway's client may write a record twice.
            15..=17 => {
                let mut ids: Vec<_> = sent.keys().copied().collect();
                ids.sort();
                if let Some(id) = ids.choose(&mut random) {
                    millrace.send_random(*id, &sent[id]);
                }
            }
            18..=32 => millrace.random_fault(&mut random),
            _ => {
                let processor = random.random_range(0..millrace.processors.len());
                drop(millrace.processors[processor].step(random.random_range(0..WORKERS)));
            }
        }
    }
    millrace.log.hold_commits(false);
    millrace.log.expire_transactions();
    for processor in &mut millrace.processors {
        (0..WORKERS).for_each(|worker| processor.start(worker));
    }
    millrace.run_until_idle();

    assert_eq!(millrace.log.open_transactions(), 0, "a transaction is left open");
    let mut outcomes = HashMap::<Uuid, Outcome>::new();
    for outcome in millrace.outcomes() {
        assert!(sent.contains_key(&outcome.command_id), "an outcome without a command");
        let first = outcomes.entry(outcome.command_id).or_insert_with(|| outcome.clone());
        assert_eq!(*first, outcome, "two different outcomes of one command");
    }
    assert_eq!(outcomes.len(), sent.len(), "a command without an outcome");

    let mut received = BTreeMap::<&str, i64>::new();
    for (id, Sent { command, .. }) in &sent {
        if let (Command::Stock(stock::Command::ReceiveStock(receive)), Verdict::Accepted) =
            (command, outcomes[id].verdict)
        {
            *received.entry(&receive.sku).or_default() += i64::from(receive.quantity);
        }
    }
    for (sku, (all, _, held)) in millrace.figures() {
        assert_eq!(
            all,
            received.get(sku.as_str()).copied().unwrap_or(0),
            "{sku}: pieces were lost or invented"
        );
        let of_orders: i64 = millrace
            .wanted()
            .iter()
            .filter(|((_, of), _)| *of == sku)
            .map(|(_, quantity)| quantity)
            .sum();
        assert_eq!(held, of_orders, "{sku}: held for no order, or promised and not held");
    }
    assert_eq!(millrace.held(), millrace.wanted());
    assert!(millrace.stages().values().all(|stage| *stage != "placed"), "an order without an end");
    assert_eq!(millrace.owners(), millrace.addresses());
    millrace.notifications_match();
    millrace.versions_count();
    millrace.nothing_is_dead();
}

#[test]
fn every_sum_is_right_after_random_commands_under_random_faults() {
    for seed in 0..100 {
        let result = std::panic::catch_unwind(|| run(seed));
        assert!(result.is_ok(), "seed {seed}");
    }
}
