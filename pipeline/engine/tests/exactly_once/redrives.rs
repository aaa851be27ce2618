//! Keys that are parked, re-driven and edited under random faults: no parked record is lost,
//! applied twice or reordered, and the topic of operations agrees with the changelog.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::{Duration, Instant},
};

use engine::driver::Driver;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use schemas::{
    Message as _, Outcome,
    engine::{
        self as operations, Command, EditParkedRecord, KeyRedriven, ParkedRecordEdited,
        RecordParked, Redrive,
    },
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
    commands: Vec<(&'static str, Uuid, Command)>,
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

    /// An amount that no other credit has.
    fn amount(&mut self) -> i64 {
        self.next += 1;
        1_000 * self.next + ENDS[self.random.random_range(0..ENDS.len())]
    }

    fn credit(&mut self) {
        let (id, key) = (self.id(), self.key());
        let amount = self.amount();
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
        self.command(key, redrive.into());
    }

    /// Edits the first parked credit of a key as an operator sees it, who may be late. The new
    /// amount may fail again.
    fn edit(&mut self, key: &'static str) {
        let parked = kept(&self.driver).into_iter().find(|(parked, _)| parked == key);
        let Some((_, offset)) = parked else { return };
        let amount = self.amount();
        let edit = EditParkedRecord {
            topic: TOPIC.into(),
            offset,
            record_type: "bank.Credit".into(),
            json: format!(r#"{{"from":"zoe","amount":{amount}}}"#),
            reason: "a typing error".into(),
        };
        self.command(key, edit.into());
    }

    fn command(&mut self, key: &'static str, command: Command) {
        let id = self.id();
        self.driver.send("account.commands", key, id, "an admin", &command);
        self.commands.push((key, id, command));
    }

    /// Sends an earlier command again.
    fn command_again(&mut self) {
        if self.commands.is_empty() {
            return;
        }
        let (key, id, command) = &self.commands[self.random.random_range(0..self.commands.len())];
        self.driver.send("account.commands", key, *id, "an admin", command);
    }

    /// Starts all workers, and lets them work until nothing is left.
    fn settle(&mut self) {
        self.driver.log.hold_commits(false);
        self.driver.log.expire_transactions();
        (0..WORKERS).for_each(|worker| self.driver.start(worker));
        self.driver.settle();
    }

    /// Ends the work, and returns how many credits were edited.
    fn judge(mut self, what: &str) -> usize {
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
            assert!(outcomes.contains_key(id), "{what}: a command without an outcome");
        }
        let (dropped, edited) = (dropped(&self.driver), edited(&self.driver));
        let mut applied = BTreeMap::<String, Vec<i64>>::new();
        for (record, event) in self.driver.read::<Event>("account.events") {
            if let Event::Credited(Credited { amount, .. }) = event {
                applied.entry(key_of(&record)).or_default().push(amount);
            }
        }
        for (key, credits) in &self.credits {
            let mut expected = credits.clone();
            expected.retain(|amount| !dropped.contains(amount));
            for amount in &mut expected {
                *amount = edited.get(amount).copied().unwrap_or(*amount);
            }
            let applied = applied.remove(*key).unwrap_or_default();
            assert_eq!(applied, expected, "{what}: credits of {key} were lost, doubled or moved");
        }
        edited.len()
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
    let release = |parked: &mut Parked, key: String, parked_from: Option<i64>, released: i32| {
        let before = parked.len();
        let from = parked_from.unwrap_or(i64::MAX);
        parked.retain(|(parked, offset)| *parked != key || *offset >= from);
        assert_eq!(i32::try_from(before - parked.len()), Ok(released), "released of {key}");
    };
    for (record, event) in driver.read::<operations::Event>("bank.operations") {
        let key = key_of(&record);
        match event {
            operations::Event::RecordParked(RecordParked { offset, .. }) => {
                parked.insert((key, offset));
            }
            operations::Event::KeyRedriven(KeyRedriven { parked_from, released, .. }) => {
                release(&mut parked, key, parked_from, released);
            }
            operations::Event::ParkedRecordEdited(ParkedRecordEdited {
                parked_from,
                released,
                ..
            }) => release(&mut parked, key, parked_from, released),
            operations::Event::DeadLetterRevealed(_) | operations::Event::DeadLetterResent(_) => {}
        }
    }
    parked
}

/// The amounts with which credits were applied instead of their own, each edited once.
fn edited(driver: &Driver) -> BTreeMap<i64, i64> {
    let amount = |json: &str| {
        let json = schemas::json::parse(json.as_bytes()).expect("JSON");
        json["amount"].as_i64().expect("an amount")
    };
    let mut edited = BTreeMap::new();
    for (_, event) in driver.read::<operations::Event>("bank.operations") {
        if let operations::Event::ParkedRecordEdited(it) = event {
            let before = amount(&it.before.expect("a value before"));
            let earlier = edited.insert(before, amount(&it.after));
            assert_eq!(earlier, None, "a record was edited twice");
        }
    }
    edited
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
fn re_drives_and_edits_under_faults_lose_double_and_reorder_nothing() {
    let mut edits = 0;
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
                18..=23 => {
                    let (key, drop_first) = (work.key(), work.random.random_bool(0.3));
                    work.redrive(key, drop_first);
                }
                24..=27 => {
                    let key = work.key();
                    work.edit(key);
                }
                28..=30 => work.command_again(),
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
        edits += work.judge(&format!("seed {seed}"));
    }
    assert!(edits > 100, "only {edits} edits in all seeds");
}

#[test]
fn a_thousand_parked_keys_are_re_driven() {
    const KEYS: u32 = 1_000;
    let mut driver = bank(WORKERS);
    let key = |number: u32| format!("key-{number}");
    let id = |kind: u128, number: u32| Uuid::from_u128(kind << 64 | u128::from(number));
    // Each key has a credit that fails while the account is empty, and two that wait behind it.
    for number in 0..KEYS {
        for (kind, amount) in (0..).zip([667, 1, 2]) {
            let credit = FollowUp::from(Credit { from: "zoe".into(), amount });
            driver.send(TOPIC, &key(number), id(kind, number), "zoe", &credit);
        }
    }
    driver.settle();
    assert_eq!(kept(&driver).len(), 3_000);
    for number in 0..KEYS {
        send(&driver, &key(number), id(3, number).as_u128(), Deposit { amount: 1 });
        let (topic, drop_first) = (TOPIC.to_owned(), false);
        let redrive = Redrive { topic, drop_first, reason: None, first_offset: None };
        driver.send("account.commands", &key(number), id(4, number), "an admin", &redrive);
    }
    let begun = Instant::now();
    driver.settle();
    eprintln!("{KEYS} keys with 3 parked records each were re-driven in {:?}", begun.elapsed());
    assert_eq!((kept(&driver), told(&driver)), (Parked::new(), Parked::new()));
    let mut credited = BTreeMap::<String, Vec<i64>>::new();
    for (record, event) in driver.read::<Event>("account.events") {
        if let Event::Credited(Credited { amount, .. }) = event {
            credited.entry(key_of(&record)).or_default().push(amount);
        }
    }
    assert_eq!(credited.len(), 1_000);
    assert!(credited.values().all(|amounts| *amounts == [667, 1, 2]), "{credited:?}");
}
