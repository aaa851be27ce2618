//! Helpers: a bank on the in-memory log, and what its events and changelog add up to.

use std::collections::{BTreeMap, HashMap};

use engine::{Topology, driver::Driver};
use redpanda::{
    log::{Record, TopicPartition},
    memory::MemoryLog,
    partition_of,
};
use schemas::{Codec, Message as _, Outcome};
use uuid::Uuid;

use crate::bank::{self, Account, Balance, Command, Credited, Event};

pub(crate) const PARTITIONS: i32 = 4;
pub(crate) const HOUR_MS: i64 = 3_600_000;
pub(crate) const TOPICS: [&str; 10] = [
    "account.commands",
    "account.followups",
    "account.events",
    "bank.state",
    "bank.outcomes",
    "bank.operations",
    "account.followups.dead",
    "savings.commands",
    "savings.followups",
    "savings.events",
];

pub(crate) fn bank(workers: usize) -> Driver {
    bank_of(Topology::new("bank", |_| Some(PARTITIONS)).aggregate::<Account>(), workers)
}

pub(crate) fn bank_of(topology: Topology, workers: usize) -> Driver {
    bank_on(&log(), topology, workers)
}

pub(crate) fn log() -> MemoryLog {
    let topics = TOPICS.into_iter().chain(["account.commands.dead"]);
    MemoryLog::new(topics.map(|topic| (topic, PARTITIONS)))
}

pub(crate) fn bank_on(log: &MemoryLog, topology: Topology, workers: usize) -> Driver {
    let schemas = schemas::all().iter().copied().chain(bank::schemas());
    let codec = Codec::of(schemas.zip(1..));
    Driver::new(log.clone(), topology, codec, workers)
}

pub(crate) fn send(driver: &Driver, key: &str, id: u128, command: impl Into<Command>) -> Uuid {
    let id = Uuid::from_u128(id);
    driver.send("account.commands", key, id, "somebody", &command.into());
    id
}

/// The key of a record, which is text.
pub(crate) fn key_of(record: &Record) -> String {
    String::from_utf8(record.key.clone().unwrap().to_vec()).unwrap()
}

/// The code of a command's outcome, of which there is one.
pub(crate) fn code(driver: &Driver, command: Uuid) -> Option<String> {
    let outcomes = driver.outcomes(command);
    assert_eq!(outcomes.len(), 1, "one outcome of {command}: {outcomes:?}");
    outcomes[0].code.clone()
}

/// The outcomes of all commands. Asserts that no command has two different ones.
pub(crate) fn outcomes(driver: &Driver, what: &str) -> BTreeMap<Uuid, Outcome> {
    let mut outcomes = BTreeMap::<Uuid, Outcome>::new();
    for (_, outcome) in driver.read::<Outcome>("bank.outcomes") {
        let first = outcomes.entry(outcome.command_id).or_insert_with(|| outcome.clone());
        assert_eq!(*first, outcome, "{what}: two different outcomes of one command");
    }
    outcomes
}

/// The amounts that were credited to each account, in order.
pub(crate) fn credits(driver: &Driver) -> BTreeMap<String, Vec<i64>> {
    let mut credits = BTreeMap::<String, Vec<i64>>::new();
    for (record, event) in driver.read::<Event>("account.events") {
        if let Event::Credited(Credited { amount, .. }) = event {
            credits.entry(key_of(&record)).or_default().push(amount);
        }
    }
    credits
}

/// The balances by the events. Asserts that versions count from 1 without a gap.
pub(crate) fn balances(driver: &Driver) -> BTreeMap<String, i64> {
    use domain::decider::Decider;
    let mut accounts = BTreeMap::<String, (i64, Option<Balance>)>::new();
    for (record, event) in driver.read::<Event>("account.events") {
        let key = key_of(&record);
        let (version, state) = accounts.entry(key.clone()).or_default();
        *version += 1;
        assert_eq!(
            record.headers.text(schemas::headers::VERSION),
            Some(version.to_string().as_str()),
            "{key}"
        );
        *state = Account::evolve(state.take(), &event);
    }
    accounts
        .into_iter()
        .map(|(key, (_, state))| (key, state.map_or(0, |state| state.amount)))
        .collect()
}

/// The balances by the changelog.
pub(crate) fn changelog_balances(driver: &Driver) -> BTreeMap<String, i64> {
    let mut accounts = BTreeMap::new();
    for record in driver.log.read_committed("bank.state") {
        let key = key_of(&record);
        let Some(account) = key.strip_prefix("state/account/") else { continue };
        assert_eq!(
            record.partition,
            partition_of(account.as_bytes(), PARTITIONS),
            "{key} is in its task's partition"
        );
        let codec = Codec::of(schemas::all().iter().copied().chain(bank::schemas()).zip(1..));
        let balance = Balance::decode(&codec, &record.value.unwrap()).unwrap();
        accounts.insert(account.to_owned(), balance.amount);
    }
    accounts
}

/// The number of changelog keys that have a value and begin with `prefix`.
pub(crate) fn kept(driver: &Driver, prefix: &str) -> usize {
    let mut rows = HashMap::new();
    for record in driver.log.read_committed("bank.state") {
        rows.insert(record.key.unwrap(), record.value.is_some());
    }
    rows.iter().filter(|(key, kept)| **kept && key.starts_with(prefix.as_bytes())).count()
}

/// A bank of one worker with changed settings.
pub(crate) fn bank_with(change: impl FnOnce(&mut engine::Settings)) -> Driver {
    let mut driver = bank(1);
    driver.kill(0);
    change(driver.settings());
    driver.start(0);
    driver.settle();
    driver
}

/// Ends all faults, starts all workers, and lets them work until nothing is left.
pub(crate) fn recover(driver: &mut Driver) {
    driver.log.hold_commits(false);
    driver.log.withhold(Vec::new());
    for partition in 0..PARTITIONS {
        driver.log.hold_restores(TopicPartition::new("bank.state", partition), false);
    }
    driver.log.expire_transactions();
    (0..driver.workers()).for_each(|worker| driver.start(worker));
    driver.settle();
}

/// Runs `at_most` turns of the worker.
pub(crate) fn steps(driver: &mut Driver, at_most: usize) {
    for _ in 0..at_most {
        driver.step(0).unwrap();
    }
}

/// The partition of the follow-ups for `key`.
pub(crate) fn followups(key: &str) -> TopicPartition {
    TopicPartition::new("account.followups", partition_of(key.as_bytes(), PARTITIONS))
}
