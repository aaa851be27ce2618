//! Dead letters that are sent again: once, whatever happens, and only what was dead.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use domain::decider::Reaction;
use engine::{Topology, driver::Driver};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use redpanda::{
    log::{Record, TopicPartition},
    memory::MemoryLog,
    partition_of,
};
use schemas::{
    Outcome, Verdict,
    engine::{DeadLetterResent, Event as Operation, Redrive, ResendDeadLetter},
    headers,
};
use uuid::Uuid;

use crate::{
    bank::{Account, Credit, Credited, Deposit, Event, FollowUp, Memo, Noted, Panic, Transfer},
    faults::STEPS,
    support::{PARTITIONS, TOPICS, balances, bank, bank_on, bank_with, kept, send},
};

const COMMANDS: &str = "account.commands";
const FOLLOWUPS: &str = "account.followups";

/// The dead letters of a topic.
fn dead(driver: &Driver, topic: &str) -> Vec<Record> {
    driver.log.read_committed(&format!("{topic}.dead"))
}

/// Sends the command that sends a dead letter of `topic` again.
fn resend(driver: &Driver, id: u128, key: &str, topic: &str, letter: &Record) -> Uuid {
    let (partition, dead_offset) = (letter.partition, letter.offset);
    let reason = "the bug is mended".to_owned();
    let command = ResendDeadLetter { topic: topic.to_owned(), partition, dead_offset, reason };
    let id = Uuid::from_u128(id);
    driver.send(COMMANDS, key, id, "an admin", &command);
    id
}

fn code(driver: &Driver, command: Uuid) -> Option<String> {
    let outcomes = driver.outcomes(command);
    assert_eq!(outcomes.len(), 1, "one outcome of {command}: {outcomes:?}");
    outcomes[0].code.clone()
}

/// What operators are told about dead letters that were sent again.
fn told(driver: &Driver) -> Vec<DeadLetterResent> {
    let told = |event| match event {
        Operation::DeadLetterResent(event) => Some(event),
        _ => None,
    };
    driver.read("bank.operations").into_iter().filter_map(|(_, event)| told(event)).collect()
}

fn noted(driver: &Driver, text: &str) -> usize {
    let events = driver.read::<Event>("account.events");
    let is_it = |event: &Event| matches!(event, Event::Noted(Noted { text: it }) if it == text);
    events.iter().filter(|(_, event)| is_it(event)).count()
}

/// Gives up the first parked record of `topic` under `key`.
fn drop_first(driver: &mut Driver, id: u128, key: &str, topic: &str) {
    let redrive =
        Redrive { topic: topic.to_owned(), drop_first: true, reason: None, first_offset: None };
    driver.send(COMMANDS, key, Uuid::from_u128(id), "an admin", &redrive);
    driver.settle();
}

#[test]
fn dead_command_is_decided_again_once_and_only_when_it_does_not_fail() {
    let mut driver = bank(1);
    let panic = send(&driver, "ann", 1, Panic { why: "a bug".into() });
    driver.settle();
    let [letter] = &dead(&driver, COMMANDS)[..] else { panic!("one dead letter") };

    // While the bug is there, nothing changes.
    let early = resend(&driver, 2, "ann", COMMANDS, letter);
    driver.settle();
    assert_eq!(code(&driver, early).as_deref(), Some("still_failing"));
    assert_eq!((dead(&driver, COMMANDS).len(), told(&driver)), (1, Vec::new()));

    send(&driver, "ann", 3, Memo { text: "mended".into() });
    let [first, second] = [4, 5].map(|id| resend(&driver, id, "ann", COMMANDS, letter));
    driver.settle();
    let outcome = &driver.outcomes(first)[0];
    assert_eq!(
        (outcome.verdict, &*outcome.command_type, outcome.version, &*outcome.principal),
        (Verdict::Accepted, "bank.Panic", 2, "an admin")
    );
    assert_eq!(code(&driver, second).as_deref(), Some("already_sent_again"));
    let detail = driver.outcomes(second)[0].detail.clone().unwrap();
    assert!(detail.contains(&first.to_string()), "{detail}");
    assert_eq!(noted(&driver, "a bug"), 1);
    let expected = DeadLetterResent {
        topic: COMMANDS.into(),
        partition: letter.partition,
        dead_offset: letter.offset,
        command_id: first,
        principal: "an admin".into(),
        reason: "the bug is mended".into(),
        sent_id: first,
        resent_at: driver.outcomes(first)[0].decided_at,
    };
    assert_eq!(told(&driver), [expected]);
    let failed = driver.outcomes(panic);
    assert_eq!((failed.len(), failed[0].verdict), (1, Verdict::Failed), "it stays failed");

    // The event belongs to the operator's command, and names who sent the command first.
    let events = driver.log.read_committed("account.events");
    let event = events.last().unwrap();
    assert_eq!(event.headers.text(headers::PRINCIPAL), Some("somebody"));
    assert_eq!(event.headers.text(headers::CAUSATION_ID), Some(&*first.to_string()));

    // A restart changes nothing, and a repeat has the same outcome.
    driver.kill(0);
    driver.log.compact("bank.state");
    driver.start(0);
    let third = resend(&driver, 6, "ann", COMMANDS, letter);
    resend(&driver, 4, "ann", COMMANDS, letter);
    driver.settle();
    assert_eq!(code(&driver, third).as_deref(), Some("already_sent_again"));
    let repeated = driver.outcomes(first);
    assert_eq!((repeated.len(), &repeated[0]), (2, &repeated[1]));
    assert_eq!((noted(&driver, "a bug"), told(&driver).len()), (1, 1));
}

#[test]
fn refused_command_was_not_sent_and_a_pending_one_has_the_outcome_of_its_saga() {
    let mut driver = bank(1);
    driver.settings().local_follow_ups = false;
    driver.kill(0);
    driver.start(0);
    // A command that fails because a header of it is too long, under a key without money.
    let value =
        driver.encode(&crate::bank::Command::from(Transfer { to: "bob".into(), amount: 5 }));
    let mut written = redpanda::log::Headers::default();
    written.push("dead_topic", COMMANDS);
    written.push(headers::PRINCIPAL, "ann");
    let (partition, offset) =
        driver.log.append("account.commands.dead", "ann", Some(value), written);
    let letter = dead(&driver, COMMANDS)
        .into_iter()
        .find(|it| (it.partition, it.offset) == (partition, offset))
        .unwrap();

    let refused = resend(&driver, 1, "ann", COMMANDS, &letter);
    driver.settle();
    assert_eq!(code(&driver, refused).as_deref(), Some("overdrawn"));
    assert!(told(&driver).is_empty());

    send(&driver, "ann", 2, Deposit { amount: 7 });
    let pending = resend(&driver, 3, "ann", COMMANDS, &letter);
    driver.settle();
    let outcome = &driver.outcomes(pending)[..];
    assert_eq!((outcome.len(), outcome[0].verdict), (1, Verdict::Accepted));
    assert_eq!(balances(&driver), BTreeMap::from([("ann".into(), 2), ("bob".into(), 5)]));
    assert_eq!(told(&driver).len(), 1);
}

#[test]
fn follow_up_is_written_again_and_its_saga_ends() {
    for local_follow_ups in [false, true] {
        let mut driver = bank_with(|settings| settings.local_follow_ups = local_follow_ups);
        send(&driver, "ann", 1, Deposit { amount: 1_000 });
        driver.settle();
        // The credit fails while bob has nothing, and is given up.
        let transfer = send(&driver, "ann", 2, Transfer { to: "bob".into(), amount: 667 });
        driver.settle();
        drop_first(&mut driver, 3, "bob", FOLLOWUPS);
        let [letter] = &dead(&driver, FOLLOWUPS)[..] else { panic!("one dead letter") };
        assert!(driver.outcomes(transfer).is_empty());
        send(&driver, "bob", 4, Deposit { amount: 1 });
        driver.settle();

        let [first, second] = [5, 6].map(|id| resend(&driver, id, "bob", FOLLOWUPS, letter));
        driver.settle();
        assert_eq!(driver.outcomes(first)[0].verdict, Verdict::Accepted);
        assert_eq!(code(&driver, second).as_deref(), Some("already_sent_again"));
        assert_eq!(driver.outcomes(transfer)[0].verdict, Verdict::Accepted);
        assert_eq!(balances(&driver), BTreeMap::from([("ann".into(), 333), ("bob".into(), 668)]));
        // The new record is in the topic, has an id of its own, and belongs to the transfer.
        let records = driver.log.read_committed(FOLLOWUPS);
        let sent_id = told(&driver)[0].sent_id.to_string();
        let again = |it: &&Record| it.headers.text(headers::ID) == Some(&*sent_id);
        let again = records.iter().find(again).expect("the new record");
        assert_eq!(again.headers.text(headers::TYPE), Some("bank.Credit"));
        assert_eq!(again.headers.text(headers::CAUSATION_ID), Some(&*first.to_string()));
        assert_eq!(again.headers.text(headers::CORRELATION_ID), Some(&*transfer.to_string()));
        assert_eq!(again.value, letter.value);
        assert!(again.headers.iter().all(|(name, _)| !name.starts_with(b"dead_")));
    }
}

#[test]
fn policy_derives_again_what_follows_from_a_dead_event() {
    static BUG: AtomicBool = AtomicBool::new(true);
    let topics = TOPICS.into_iter().chain(["other.events", "other.events.dead"]);
    let log = MemoryLog::new(topics.map(|topic| (topic, PARTITIONS)));
    let topology = Topology::new("bank", |_| Some(PARTITIONS)).aggregate::<Account>();
    let topology = topology.policy::<Event, FollowUp>("other.events", |_, _| {
        assert!(!BUG.load(Ordering::Relaxed), "a bug");
        vec![Reaction::send("bob", FollowUp::from(Credit { from: "ann".into(), amount: 1 }))]
    });
    let mut driver = bank_on(&log, topology, 1);
    let event = Event::from(Noted { text: "n".into() });
    driver.send("other.events", "ann", Uuid::from_u128(1), "ann", &event);
    driver.settle();
    drop_first(&mut driver, 2, "ann", "other.events");
    let [letter] = &dead(&driver, "other.events")[..] else { panic!("one dead letter") };

    let early = resend(&driver, 3, "ann", "other.events", letter);
    driver.settle();
    assert_eq!(code(&driver, early).as_deref(), Some("still_failing"));
    BUG.store(false, Ordering::Relaxed);
    let [first, second] = [4, 5].map(|id| resend(&driver, id, "ann", "other.events", letter));
    driver.settle();
    assert_eq!(driver.outcomes(first)[0].verdict, Verdict::Accepted);
    assert_eq!(code(&driver, second).as_deref(), Some("already_sent_again"));
    assert_eq!(balances(&driver).get("bob"), Some(&1));
    assert_eq!(driver.log.read_committed("other.events").len(), 1, "it is not written again");
    assert_eq!(told(&driver)[0].sent_id, Uuid::from_u128(1));
}

#[test]
fn what_is_no_dead_letter_of_the_key_is_not_sent() {
    let mut driver = bank(1);
    send(&driver, "ann", 1, Panic { why: "a bug".into() });
    send(&driver, "ann", 2, Memo { text: "mended".into() });
    // An operator's command that can't be decided, as its header says.
    let mut written = redpanda::log::Headers::default();
    written.push(headers::TYPE, "millrace.engine.Redrive");
    let (_, operators) =
        driver.log.append("account.commands.dead", "ann", Some("x".into()), written.clone());
    let (_, bare) = driver.log.append("account.commands.dead", "ann", None, written);
    driver.settle();
    let letters = dead(&driver, COMMANDS);
    let at = |offset| letters.iter().find(|it| it.offset == offset).unwrap().clone();
    let letter = letters.iter().find(|it| it.headers.get("dead_error").is_some()).unwrap();

    let gone = Record { offset: letter.offset + 1_000, ..letter.clone() };
    let elsewhere = Record { partition: PARTITIONS, ..letter.clone() };
    for (id, key, topic, letter, expected) in [
        (11, "bob", COMMANDS, letter, "other_key"),
        (12, "ann", COMMANDS, &gone, "no_dead_letter"),
        (13, "ann", COMMANDS, &elsewhere, "no_dead_letter"),
        (14, "ann", "savings.commands", letter, "other_processor"),
        (15, "ann", COMMANDS, &at(operators), "operators_command"),
        (16, "ann", COMMANDS, &at(bare), "operators_command"),
    ] {
        let id = resend(&driver, id, key, topic, letter);
        driver.settle();
        assert_eq!(code(&driver, id).as_deref(), Some(expected));
    }
    assert!(told(&driver).is_empty());

    // A log that does not answer refuses this attempt, and no later one.
    let partition = TopicPartition::new("account.commands.dead", letter.partition);
    driver.log.fail_restores(partition.clone(), true);
    let unread = resend(&driver, 17, "ann", COMMANDS, letter);
    driver.settle();
    assert_eq!(code(&driver, unread).as_deref(), Some("dead_letter_unreadable"));
    driver.log.fail_restores(partition, false);
    let sent = resend(&driver, 18, "ann", COMMANDS, letter);
    driver.settle();
    assert_eq!(driver.outcomes(sent)[0].verdict, Verdict::Accepted);
}

#[test]
fn dead_letter_without_a_value_is_not_sent() {
    let mut driver = bank(1);
    let mut written = redpanda::log::Headers::default();
    written.push("dead_omitted", "value and headers: too large");
    driver.log.append("account.commands.dead", "ann", None, written);
    let id = resend(&driver, 1, "ann", COMMANDS, &dead(&driver, COMMANDS)[0]);
    driver.settle();
    assert_eq!(code(&driver, id).as_deref(), Some("no_value"));
    assert!(driver.outcomes(id)[0].detail.as_deref().unwrap().contains("too large"));
}

#[test]
fn it_is_remembered_that_a_dead_letter_was_sent_for_as_long_as_it_could_be_sent() {
    let mut driver = bank(1);
    send(&driver, "ann", 1, Panic { why: "a bug".into() });
    send(&driver, "ann", 2, Memo { text: "mended".into() });
    driver.settle();
    let [letter] = &dead(&driver, COMMANDS)[..] else { panic!("one dead letter") };
    let first = resend(&driver, 3, "ann", COMMANDS, letter);
    driver.settle();
    assert_eq!(driver.outcomes(first)[0].verdict, Verdict::Accepted);
    let mut id = 10;
    // Each pass is longer than the dedupe horizon; the third deposit commits what was forgotten.
    let mut pass = |driver: &mut Driver, days: u64| {
        driver.advance(Duration::from_secs(days * 24 * 3600));
        for _ in 0..3 {
            id += 1;
            send(driver, "ann", id, Deposit { amount: 1 });
            driver.settle();
        }
    };
    for _ in 0..9 {
        pass(&mut driver, 3);
    }
    assert_eq!(kept(&driver, &format!("handled/{first}")), 0, "its own outcome is forgotten");
    assert_eq!(kept(&driver, "handled/dead/"), 1);
    let again = resend(&driver, 4, "ann", COMMANDS, letter);
    driver.settle();
    assert_eq!(code(&driver, again).as_deref(), Some("already_sent_again"));
    for _ in 0..3 {
        pass(&mut driver, 2);
    }
    assert_eq!(kept(&driver, "handled/dead/"), 0);
    let late = resend(&driver, 5, "ann", COMMANDS, letter);
    driver.settle();
    assert_eq!(code(&driver, late).as_deref(), Some("no_dead_letter"));
    assert_eq!(noted(&driver, "a bug"), 1);
}

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

fn key_of(record: &Record) -> String {
    String::from_utf8(record.key.clone().unwrap().to_vec()).unwrap()
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
                20..=27 => {
                    let (_, fault) = STEPS[random.random_range(0..STEPS.len())];
                    let fault = fault(&mut random);
                    driver.log.fail_next(&driver.transactional_id(worker), fault);
                }
                28..=31 => driver.kill(worker),
                32..=38 => driver.start(worker),
                39 => driver.log.compact("bank.state"),
                40 => driver.log.expire_members("bank"),
                _ => drop(driver.step(worker)),
            }
        }
        driver.log.hold_commits(false);
        driver.log.expire_transactions();
        (0..WORKERS).for_each(|worker| driver.start(worker));
        driver.settle();

        let mut accepted = vec![0; letters.len()];
        let mut outcomes = BTreeMap::<Uuid, Outcome>::new();
        for (_, outcome) in driver.read::<Outcome>("bank.outcomes") {
            let first = outcomes.entry(outcome.command_id).or_insert_with(|| outcome.clone());
            assert_eq!(*first, outcome, "seed {seed}: two outcomes of one command");
        }
        for (id, letter) in &sent {
            match &outcomes[id] {
                Outcome { verdict: Verdict::Accepted, .. } => accepted[*letter] += 1,
                Outcome { code, .. } => {
                    assert_eq!(code.as_deref(), Some("already_sent_again"), "seed {seed}");
                }
            }
        }
        let mut credited = BTreeMap::<String, usize>::new();
        for (record, event) in driver.read::<Event>("account.events") {
            if matches!(event, Event::Credited(Credited { .. })) {
                *credited.entry(key_of(&record)).or_default() += 1;
            }
        }
        for (letter, (topic, record)) in letters.iter().enumerate() {
            let was_sent = usize::from(sent.values().any(|it| *it == letter));
            let key = key_of(record);
            assert_eq!(accepted[letter], was_sent, "seed {seed}: {topic} {key}");
            let effects = match *topic {
                COMMANDS => noted(&driver, &key),
                _ => credited.get(&key).copied().unwrap_or_default(),
            };
            assert_eq!(effects, was_sent, "seed {seed}: {topic} {key}");
        }
        assert_eq!(told(&driver).len(), accepted.iter().sum::<usize>(), "seed {seed}");
        assert!(letters.iter().all(|(_, it)| {
            it.partition == partition_of(it.key.as_deref().unwrap(), PARTITIONS)
        }));
    }
}
