//! What the log says of parked records: which are parked, with what they were edited, and which
//! were given up.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use engine::driver::Driver;
use schemas::{
    Message as _,
    engine::{Event, KeyRedriven, ParkedRecordEdited, RecordParked},
};

use crate::{
    bank::{Credit, FollowUp},
    support::key_of,
};

/// The parked records: key and offset.
pub(super) type Parked = BTreeSet<(String, i64)>;

/// What is parked by the changelog.
pub(super) fn by_changelog(driver: &Driver) -> Parked {
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
pub(super) fn by_operations(driver: &Driver) -> Parked {
    let mut parked = Parked::new();
    let release = |parked: &mut Parked, key: String, parked_from: Option<i64>, released: i32| {
        let before = parked.len();
        let from = parked_from.unwrap_or(i64::MAX);
        parked.retain(|(parked, offset)| *parked != key || *offset >= from);
        assert_eq!(i32::try_from(before - parked.len()), Ok(released), "released of {key}");
    };
    for (record, event) in driver.read::<Event>("bank.operations") {
        let key = key_of(&record);
        match event {
            Event::RecordParked(RecordParked { offset, .. }) => {
                parked.insert((key, offset));
            }
            Event::KeyRedriven(KeyRedriven { parked_from, released, .. })
            | Event::ParkedRecordEdited(ParkedRecordEdited { parked_from, released, .. }) => {
                release(&mut parked, key, parked_from, released);
            }
            Event::DeadLetterRevealed(_) | Event::DeadLetterResent(_) => {}
        }
    }
    parked
}

/// The amounts with which credits were applied instead of their own, each edited once.
pub(super) fn edited(driver: &Driver) -> BTreeMap<i64, i64> {
    let amount = |json: &str| {
        let json = schemas::json::parse(json.as_bytes()).expect("JSON");
        json["amount"].as_i64().expect("an amount")
    };
    let mut edited = BTreeMap::new();
    for (_, event) in driver.read::<Event>("bank.operations") {
        if let Event::ParkedRecordEdited(it) = event {
            let before = amount(&it.before.expect("a value before"));
            let earlier = edited.insert(before, amount(&it.after));
            assert_eq!(earlier, None, "a record was edited twice");
        }
    }
    edited
}

/// The amounts of the credits that were given up, each once.
pub(super) fn dropped(driver: &Driver) -> BTreeSet<i64> {
    let dead = driver.read::<FollowUp>("account.followups.dead");
    let amount = |message: &FollowUp| match message {
        FollowUp::Credit(Credit { amount, .. }) => *amount,
        FollowUp::Acknowledge(_) | FollowUp::Gift(_) => panic!("{}", message.name()),
    };
    let amounts: BTreeSet<_> = dead.iter().map(|(_, message)| amount(message)).collect();
    assert_eq!(amounts.len(), dead.len(), "a record was given up twice");
    amounts
}
