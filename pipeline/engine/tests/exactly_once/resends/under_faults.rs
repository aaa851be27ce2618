//! Dead letters that are sent again under random faults.

use std::{collections::BTreeMap, time::Duration};

use engine::driver::Driver;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use redpanda::partition_of;
use schemas::{Outcome, Verdict};
use uuid::Uuid;

use super::{COMMANDS, FOLLOWUPS, dead, drop_first, noted, reported, resend};
use crate::{
    bank::{Credit, Deposit, FollowUp, Memo, Panic},
    faults::fail_next,
    support::{PARTITIONS, bank, credits, key_of, outcomes, recover, send},
};

const WORKERS: usize = 2;
const KEYS: [&str; 4] = ["ann", "bob", "eve", "joe"];

/// A bank whose every key has a dead command and a dead follow-up, after the bug was mended.
fn with_dead_letters() -> Driver {
    let mut driver = bank(WORKERS);
    driver.settings().stuck_wait = Duration::ZERO;
    for (number, key) in (1..).zip(KEYS) {
        send(&driver, key, number, Panic { why: key.into() });
        let credit = FollowUp::from(Credit { from: "zoe".into(), amount: 667 });
        driver.send(FOLLOWUPS, key, Uuid::from_u128(100 + number), "zoe", &credit);
        driver.settle();
        drop_first(&mut driver, 200 + number, key, FOLLOWUPS);
        send(&driver, key, 300 + number, Memo { text: "mended".into() });
        send(&driver, key, 400 + number, Deposit { amount: 1 });
    }
    driver.settle();
    driver
}

#[test]
fn dead_letters_are_sent_again_exactly_once_under_faults() {
    for seed in 0..60 {
        let mut random = StdRng::seed_from_u64(seed);
        let mut driver = with_dead_letters();
        let letters: Vec<_> = [COMMANDS, FOLLOWUPS]
            .into_iter()
            .flat_map(|topic| dead(&driver, topic).into_iter().map(move |it| (topic, it)))
            .collect();
        assert_eq!(letters.len(), 2 * KEYS.len());
        // Three commands for each dead letter, some of them sent several times.
        let mut sent = BTreeMap::new();
        let mut send_one = |random: &mut StdRng, driver: &Driver| {
            let (letter, attempt) =
                (random.random_range(0..letters.len()), random.random_range(0..3));
            let (topic, record) = &letters[letter];
            let id = 1_000 + 10 * letter as u128 + attempt;
            sent.insert(resend(driver, id, &key_of(record), topic, record), letter);
        };
        for _ in 0..200 {
            let worker = random.random_range(0..WORKERS);
            match random.random_range(0..100) {
                0..=19 => send_one(&mut random, &driver),
                20..=27 => fail_next(&mut random, &driver, worker),
                28..=31 => driver.kill(worker),
                32..=38 => driver.start(worker),
                39 => driver.log.compact("bank.state"),
                40 => driver.log.expire_members("bank"),
                _ => drop(driver.step(worker)),
            }
        }
        recover(&mut driver);

        let mut accepted = vec![0; letters.len()];
        let outcomes = outcomes(&driver, &format!("seed {seed}"));
        for (id, letter) in &sent {
            match &outcomes[id] {
                Outcome { verdict: Verdict::Accepted, .. } => accepted[*letter] += 1,
                Outcome { code, .. } => {
                    assert_eq!(code.as_deref(), Some("already_sent_again"), "seed {seed}");
                }
            }
        }
        let credits = credits(&driver);
        for (letter, (topic, record)) in letters.iter().enumerate() {
            let was_sent = usize::from(sent.values().any(|it| *it == letter));
            let key = key_of(record);
            assert_eq!(accepted[letter], was_sent, "seed {seed}: {topic} {key}");
            let effects = match *topic {
                COMMANDS => noted(&driver, &key),
                _ => credits.get(&key).map_or(0, Vec::len),
            };
            assert_eq!(effects, was_sent, "seed {seed}: {topic} {key}");
        }
        assert_eq!(reported(&driver).len(), accepted.iter().sum::<usize>(), "seed {seed}");
        assert!(letters.iter().all(|(_, it)| {
            it.partition == partition_of(it.key.as_deref().unwrap(), PARTITIONS)
        }));
    }
}
