//! Keys that are parked and re-driven under random faults: no parked record is lost, applied twice
//! or reordered, and the topic of operations agrees with the changelog.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use engine::driver::Driver;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use schemas::{
    Message as _, Outcome,
    engine::{self as operations, KeyRedriven, RecordParked, Redrive},
};
use uuid::Uuid;

use crate::{
    bank::{Credit, Credited, Deposit, Event, FollowUp},
    faults::STEPS,
    support::{bank, send},
};

const TOPIC: &str = "account.followups";
const WORKERS: usize = 2;
const KEYS: [&str; 4] = ["ann", "bob", "eve", "joe"];
/// The last digits of a credit that always fails, of one that fails while its account is empty, and
/// of one that never does.
const ENDS: [i64; 3] = [666, 667, 1];

/// The parked records: key and offset.
type Parked = BTreeSet<(String, i64)>;

struct Work {
    random: StdRng,
    driver: Driver,
    /// The credits of each key, in the order in which they were sent.
    credits: BTreeMap<&'static str, Vec<i64>>,
    commands: Vec<(&'static str, Uuid, Redrive)>,
    next: i64,
}

impl Work {
    fn new(seed: u64) -> Self {
        let mut driver = bank(WORKERS);
        driver.settings().stuck_wait = Duration::ZERO;
        Self {
            random: StdRng::seed_from_u64(seed),
            driver,
            credits: BTreeMap::new(),
            commands: Vec::new(),
            next: 1,
        }
    }

    fn id(&mut self) -> Uuid {
        self.next += 1;
        Uuid::from_u128(self.next.unsigned_abs().into())
    }

    fn key(&mut self) -> &'static str {
        KEYS[self.random.random_range(0..KEYS.len())]
    }

    fn credit(&mut self) {
        let (id, key) = (self.id(), self.key());
        let amount = 1_000 * self.next + ENDS[self.random.random_range(0..ENDS.len())];
        self.credits.entry(key).or_default().push(amount);
        let credit = FollowUp::from(Credit { from: "zoe".into(), amount });
        self.driver.send(TOPIC, key, id, "zoe", &credit);
    }

    fn deposit(&mut self, key: &str) {
        let id = self.id();
        send(&self.driver, key, id.as_u128(), Deposit { amount: 1 });
    }

    fn redrive(&mut self, key: &'static str, drop_first: bool) {
        let redrive = Redrive { topic: TOPIC.into(), drop_first, reason: None, first_offset: None };
        let id = self.id();
        self.driver.send("account.commands", key, id, "an admin", &redrive);
        self.commands.push((key, id, redrive));
    }

    /// Sends an earlier command again.
    fn redrive_again(&mut self) {
        if self.commands.is_empty() {
            return;
        }
        let (key, id, redrive) = &self.commands[self.random.random_range(0..self.commands.len())];
        self.driver.send("account.commands", key, *id, "an admin", redrive);
    }

    /// Starts all workers, and lets them work until nothing is left.
    fn settle(&mut self) {
        self.driver.log.hold_commits(false);
        self.driver.log.expire_transactions();
        (0..WORKERS).for_each(|worker| self.driver.start(worker));
        self.driver.settle();
    }

    fn judge(mut self, what: &str) {
        self.settle();
        assert_eq!(told(&self.driver), kept(&self.driver), "{what}");
        // Then operators end it: with money in each account, only the first kind of credit fails.
        KEYS.iter().for_each(|key| self.deposit(key));
        for _ in 0..self.next {
            let Some((key, _)) = kept(&self.driver).pop_first() else { break };
            let key = KEYS.into_iter().find(|known| *known == key).expect("a key");
            self.redrive(key, true);
            self.settle();
        }
        assert_eq!(kept(&self.driver), Parked::new(), "{what}");
        assert_eq!(told(&self.driver), Parked::new(), "{what}");

        let mut outcomes = HashMap::<Uuid, Outcome>::new();
        for (_, outcome) in self.driver.read::<Outcome>("bank.outcomes") {
            let first = outcomes.entry(outcome.command_id).or_insert_with(|| outcome.clone());
            assert_eq!(*first, outcome, "{what}: two different outcomes of one command");
        }
        for (_, id, _) in &self.commands {
            assert!(outcomes.contains_key(id), "{what}: a re-drive without an outcome");
        }
        let dropped = dropped(&self.driver);
        let mut applied = BTreeMap::<String, Vec<i64>>::new();
        for (record, event) in self.driver.read::<Event>("account.events") {
            if let Event::Credited(Credited { amount, .. }) = event {
                applied.entry(key_of(&record)).or_default().push(amount);
            }
        }
        for (key, credits) in &self.credits {
            let mut expected = credits.clone();
            expected.retain(|amount| !dropped.contains(amount));
            let applied = applied.remove(*key).unwrap_or_default();
            assert_eq!(applied, expected, "{what}: credits of {key} were lost, doubled or moved");
        }
    }
}

fn key_of(record: &redpanda::log::Record) -> String {
    String::from_utf8(record.key.clone().expect("a key").to_vec()).expect("text")
}

/// What is parked by the changelog.
fn kept(driver: &Driver) -> Parked {
    let mut rows = HashMap::new();
    for record in driver.log.read_committed("bank.state") {
        rows.insert(key_of(&record), record.value.is_some());
    }
    let parked = rows.into_iter().filter(|(_, is_kept)| *is_kept).filter_map(|(name, _)| {
        let (key, offset) = name.strip_prefix("parked/account.followups/")?.split_once('\u{1f}')?;
        Some((key.to_owned(), offset.parse().ok()?))
    });
    parked.collect()
}

/// What is parked by the topic of operations.
fn told(driver: &Driver) -> Parked {
    let mut parked = Parked::new();
    for (record, event) in driver.read::<operations::Event>("bank.operations") {
        let key = key_of(&record);
        match event {
            operations::Event::RecordParked(RecordParked { offset, .. }) => {
                parked.insert((key, offset));
            }
            operations::Event::KeyRedriven(KeyRedriven { parked_from, released, .. }) => {
                let before = parked.len();
                let from = parked_from.unwrap_or(i64::MAX);
                parked.retain(|(parked, offset)| *parked != key || *offset >= from);
                assert_eq!(i32::try_from(before - parked.len()), Ok(released), "released of {key}");
            }
            operations::Event::DeadLetterRevealed(_) | operations::Event::DeadLetterResent(_) => {}
        }
    }
    parked
}

/// The amounts of the credits that were given up, each once.
fn dropped(driver: &Driver) -> BTreeSet<i64> {
    let dead = driver.read::<FollowUp>("account.followups.dead");
    let amount = |message: &FollowUp| match message {
        FollowUp::Credit(Credit { amount, .. }) => *amount,
        FollowUp::Acknowledge(_) => panic!("{}", message.name()),
    };
    let amounts: BTreeSet<_> = dead.iter().map(|(_, message)| amount(message)).collect();
    assert_eq!(amounts.len(), dead.len(), "a record was given up twice");
    amounts
}

#[test]
fn re_drives_under_faults_lose_double_and_reorder_nothing() {
    for seed in 0..100 {
        let mut work = Work::new(seed);
        for _ in 0..300 {
            let worker = work.random.random_range(0..WORKERS);
            match work.random.random_range(0..100) {
                0..=14 => work.credit(),
                15..=17 => {
                    let key = work.key();
                    work.deposit(key);
                }
                18..=27 => {
                    let (key, drop_first) = (work.key(), work.random.random_bool(0.3));
                    work.redrive(key, drop_first);
                }
                28..=30 => work.redrive_again(),
                31..=35 => {
                    let (_, fault) = STEPS[work.random.random_range(0..STEPS.len())];
                    let fault = fault(&mut work.random);
                    work.driver.log.fail_next(&work.driver.transactional_id(worker), fault);
                }
                36..=38 => work.driver.kill(worker),
                39..=44 => work.driver.start(worker),
                45 => work.driver.log.compact("bank.state"),
                46 => work.driver.log.expire_members("bank"),
                _ => drop(work.driver.step(worker)),
            }
        }
        work.judge(&format!("seed {seed}"));
    }
}
