//! Random work of users and operators on parked keys, and the invariants that hold after it.

use std::{collections::BTreeMap, time::Duration};

use engine::driver::Driver;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use schemas::engine::{Command, EditParkedRecord, Redrive};
use uuid::Uuid;

use super::parked::{Parked, by_changelog, by_operations, dropped, edited};
use crate::{
    bank::{Credit, Deposit, FollowUp},
    support::{bank, credits, outcomes, recover, send},
};

pub(super) const TOPIC: &str = "account.followups";
pub(super) const WORKERS: usize = 2;
const KEYS: [&str; 4] = ["ann", "bob", "eve", "joe"];
/// The last digits of a credit that always fails, of one that fails while its account is empty, and
/// of one that never does.
const ENDS: [i64; 3] = [666, 667, 1];

/// A bank of parked keys under random work.
pub(super) struct Work {
    pub(super) random: StdRng,
    pub(super) driver: Driver,
    /// The credits of each key, in the order in which they were sent.
    credits: BTreeMap<&'static str, Vec<i64>>,
    commands: Vec<(&'static str, Uuid, Command)>,
    next: i64,
}

impl Work {
    pub(super) fn new(seed: u64) -> Self {
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

    pub(super) fn key(&mut self) -> &'static str {
        KEYS[self.random.random_range(0..KEYS.len())]
    }

    /// An amount that no other credit has.
    fn amount(&mut self) -> i64 {
        self.next += 1;
        1_000 * self.next + ENDS[self.random.random_range(0..ENDS.len())]
    }

    pub(super) fn credit(&mut self) {
        let (id, key) = (self.id(), self.key());
        let amount = self.amount();
        self.credits.entry(key).or_default().push(amount);
        let credit = FollowUp::from(Credit { from: "zoe".into(), amount });
        self.driver.send(TOPIC, key, id, "zoe", &credit);
    }

    pub(super) fn deposit(&mut self, key: &str) {
        let id = self.id();
        send(&self.driver, key, id.as_u128(), Deposit { amount: 1 });
    }

    pub(super) fn redrive(&mut self, key: &'static str, drop_first: bool) {
        let redrive = Redrive { topic: TOPIC.into(), drop_first, reason: None, first_offset: None };
        self.command(key, redrive.into());
    }

    /// Edits the first parked credit of a key as an operator sees it, who may be late. The new
    /// amount may fail again.
    pub(super) fn edit(&mut self, key: &'static str) {
        let parked = by_changelog(&self.driver).into_iter().find(|(parked, _)| parked == key);
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
    pub(super) fn command_again(&mut self) {
        if self.commands.is_empty() {
            return;
        }
        let (key, id, command) = &self.commands[self.random.random_range(0..self.commands.len())];
        self.driver.send("account.commands", key, *id, "an admin", command);
    }

    /// Ends the work, and returns how many credits were edited.
    pub(super) fn judge(mut self, what: &str) -> usize {
        recover(&mut self.driver);
        assert_eq!(by_operations(&self.driver), by_changelog(&self.driver), "{what}");
        // Then operators end it: with money in each account, only the first kind of credit fails.
        KEYS.iter().for_each(|key| self.deposit(key));
        for _ in 0..self.next {
            let Some((key, _)) = by_changelog(&self.driver).pop_first() else { break };
            let key = KEYS.into_iter().find(|known| *known == key).expect("a key");
            self.redrive(key, true);
            recover(&mut self.driver);
        }
        assert_eq!(by_changelog(&self.driver), Parked::new(), "{what}");
        assert_eq!(by_operations(&self.driver), Parked::new(), "{what}");

        let outcomes = outcomes(&self.driver, what);
        for (_, id, _) in &self.commands {
            assert!(outcomes.contains_key(id), "{what}: a command without an outcome");
        }
        let (dropped, edited) = (dropped(&self.driver), edited(&self.driver));
        let mut applied = credits(&self.driver);
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
