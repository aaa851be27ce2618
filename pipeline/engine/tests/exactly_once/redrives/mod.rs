//! Keys that are parked, re-driven and edited under random faults: no parked record is lost,
//! applied twice or reordered, and the topic of operations agrees with the changelog.

mod parked;
mod work;

use std::time::{Duration, Instant};

use engine::driver::Driver;
use rand::Rng as _;
use redpanda::log::{Headers, Record};
use schemas::{Verdict, engine::Redrive, headers};
use uuid::Uuid;

use crate::{
    bank::{Credit, Deposit, FollowUp},
    faults::fail_next,
    support::{bank, credits, send},
};
use parked::{Parked, by_changelog, by_operations};
use work::{TOPIC, WORKERS, Work};

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
                31..=35 => fail_next(&mut work.random, &work.driver, worker),
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
fn parked_record_is_decided_at_the_time_of_its_re_drive() {
    let mut driver = bank(1);
    let credit = FollowUp::from(Credit { from: "zoe".into(), amount: 667 });
    driver.send(TOPIC, "ann", Uuid::from_u128(1), "zoe", &credit);
    driver.settle();
    driver.advance(Duration::from_secs(30 * 3_600));
    send(&driver, "ann", 2, Deposit { amount: 1 });
    let (topic, drop_first) = (TOPIC.to_owned(), false);
    let redrive = Redrive { topic, drop_first, reason: None, first_offset: None };
    driver.send("account.commands", "ann", Uuid::from_u128(3), "an admin", &redrive);
    driver.settle();
    let time = |record: &Record| record.headers.text(headers::TIME).map(str::to_owned);
    let events = driver.log.read_committed("account.events");
    let operations = driver.log.read_committed("bank.operations");
    let (credited, redriven) = (events.last().unwrap(), operations.last().unwrap());
    assert_eq!(credits(&driver)["ann"], [667]);
    assert_eq!(time(credited), time(redriven));
}

#[test]
fn re_drive_stops_at_a_queued_record_without_a_schema_which_can_then_be_given_up() {
    let mut driver = bank(1);
    let credit = |driver: &Driver, id, amount| {
        let credit = FollowUp::from(Credit { from: "zoe".into(), amount });
        driver.send(TOPIC, "ann", Uuid::from_u128(id), "zoe", &credit);
    };
    // The first one fails while the account is empty. The others wait behind it.
    credit(&driver, 1, 667);
    let unknown = vec![0, 0x7f, 0xff, 0xff, 0xff, 1];
    driver.log.append(TOPIC, "ann", Some(unknown.into()), Headers::default());
    credit(&driver, 2, 3);
    driver.settle();
    send(&driver, "ann", 3, Deposit { amount: 1 });
    let mut redrive = |id, drop_first| {
        let redrive = Redrive { topic: TOPIC.into(), drop_first, reason: None, first_offset: None };
        let id = Uuid::from_u128(id);
        driver.send("account.commands", "ann", id, "an admin", &redrive);
        driver.settle();
        let outcome = driver.outcomes(id).remove(0);
        (outcome.verdict, outcome.code, credits(&driver)["ann"].clone())
    };
    let stopped = (Verdict::Refused, Some("still_failing".to_owned()), vec![667]);
    assert_eq!(redrive(4, false), stopped);
    assert_eq!(redrive(5, true), (Verdict::Accepted, None, vec![667, 3]));
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
    assert_eq!(by_changelog(&driver).len(), 3_000);
    for number in 0..KEYS {
        send(&driver, &key(number), id(3, number).as_u128(), Deposit { amount: 1 });
        let (topic, drop_first) = (TOPIC.to_owned(), false);
        let redrive = Redrive { topic, drop_first, reason: None, first_offset: None };
        driver.send("account.commands", &key(number), id(4, number), "an admin", &redrive);
    }
    let begun = Instant::now();
    driver.settle();
    eprintln!("{KEYS} keys with 3 parked records each were re-driven in {:?}", begun.elapsed());
    assert_eq!((by_changelog(&driver), by_operations(&driver)), (Parked::new(), Parked::new()));
    let credited = credits(&driver);
    assert_eq!(credited.len(), 1_000);
    assert!(credited.values().all(|amounts| *amounts == [667, 1, 2]), "{credited:?}");
}
