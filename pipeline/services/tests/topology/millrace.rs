//! The processors of all services on one in-memory log, and invariants over their events.
#![allow(missing_docs, unreachable_pub)]

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use engine::driver::Driver;
use redpanda::memory::MemoryLog;
use schemas::{
    Codec, Message, Money, Outcome, Verdict, email, headers, notification, order, stock,
    stock::{AddProduct, ReceiveStock},
    user,
};
use services::topology;
use uuid::Uuid;

pub const WORKERS: usize = 2;

/// The processors of all services on one log.
pub struct Millrace {
    pub log: MemoryLog,
    /// In the order of [`topology::ALL`].
    pub processors: Vec<Driver>,
}

impl Millrace {
    pub fn new() -> Self {
        let topics = redpanda::topics::all();
        let log =
            MemoryLog::new(topics.iter().map(|topic| (topic.name.as_str(), topic.partitions)));
        let processors = topology::ALL
            .iter()
            .map(|row| Driver::new(log.clone(), (row.topology)(), Codec::local(), WORKERS))
            .collect();
        Self { log, processors }
    }

    pub fn send(&self, topic: &str, key: impl ToString, id: Uuid, command: &impl Message) -> Uuid {
        self.processors[0].send(topic, &key.to_string(), id, "somebody", command);
        id
    }

    pub fn user(&self, id: u128, command: impl Into<user::Command>, user_id: Uuid) -> Uuid {
        self.send("user.commands", user_id, Uuid::from_u128(id), &command.into())
    }

    pub fn order(&self, id: u128, command: impl Into<order::Command>, order_id: Uuid) -> Uuid {
        self.send("order.commands", order_id, Uuid::from_u128(id), &command.into())
    }

    pub fn stock(&self, id: u128, command: impl Into<stock::Command>, sku: &str) -> Uuid {
        self.send("stock.commands", sku, Uuid::from_u128(id), &command.into())
    }

    /// Runs all processors until none has anything to do. Users and orders are independent of each
    /// other, and notifications follow both.
    pub fn run_until_idle(&mut self) {
        self.processors.iter_mut().for_each(Driver::settle);
    }

    pub fn advance(&mut self, by: Duration) {
        self.processors.iter_mut().for_each(|processor| processor.advance(by));
    }

    pub fn read<M: Message>(&self, topic: &str) -> Vec<M> {
        self.processors[0].read(topic).into_iter().map(|(_, message)| message).collect()
    }

    /// The outcomes of all commands.
    pub fn outcomes(&self) -> Vec<Outcome> {
        let topics = topology::ALL.iter().map(|row| format!("{}.outcomes", row.name));
        topics.flat_map(|topic| self.read(&topic)).collect()
    }

    /// The outcome of a command: `accepted`, or the code of its refusal.
    pub fn outcome_of(&self, command: Uuid) -> String {
        let outcomes: Vec<_> =
            self.processors.iter().flat_map(|processor| processor.outcomes(command)).collect();
        assert_eq!(outcomes.len(), 1, "one answer: {outcomes:?}");
        match outcomes[0].verdict {
            Verdict::Accepted => "accepted".to_owned(),
            _ => outcomes[0].code.clone().unwrap(),
        }
    }

    pub fn product(&self, id: u128, sku: &str, quantity: i32) {
        let price = Money { amount_minor: 250, currency: "EUR".into() };
        self.stock(id, AddProduct { sku: sku.into(), name: sku.into(), price }, sku);
        self.stock(id + 1, ReceiveStock { sku: sku.into(), quantity }, sku);
    }

    /// The figures of each product's last event that has any: received, free, held.
    pub fn figures(&self) -> BTreeMap<String, (i64, i64, i64)> {
        let mut figures = BTreeMap::new();
        for event in self.read::<stock::Event>("stock.events") {
            let fields = serde_json::to_value(&event).unwrap();
            let sku = fields["sku"].as_str().unwrap().to_owned();
            let figure = |name: &str| fields[name].as_i64();
            let after = match (figure("received"), figure("free"), figure("held")) {
                (Some(received), Some(free), Some(held)) => (received, free, held),
                _ => figures.get(&sku).copied().unwrap_or_default(),
            };
            assert!(
                after.1 >= 0 && after.2 >= 0 && after.0 == after.1 + after.2,
                "{sku}: {after:?}"
            );
            figures.insert(sku, after);
        }
        figures
    }

    /// The pieces of each product that each order holds by its own events.
    pub fn wanted(&self) -> BTreeMap<(Uuid, String), i64> {
        let mut wanted = BTreeMap::new();
        for event in self.read::<order::Event>("order.events") {
            match event {
                order::Event::OrderConfirmed(e) => wanted.extend(
                    e.lines.into_iter().map(|line| ((e.order_id, line.sku), line.quantity.into())),
                ),
                order::Event::OrderCancelled(e) => {
                    wanted.retain(|(order_id, _), _| *order_id != e.order_id)
                }
                _ => {}
            }
        }
        wanted
    }

    /// The pieces of each product that are held for each order by the stocks' events.
    pub fn held(&self) -> BTreeMap<(Uuid, String), i64> {
        let mut held = BTreeMap::new();
        for event in self.read::<stock::Event>("stock.events") {
            match event {
                stock::Event::StockReserved(e) => {
                    let before = held.insert((e.order_id, e.sku), i64::from(e.quantity));
                    assert_eq!(before, None, "held twice");
                }
                stock::Event::StockReleased(e) => {
                    let before = held.remove(&(e.order_id, e.sku));
                    assert_eq!(before, Some(i64::from(e.quantity)), "released what was not held");
                }
                _ => {}
            }
        }
        held
    }

    /// The stage of each order.
    pub fn stages(&self) -> BTreeMap<Uuid, &'static str> {
        let stage = |event: order::Event| match event {
            order::Event::OrderPlaced(e) => Some((e.order_id, "placed")),
            order::Event::OrderConfirmed(e) => Some((e.order_id, "confirmed")),
            order::Event::OrderRejected(e) => Some((e.order_id, "rejected")),
            order::Event::OrderCancelled(e) => Some((e.order_id, "cancelled")),
            // The other events change no stage.
            _ => None,
        };
        self.read::<order::Event>("order.events").into_iter().filter_map(stage).collect()
    }

    /// The owner of each address by the claims.
    pub fn owners(&self) -> BTreeMap<String, Uuid> {
        let mut owners = BTreeMap::new();
        for event in self.read::<email::Event>("email.events") {
            match event {
                email::Event::EmailClaimed(e) => {
                    // An owner may claim an address again.
                    let before = owners.insert(e.email_fingerprint, e.user_id);
                    assert!(before.is_none_or(|owner| owner == e.user_id), "claimed twice");
                }
                email::Event::EmailReleased(e) => {
                    assert_eq!(owners.remove(&e.email_fingerprint), Some(e.user_id));
                }
            }
        }
        owners
    }

    /// The owner of each address by the users.
    pub fn addresses(&self) -> BTreeMap<String, Uuid> {
        let mut users = BTreeMap::new();
        for event in self.read::<user::Event>("user.events") {
            match event {
                user::Event::UserRegistered(e) => {
                    drop(users.insert(e.user_id, e.email_fingerprint))
                }
                user::Event::EmailChanged(e) => drop(users.insert(e.user_id, e.email_fingerprint)),
                user::Event::UserDeactivated(e) => drop(users.remove(&e.user_id)),
                _ => {}
            }
        }
        let count = users.len();
        let addresses: BTreeMap<_, _> =
            users.into_iter().map(|(id, address)| (address, id)).collect();
        assert_eq!(addresses.len(), count, "an address is one user's");
        addresses
    }

    /// Asserts that each event that notifies a user has one notification, and that there are no
    /// others.
    pub fn notifications_match(&self) {
        use order::Event::{OrderCancelled, OrderConfirmed, OrderRejected};
        let mut expected = BTreeSet::new();
        let id = |record: &redpanda::log::Record, at_ms: i64| {
            let id: Uuid = record.headers.text(headers::ID).unwrap().parse().unwrap();
            Uuid::new_v5(&id, format!("notification {at_ms}").as_bytes())
        };
        for (record, event) in self.processors[0].read::<order::Event>("order.events") {
            let at_ms = match event {
                OrderConfirmed(event) => event.confirmed_at,
                OrderRejected(event) => event.rejected_at,
                OrderCancelled(event) => event.cancelled_at,
                _ => continue,
            };
            assert!(expected.insert(id(&record, at_ms)));
        }
        for (record, event) in self.processors[0].read::<user::Event>("user.events") {
            if let user::Event::UserRegistered(event) = event {
                assert!(expected.insert(id(&record, event.registered_at)));
            }
        }
        let mut raised = BTreeSet::new();
        for event in self.read::<notification::Event>("notification.events") {
            if let notification::Event::NotificationRaised(event) = event {
                assert!(raised.insert(event.notification_id), "raised twice");
            }
        }
        assert_eq!(raised, expected);
    }

    /// Asserts that the versions of each aggregate's events count from 1 without a gap.
    pub fn versions_count(&self) {
        for topic in redpanda::topics::all().of_kind("events") {
            let mut versions = HashMap::<_, u64>::new();
            for record in self.log.read_committed(&topic.name) {
                let version = versions.entry(record.key.clone()).or_default();
                *version += 1;
                let written = record.headers.text(headers::VERSION);
                assert_eq!(written, Some(version.to_string().as_str()), "{}", topic.name);
            }
        }
    }

    /// Asserts that there is no dead letter.
    pub fn nothing_is_dead(&self) {
        for topic in redpanda::topics::all().iter().filter(|topic| topic.is_dead()) {
            assert!(self.log.read_committed(&topic.name).is_empty(), "{}", topic.name);
        }
    }
}
