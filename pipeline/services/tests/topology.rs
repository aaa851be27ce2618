//! The three processors as they run in production, on the in-memory log: what their sagas promise,
//! also where workers are killed and transactions fail between any two steps. No broker and no
//! store takes part.
#![allow(clippy::unwrap_used)]

mod millrace;

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use millrace::{Millrace, WORKERS};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use redpanda::memory::Fault;
use schemas::{
    Money, Outcome, Verdict, notification,
    notification::MarkRead,
    order,
    order::{CancelOrder, Line, PlaceOrder},
    stock,
    stock::{AddProduct, ReceiveStock},
    user,
    user::{ChangeEmail, DeactivateUser, RegisterUser, Role},
};
use uuid::Uuid;

const ANN: Uuid = Uuid::from_u128(1);

fn register(number: u128, address: &str) -> RegisterUser {
    RegisterUser {
        user_id: Uuid::from_u128(number),
        email: format!("{address}@example.org"),
        email_fingerprint: address.into(),
        name: format!("User {number}"),
        password_hash: format!("hash of {number}"),
        role: Role::User,
    }
}

fn place(number: u128, lines: &[(&str, i32)]) -> PlaceOrder {
    let line = |(sku, quantity): &(&str, i32)| Line { sku: (*sku).into(), quantity: *quantity };
    let (order_id, lines) = (Uuid::from_u128(number), lines.iter().map(line).collect());
    PlaceOrder { order_id, user_id: ANN, lines }
}

fn cancel(number: u128) -> CancelOrder {
    CancelOrder { order_id: Uuid::from_u128(number), user_id: ANN, expected_version: None }
}

#[test]
fn of_ten_who_want_one_address_one_gets_it() {
    let mut millrace = Millrace::new();
    let commands: Vec<_> = (1..=10)
        .map(|number| millrace.user(100 + number, register(number, "ann"), Uuid::from_u128(number)))
        .collect();
    millrace.settle();

    let ends: Vec<_> = commands.iter().map(|command| millrace.end(*command)).collect();
    assert_eq!(ends.iter().filter(|end| *end == "accepted").count(), 1, "{ends:?}");
    assert_eq!(ends.iter().filter(|end| *end == "address_taken").count(), 9, "{ends:?}");
    assert_eq!(millrace.owners(), millrace.addresses());

    // The others' credentials are taken back.
    let winner = millrace.addresses()["ann"].to_string();
    let mut credentials = BTreeMap::new();
    for record in millrace.log.read_committed("user.credentials") {
        credentials.insert(record.key.unwrap(), record.value);
    }
    for (key, value) in credentials {
        assert_eq!(value.is_some(), key == winner.as_bytes());
    }
    millrace.notifications_match();
    millrace.nothing_is_dead();
}

#[test]
fn who_changes_or_leaves_frees_the_address_for_another() {
    let mut millrace = Millrace::new();
    let bob = Uuid::from_u128(2);
    millrace.user(1, register(1, "ann"), ANN);
    millrace.settle();
    let change = ChangeEmail {
        user_id: ANN,
        email: "new@example.org".into(),
        email_fingerprint: "new".into(),
        credential_version: 1,
        expected_version: None,
    };
    let changed = millrace.user(2, change, ANN);
    millrace.settle();
    let second = millrace.user(3, register(2, "ann"), bob);
    millrace.user(4, DeactivateUser { user_id: ANN, credential_version: 1 }, ANN);
    millrace.settle();
    let third = millrace.user(5, register(3, "new"), Uuid::from_u128(3));
    millrace.settle();

    for command in [changed, second, third] {
        assert_eq!(millrace.end(command), "accepted");
    }
    let expected = BTreeMap::from([("ann".into(), bob), ("new".into(), Uuid::from_u128(3))]);
    assert_eq!((millrace.addresses(), millrace.owners()), (expected.clone(), expected));
}

#[test]
fn an_order_is_confirmed_and_cancelled_over_both_aggregates() {
    let mut millrace = Millrace::new();
    millrace.product(1, "cup", 5);
    millrace.product(3, "pot", 1);
    let placed = millrace.order(10, place(7, &[("cup", 2), ("pot", 1)]), Uuid::from_u128(7));
    let short = millrace.order(11, place(8, &[("cup", 1), ("pot", 2)]), Uuid::from_u128(8));
    let unknown = millrace.order(12, place(9, &[("cup", 1), ("jug", 1)]), Uuid::from_u128(9));
    millrace.settle();

    let ends = [placed, short, unknown].map(|command| millrace.end(command));
    assert_eq!(ends, ["accepted", "out_of_stock", "unknown_product"]);
    assert_eq!(
        millrace.figures(),
        BTreeMap::from([("cup".into(), (5, 3, 2)), ("pot".into(), (1, 0, 1))])
    );
    assert_eq!(millrace.held(), millrace.wanted());

    let cancelled = millrace.order(13, cancel(7), Uuid::from_u128(7));
    millrace.settle();
    assert_eq!(millrace.end(cancelled), "accepted");
    assert_eq!(
        millrace.figures(),
        BTreeMap::from([("cup".into(), (5, 5, 0)), ("pot".into(), (1, 1, 0))])
    );
    millrace.notifications_match();
    millrace.versions_count();
    millrace.nothing_is_dead();
}

#[test]
fn of_fifty_orders_for_ten_pieces_ten_are_confirmed() {
    let mut millrace = Millrace::new();
    millrace.product(1, "cup", 10);
    millrace.settle();
    let commands: Vec<_> = (100..150)
        .map(|number| millrace.order(number, place(number, &[("cup", 1)]), Uuid::from_u128(number)))
        .collect();
    // Half way through, everybody is killed and comes back.
    for _ in 0..40 {
        for worker in 0..WORKERS {
            let _ = millrace.processors[1].step(worker);
        }
    }
    for worker in 0..WORKERS {
        millrace.processors[1].kill(worker);
        millrace.processors[1].start(worker);
    }
    millrace.settle();

    let ends: Vec<_> = commands.iter().map(|command| millrace.end(*command)).collect();
    assert_eq!(ends.iter().filter(|end| *end == "accepted").count(), 10);
    assert_eq!(ends.iter().filter(|end| *end == "out_of_stock").count(), 40);
    assert_eq!(millrace.figures()["cup"], (10, 0, 10));
    assert_eq!(millrace.held(), millrace.wanted());
    millrace.notifications_match();
}

/// Lets `days` pass, and then some commands come to every task, which change nothing.
fn pass(millrace: &mut Millrace, days: u64) {
    millrace.advance(Duration::from_secs(days * 24 * 3600));
    millrace.settle();
    for _ in 0..3 {
        for number in 1_000..1_032 {
            let (nobody, id) = (Uuid::from_u128(number), Uuid::new_v4());
            let leave = DeactivateUser { user_id: nobody, credential_version: 1 };
            millrace.send("user.commands", nobody, id, &user::Command::from(leave));
            let id = Uuid::new_v4();
            millrace.send("order.commands", nobody, id, &order::Command::from(cancel(number)));
            let read = MarkRead { notification_id: nobody, user_id: ANN };
            millrace.send(
                "notification.commands",
                nobody,
                Uuid::new_v4(),
                &notification::Command::from(read),
            );
        }
        millrace.settle();
    }
}

/// The keys of a changelog that have a value and begin with `prefix`.
fn kept(millrace: &Millrace, topic: &str, prefix: &str) -> usize {
    let mut rows = HashMap::new();
    for record in millrace.log.read_committed(topic) {
        rows.insert(record.key.unwrap(), record.value.is_some());
    }
    rows.iter().filter(|(key, kept)| **kept && key.starts_with(prefix.as_bytes())).count()
}

#[test]
fn finished_aggregates_are_forgotten_after_the_retention_and_no_sum_changes() {
    let mut millrace = Millrace::new();
    let bob = Uuid::from_u128(2);
    millrace.product(1, "cup", 5);
    millrace.user(3, register(2, "bob"), bob);
    millrace.user(4, register(1, "ann"), ANN);
    millrace.order(10, place(7, &[("cup", 2)]), Uuid::from_u128(7));
    millrace.order(11, place(8, &[("cup", 9)]), Uuid::from_u128(8));
    millrace.settle();
    millrace.user(5, DeactivateUser { user_id: bob, credential_version: 1 }, bob);
    millrace.settle();
    let figures = BTreeMap::from([("cup".into(), (5, 3, 2))]);
    let states = |millrace: &Millrace| {
        [("user", "user"), ("user", "email"), ("order", "order"), ("notification", "notification")]
            .map(|(processor, context)| {
                kept(millrace, &format!("{processor}.state"), &format!("state/{context}/"))
            })
    };

    // Nobody reports on the mails: they are given up.
    millrace.advance(Duration::from_secs(3600));
    millrace.settle();

    // Within the retention a finished order knows why it can't be cancelled, also after a restart.
    pass(&mut millrace, 89);
    for processor in &mut millrace.processors {
        (0..WORKERS).for_each(|worker| processor.kill(worker));
        (0..WORKERS).for_each(|worker| processor.start(worker));
    }
    let early = millrace.order(20, cancel(8), Uuid::from_u128(8));
    millrace.settle();
    assert_eq!(millrace.end(early), "wrong_stage");
    assert_eq!(states(&millrace), [2, 2, 2, 4]);

    // Afterwards it is gone as if it had never been. What is not finished stays.
    pass(&mut millrace, 2);
    assert_eq!(states(&millrace), [1, 1, 0, 0]);
    let late = millrace.order(21, cancel(8), Uuid::from_u128(8));
    let again = millrace.user(22, register(3, "bob"), Uuid::from_u128(3));
    millrace.settle();
    assert_eq!(
        (millrace.end(late).as_str(), millrace.end(again).as_str()),
        ("not_found", "accepted")
    );
    assert_eq!(
        (millrace.figures(), kept(&millrace, "order.state", "member/")),
        (figures.clone(), 1)
    );

    // Whatever was never read counts as read.
    let events = millrace.read::<notification::Event>("notification.events");
    let count =
        |of: fn(&notification::Event) -> bool| events.iter().filter(|event| of(event)).count();
    let raised = count(|event| matches!(event, notification::Event::NotificationRaised(_)));
    let read = count(|event| matches!(event, notification::Event::NotificationRead(_)));
    assert_eq!((raised, read), (5, 4), "the last one is new");

    // The reservation goes later than any order that could release it.
    pass(&mut millrace, 90);
    assert_eq!((millrace.figures(), kept(&millrace, "order.state", "member/")), (figures, 0));
    millrace.nothing_is_dead();
}

#[test]
fn changelogs_are_flat_after_compaction_under_a_steady_load() {
    let mut millrace = Millrace::new();
    for processor in &mut millrace.processors {
        processor.settings().retention = Duration::from_secs(2 * 24 * 3600);
        (0..WORKERS).for_each(|worker| processor.kill(worker));
        (0..WORKERS).for_each(|worker| processor.start(worker));
    }
    millrace.product(1, "cup", 1_000_000);
    let (mut number, mut rows) = (1_000, Vec::new());
    for _day in 0..30 {
        for _ in 0..4 {
            for _ in 0..15 {
                number += 1;
                let (id, quantity) =
                    (Uuid::from_u128(number), if number % 2 == 0 { 1 } else { 1_000_000 });
                millrace.order(10 * number, place(number, &[("cup", quantity)]), id);
                millrace.user(10 * number + 1, register(number, &format!("user-{number}")), id);
            }
            millrace.settle();
            for leaves in number - 14..=number {
                let leave =
                    DeactivateUser { user_id: Uuid::from_u128(leaves), credential_version: 1 };
                millrace.user(10 * leaves + 2, leave, Uuid::from_u128(leaves));
            }
            millrace.settle();
            millrace.advance(Duration::from_secs(6 * 3600));
            millrace.settle();
        }
        let processors = ["user", "order", "notification"];
        rows.push(processors.map(|processor| kept(&millrace, &format!("{processor}.state"), "")));
    }
    for processor in 0..3 {
        let [tenth, last] = [rows[10][processor], rows[29][processor]];
        assert!(tenth > 100 && last * 10 <= tenth * 11, "{rows:?}");
    }
    millrace.nothing_is_dead();
}

const SKUS: [&str; 4] = ["cup", "jug", "pot", "pan"];
const ADDRESSES: [&str; 4] = ["ann", "bob", "eve", "zoe"];

/// Something that people may ask for, at random.
fn wish(random: &mut StdRng) -> (&'static str, String, Wish) {
    let sku = *SKUS.choose(random).unwrap();
    let order = random.random_range(0..40);
    let user = random.random_range(0..12);
    let order_id = Uuid::from_u128(order).to_string();
    let user_id = Uuid::from_u128(user).to_string();
    match random.random_range(0..10) {
        0 => {
            let price = Money { amount_minor: 250, currency: "EUR".into() };
            let add = AddProduct { sku: sku.into(), name: sku.into(), price };
            ("stock.commands", sku.into(), Wish::Stock(add.into()))
        }
        1..=2 => {
            let receive = ReceiveStock { sku: sku.into(), quantity: random.random_range(1..12) };
            ("stock.commands", sku.into(), Wish::Stock(receive.into()))
        }
        3..=5 => {
            let lines: Vec<_> = SKUS.iter().map(|sku| (*sku, random.random_range(-4..4))).collect();
            let lines: Vec<_> = lines.into_iter().filter(|(_, quantity)| *quantity > 0).collect();
            ("order.commands", order_id, Wish::Order(place(order, &lines).into()))
        }
        6 => ("order.commands", order_id, Wish::Order(cancel(order).into())),
        7 => {
            let address = ADDRESSES.choose(random).unwrap();
            ("user.commands", user_id, Wish::User(register(user, address).into()))
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
            ("user.commands", user_id, Wish::User(change.into()))
        }
        _ => {
            let leave = DeactivateUser { user_id: Uuid::from_u128(user), credential_version: 1 };
            ("user.commands", user_id, Wish::User(leave.into()))
        }
    }
}

#[derive(Clone)]
enum Wish {
    User(user::Command),
    Order(order::Command),
    Stock(stock::Command),
}

impl Millrace {
    fn wish(&self, id: Uuid, (topic, key, wish): &(&'static str, String, Wish)) {
        match wish {
            Wish::User(command) => self.send(topic, key, id, command),
            Wish::Order(command) => self.send(topic, key, id, command),
            Wish::Stock(command) => self.send(topic, key, id, command),
        };
    }

    /// One thing that goes wrong, or time that passes.
    fn mishap(&mut self, random: &mut StdRng) {
        let processor = &mut self.processors[random.random_range(0..3)];
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

/// Random wishes under random faults: afterwards every sum is right.
fn survive(seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut millrace = Millrace::new();
    let mut sent = HashMap::new();
    for _ in 0..500 {
        match random.random_range(0..100) {
            0..=14 => {
                let (id, wish) = (Uuid::from_u128(random.random()), wish(&mut random));
                millrace.wish(id, &wish);
                sent.insert(id, wish);
            }
            // The gateway's client may write a record twice.
            15..=17 => {
                let mut ids: Vec<_> = sent.keys().copied().collect();
                ids.sort();
                if let Some(id) = ids.choose(&mut random) {
                    millrace.wish(*id, &sent[id]);
                }
            }
            18..=32 => millrace.mishap(&mut random),
            _ => {
                let processor = random.random_range(0..3);
                drop(millrace.processors[processor].step(random.random_range(0..WORKERS)));
            }
        }
    }
    millrace.log.hold_commits(false);
    millrace.log.expire_transactions();
    for processor in &mut millrace.processors {
        (0..WORKERS).for_each(|worker| processor.start(worker));
    }
    millrace.settle();

    assert_eq!(millrace.log.open_transactions(), 0, "a transaction is left open");
    let mut outcomes = HashMap::<Uuid, Outcome>::new();
    for outcome in millrace.read::<Outcome>("outcomes") {
        assert!(sent.contains_key(&outcome.command_id), "an outcome without a command");
        let first = outcomes.entry(outcome.command_id).or_insert_with(|| outcome.clone());
        assert_eq!(*first, outcome, "two different outcomes of one command");
    }
    assert_eq!(outcomes.len(), sent.len(), "a command without an outcome");

    let mut received = BTreeMap::<&str, i64>::new();
    for (id, (_, _, wish)) in &sent {
        if let (Wish::Stock(stock::Command::ReceiveStock(receive)), Verdict::Accepted) =
            (wish, outcomes[id].verdict)
        {
            *received.entry(&receive.sku).or_default() += i64::from(receive.quantity);
        }
    }
    for (sku, (all, _, held)) in millrace.figures() {
        assert_eq!(all, received.get(sku.as_str()).copied().unwrap_or(0), "{sku}: lost or made");
        let of_orders: i64 = millrace
            .wanted()
            .iter()
            .filter(|((_, of), _)| *of == sku)
            .map(|(_, quantity)| quantity)
            .sum();
        assert_eq!(held, of_orders, "{sku}: held for nobody, or promised and not held");
    }
    assert_eq!(millrace.held(), millrace.wanted());
    assert!(millrace.stages().values().all(|stage| *stage != "placed"), "an order without an end");
    assert_eq!(millrace.owners(), millrace.addresses());
    millrace.notifications_match();
    millrace.versions_count();
    millrace.nothing_is_dead();
}

#[test]
fn every_sum_is_right_whatever_fails() {
    for seed in 0..100 {
        let survived = std::panic::catch_unwind(|| survive(seed));
        assert!(survived.is_ok(), "seed {seed}");
    }
}
