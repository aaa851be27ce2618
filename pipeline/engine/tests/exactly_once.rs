//! The bank on the in-memory log: what the engine promises, and that faults between any two steps
//! do not break it.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod bank;

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use bank::{
    Account, Acknowledge, Balance, Command, Credit, Deposit, Event, FollowUp, OVERDUE_MS, Panic,
    Savings, Transfer,
};
use engine::{
    Topology,
    driver::{Driver, START_MS},
};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use redpanda::{
    log::{Headers, ProducerRecord, TopicPartition},
    memory::{Fault, MemoryLog},
    partition_of,
};
use schemas::{Codec, Message, Outcome, Record as _, Verdict, engine::Redrive};
use uuid::Uuid;

const PARTITIONS: i32 = 4;
const HOUR_MS: i64 = 3_600_000;
const TOPICS: [&str; 9] = [
    "account.commands",
    "account.followups",
    "account.events",
    "bank.state",
    "outcomes",
    "account.followups.dead",
    "savings.commands",
    "savings.followups",
    "savings.events",
];

fn bank(workers: usize) -> Driver {
    bank_of(Topology::new("bank", |_| Some(PARTITIONS)).aggregate::<Account>(), workers)
}

fn bank_of(topology: Topology, workers: usize) -> Driver {
    bank_on(&log(), topology, workers)
}

fn log() -> MemoryLog {
    let topics = TOPICS.into_iter().chain(["account.commands.dead"]);
    MemoryLog::new(topics.map(|topic| (topic, PARTITIONS)))
}

fn bank_on(log: &MemoryLog, topology: Topology, workers: usize) -> Driver {
    let schemas = schemas::all().iter().copied().chain(bank::schemas());
    let codec = Codec::of(schemas.zip(1..));
    Driver::new(log.clone(), topology, codec, workers)
}

fn send(driver: &Driver, key: &str, id: u128, command: impl Into<Command>) -> Uuid {
    let id = Uuid::from_u128(id);
    driver.send("account.commands", key, id, "somebody", &command.into());
    id
}

/// The balances that the events add up to; versions must count from 1 without a gap.
fn balances(driver: &Driver) -> BTreeMap<String, i64> {
    use domain::decider::Decider;
    let mut accounts = BTreeMap::<String, (i64, Option<Balance>)>::new();
    for (record, event) in driver.read::<Event>("account.events") {
        let key = String::from_utf8(record.key.clone().unwrap().to_vec()).unwrap();
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

/// The balances that the changelog holds.
fn remembered(driver: &Driver) -> BTreeMap<String, i64> {
    let mut accounts = BTreeMap::new();
    for record in driver.log.read_committed("bank.state") {
        let key = String::from_utf8(record.key.unwrap().to_vec()).unwrap();
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

#[test]
fn a_transfer_ends_with_one_outcome_and_the_money_elsewhere() {
    let mut driver = bank(1);
    send(&driver, "ann", 1, Deposit { amount: 100 });
    driver.settle();
    let transfer = send(&driver, "ann", 2, Transfer { to: "bob".into(), amount: 30 });
    driver.settle();

    let outcomes = driver.outcomes(transfer);
    assert_eq!(outcomes.len(), 1);
    assert_eq!((outcomes[0].verdict, outcomes[0].version), (Verdict::Accepted, 3));
    assert_eq!(outcomes[0].command_type, "bank.Transfer");
    assert_eq!(balances(&driver), BTreeMap::from([("ann".into(), 70), ("bob".into(), 30)]));
    assert_eq!(remembered(&driver), balances(&driver));
}

#[test]
fn a_refused_command_says_why_and_changes_nothing() {
    let mut driver = bank(1);
    let id = send(&driver, "ann", 1, Transfer { to: "bob".into(), amount: 30 });
    driver.settle();

    let outcomes = driver.outcomes(id);
    assert_eq!(
        (outcomes[0].verdict, outcomes[0].code.as_deref()),
        (Verdict::Refused, Some("overdrawn"))
    );
    assert!(balances(&driver).is_empty());
}

#[test]
fn a_repeated_command_is_answered_again_and_done_once_also_after_a_restart() {
    let mut driver = bank(1);
    for _ in 0..10 {
        send(&driver, "ann", 1, Deposit { amount: 100 });
    }
    driver.settle();
    driver.kill(0);
    driver.log.compact("bank.state");
    driver.start(0);
    let id = send(&driver, "ann", 1, Deposit { amount: 100 });
    driver.settle();

    let outcomes = driver.outcomes(id);
    assert_eq!(outcomes.len(), 11);
    assert!(outcomes.iter().all(|outcome| *outcome == outcomes[0]), "the same answer each time");
    assert_eq!(balances(&driver)["ann"], 100);
}

#[test]
fn a_second_transfer_from_one_account_waits_its_turn_with_a_refusal() {
    let mut driver = bank(1);
    send(&driver, "ann", 1, Deposit { amount: 100 });
    let first = send(&driver, "ann", 2, Transfer { to: "bob".into(), amount: 30 });
    let second = send(&driver, "ann", 3, Transfer { to: "bob".into(), amount: 30 });
    driver.settle();

    assert_eq!(driver.outcomes(first)[0].verdict, Verdict::Accepted);
    assert_eq!(driver.outcomes(second)[0].code.as_deref(), Some("in_progress"));
    assert_eq!(balances(&driver)["ann"], 70);
}

#[test]
fn a_decider_that_panics_fails_its_command_and_blocks_nobody() {
    let mut driver = bank(1);
    let panic = send(&driver, "ann", 1, Panic { why: "a bug".into() });
    let deposit = send(&driver, "ann", 2, Deposit { amount: 1 });
    driver.settle();

    let failed = &driver.outcomes(panic)[0];
    assert_eq!(failed.verdict, Verdict::Failed);
    assert!(failed.detail.as_deref().unwrap().contains("a bug"));
    assert_eq!(driver.outcomes(deposit)[0].verdict, Verdict::Accepted);
    assert_eq!(driver.log.read_committed("account.commands.dead").len(), 1);
}

#[test]
fn engine_that_panics_on_a_record_fails_its_command_and_blocks_nobody() {
    use std::sync::atomic::{AtomicU32, Ordering};
    // The first look at where a record of the topic belongs panics, outside of any decider.
    let looks = AtomicU32::new(0);
    let topology = Topology::new("bank", move |topic| {
        let is_first = topic == "account.commands" && looks.fetch_add(1, Ordering::Relaxed) == 0;
        assert!(!is_first, "a bug of the engine");
        Some(PARTITIONS)
    });
    let mut driver = bank_of(topology.aggregate::<Account>(), 1);
    let panic = send(&driver, "ann", 1, Deposit { amount: 1 });
    let deposit = send(&driver, "ann", 2, Deposit { amount: 1 });
    driver.settle();

    let failed = &driver.outcomes(panic)[0];
    assert_eq!(failed.verdict, Verdict::Failed);
    assert!(failed.detail.as_deref().unwrap().contains("a bug of the engine"));
    assert_eq!(driver.outcomes(deposit)[0].verdict, Verdict::Accepted);
    assert_eq!(driver.log.read_committed("account.commands.dead").len(), 1);
}

#[test]
fn header_names_that_are_not_text_disturb_nobody_and_are_kept_in_dead_letters() {
    let mut driver = bank(1);
    let mut headers = Headers::default();
    headers.push(b"\xff\xfe", b"1");
    headers.push(b"", b"\xff");
    headers.push("ce_correlationid", b"\xff");
    let value = driver.encode(&Command::from(Deposit { amount: 5 }));
    driver.log.append("account.commands", "ann", Some(value), headers.clone());
    driver.log.append("account.commands", "ann", Some("not avro".into()), headers.clone());
    let credit = driver.encode(&FollowUp::from(Credit { from: "zoe".into(), amount: 666 }));
    driver.log.append("account.followups", "bob", Some(credit), headers);
    driver.settle();
    driver.kill(0);
    driver.start(0);
    driver.settle();

    assert_eq!(balances(&driver)["ann"], 5);
    let dead = driver.log.read_committed("account.commands.dead");
    assert_eq!(dead.len(), 1);
    assert!(
        dead[0].headers.iter().any(|header| header == (b"\xff\xfe".as_slice(), b"1".as_slice()))
    );
}

#[test]
fn poison_becomes_dead_letters_with_failed_outcomes() {
    let mut driver = bank(1);
    let place = partition_of(b"ann", PARTITIONS);
    let poison = |partition, key: Option<&'static str>, value: &'static [u8]| {
        let key = key.map(|key| key.as_bytes().into());
        let (topic, value) = ("account.commands".into(), Some(value.into()));
        driver.log.append_raw(ProducerRecord {
            topic,
            partition,
            key,
            value,
            headers: Headers::default(),
        })
    };
    poison(place, Some("ann"), b"not avro");
    poison(place, Some("ann"), b"\0\0\0\x27\x0f....");
    poison(place, Some("ann"), b"");
    poison(place, None, b"\0\0\0\0\x01\x02");
    poison((place + 1) % PARTITIONS, Some("ann"), b"\0\0\0\0\x01\x02");
    let deposit = send(&driver, "ann", 1, Deposit { amount: 1 });
    driver.settle();

    assert_eq!(driver.log.read_committed("account.commands.dead").len(), 5);
    let failed = driver.read::<schemas::Outcome>("outcomes");
    assert_eq!(failed.iter().filter(|(_, outcome)| outcome.verdict == Verdict::Failed).count(), 5);
    assert_eq!(driver.outcomes(deposit)[0].verdict, Verdict::Accepted);
}

#[test]
fn a_command_without_headers_works() {
    let mut driver = bank(1);
    let value = driver.encode(&Command::from(Deposit { amount: 5 }));
    driver.log.append("account.commands", "ann", Some(value), Headers::default());
    driver.settle();

    assert_eq!(balances(&driver)["ann"], 5);
    let outcomes = driver.read::<schemas::Outcome>("outcomes");
    assert_eq!((outcomes.len(), outcomes[0].1.principal.as_str()), (1, "operator"));
}

#[test]
fn a_failing_follow_up_parks_its_key_alone_until_it_is_re_driven() {
    let mut driver = bank(1);
    let credit = |amount| FollowUp::from(Credit { from: "zoe".into(), amount });
    driver.send("account.followups", "ann", Uuid::from_u128(1), "system", &credit(666));
    driver.send("account.followups", "ann", Uuid::from_u128(2), "system", &credit(1));
    driver.send("account.followups", "bob", Uuid::from_u128(3), "system", &credit(1));
    driver.settle();
    assert_eq!(balances(&driver).get("bob"), Some(&1), "others go on");
    assert_eq!(balances(&driver).get("ann"), None);

    driver.kill(0);
    driver.log.compact("bank.state");
    driver.start(0);
    let redrive = |id, drop_first| {
        let redrive = Redrive { topic: "account.followups".into(), drop_first };
        driver.send("account.commands", "ann", Uuid::from_u128(id), "operator", &redrive);
    };
    redrive(4, false);
    redrive(5, true);
    redrive(6, true);
    driver.settle();

    assert_eq!(driver.outcomes(Uuid::from_u128(4))[0].code.as_deref(), Some("still_failing"));
    assert_eq!(driver.outcomes(Uuid::from_u128(5))[0].verdict, Verdict::Accepted);
    assert_eq!(driver.outcomes(Uuid::from_u128(6))[0].code.as_deref(), Some("nothing_parked"));
    assert_eq!(balances(&driver)["ann"], 1);
    assert_eq!(driver.log.read_committed("account.followups.dead").len(), 1);
}

#[test]
fn a_timer_fires_when_it_is_due_also_after_a_restart_and_not_when_cancelled() {
    let mut driver = bank(1);
    send(&driver, "ann", 1, Deposit { amount: 100 });
    driver.settle();
    // Parked at the other end, so that no acknowledgement comes.
    send(&driver, "ann", 2, Transfer { to: "bob".into(), amount: 66 });
    driver.settle();
    driver.advance(Duration::from_millis(OVERDUE_MS as u64 + 1));
    driver.settle();
    let overdue = |driver: &Driver| {
        let events = driver.read::<Event>("account.events");
        events.iter().filter(|(_, event)| matches!(event, Event::Overdue(_))).count()
    };
    assert_eq!(overdue(&driver), 0, "it arrived in time");

    send(&driver, "ann", 3, Deposit { amount: 1000 });
    driver.settle();
    let late = send(&driver, "ann", 4, Transfer { to: "bob".into(), amount: 666 });
    driver.settle();
    driver.kill(0);
    driver.start(0);
    driver.settle();
    assert_eq!(overdue(&driver), 0);
    driver.advance(Duration::from_millis(OVERDUE_MS as u64 + 1));
    driver.settle();
    assert_eq!(overdue(&driver), 1);
    driver.settle();
    assert_eq!(overdue(&driver), 1, "once");
    assert!(driver.outcomes(late).is_empty(), "the saga has not finished");
}

#[test]
fn old_commands_are_refused_and_old_outcomes_forgotten() {
    let mut driver = bank(1);
    let first = send(&driver, "ann", 1, Deposit { amount: 1 });
    driver.settle();
    driver.advance(Duration::from_secs(30 * 3600));
    send(&driver, "ann", 2, Deposit { amount: 1 });
    driver.settle();
    send(&driver, "ann", 3, Deposit { amount: 1 });
    driver.settle();
    driver.log.compact("bank.state");

    let key = format!("handled/{first}");
    let rows: Vec<_> = driver.log.read_committed("bank.state");
    let row = rows.iter().find(|record| record.key.as_deref() == Some(key.as_bytes())).unwrap();
    assert!(row.value.is_none(), "forgotten: {row:?}");
}

/// The keys of the changelog that have a value and begin with `prefix`.
fn kept(driver: &Driver, prefix: &str) -> usize {
    let mut rows = HashMap::new();
    for record in driver.log.read_committed("bank.state") {
        rows.insert(record.key.unwrap(), record.value.is_some());
    }
    rows.iter().filter(|(key, kept)| **kept && key.starts_with(prefix.as_bytes())).count()
}

#[test]
fn outcomes_are_forgotten_as_fast_as_commands_come_in_large_transactions() {
    let mut driver = bank_with(|settings| {
        settings.part_min = usize::MAX;
        settings.dedupe_horizon = Duration::from_secs(3600);
    });
    let (batch, mut id) = (2_000, 0);
    for _ in 0..12 {
        for _ in 0..batch {
            id += 1;
            send(&driver, "ann", id, Deposit { amount: 1 });
        }
        driver.settle();
        driver.advance(Duration::from_secs(1800));
    }
    // What came within the horizon and its margin, and in the transaction that forgets.
    let kept = kept(&driver, "handled/");
    assert!(kept <= 4 * batch, "{kept} of {id} are remembered");
}

#[test]
fn command_of_a_saga_that_outlived_the_horizon_is_forgotten_after_its_end() {
    let mut driver = bank(1);
    send(&driver, "ann", 1, Deposit { amount: 1000 });
    driver.settle();
    // Parked at the other end.
    let late = send(&driver, "ann", 2, Transfer { to: "bob".into(), amount: 666 });
    let mut id = 2;
    let mut pass = |driver: &mut Driver| {
        driver.advance(Duration::from_secs(30 * 3600));
        for _ in 0..3 {
            id += 1;
            send(driver, "ann", id, Deposit { amount: 1 });
            driver.settle();
        }
    };
    driver.settle();
    pass(&mut driver);
    let key = format!("handled/{late}");
    assert_eq!(kept(&driver, &key), 1, "the saga has not finished");

    let acknowledge = FollowUp::from(Acknowledge { amount: 666 });
    driver.send("account.followups", "ann", Uuid::from_u128(1000), "system", &acknowledge);
    driver.settle();
    assert_eq!(driver.outcomes(late).len(), 1);
    pass(&mut driver);
    assert_eq!(kept(&driver, &key), 0);
}

#[test]
fn parked_bytes_of_all_keys_are_bounded_also_after_a_restart_and_given_back_by_a_redrive() {
    let mut driver = bank_with(|settings| settings.parked_bytes_max = 2_000);
    // All in one task.
    let own = partition_of(b"ann", PARTITIONS);
    let mut keys = (0..).map(|n| format!("key-{n}")).filter(|key| followups(key).partition == own);
    let mut fail = |driver: &mut Driver, id: u128| {
        let key = keys.next().unwrap();
        let credit = FollowUp::from(Credit { from: "zoe".into(), amount: 666 });
        driver.send("account.followups", &key, Uuid::from_u128(id), "system", &credit);
        driver.settle();
        key
    };
    let first = fail(&mut driver, 1);
    (2..30).for_each(|id| drop(fail(&mut driver, id)));
    let parked = kept(&driver, "parked/");
    let dead = |driver: &Driver| driver.log.read_committed("account.followups.dead").len();
    assert!((2..8).contains(&parked), "{parked} are parked");
    assert_eq!(dead(&driver), 29 - parked, "what does not fit is a dead letter");

    driver.kill(0);
    driver.start(0);
    driver.settle();
    fail(&mut driver, 50);
    assert_eq!((kept(&driver, "parked/"), dead(&driver)), (parked, 30 - parked));

    let redrive = Redrive { topic: "account.followups".into(), drop_first: true };
    driver.send("account.commands", &first, Uuid::from_u128(60), "operator", &redrive);
    driver.settle();
    fail(&mut driver, 61);
    assert_eq!(
        (kept(&driver, "parked/"), dead(&driver)),
        (parked, 31 - parked),
        "there is room again"
    );
}

#[test]
fn one_record_two_days_ahead_does_not_make_later_commands_expire() {
    let mut driver = bank(1);
    driver.log.set_time(START_MS + 48 * HOUR_MS);
    let ahead = send(&driver, "ann", 1, Deposit { amount: 1 });
    driver.settle();
    driver.log.set_time(START_MS);
    let later = send(&driver, "ann", 2, Deposit { amount: 1 });
    driver.settle();
    // Restored, too: the changelog remembers the time of the command that was ahead.
    driver.kill(0);
    driver.start(0);
    let restored = send(&driver, "ann", 3, Deposit { amount: 1 });
    driver.settle();

    for command in [ahead, later, restored] {
        assert_eq!(driver.outcomes(command)[0].verdict, Verdict::Accepted);
    }
    assert_eq!(balances(&driver)["ann"], 3);
}

#[test]
fn commands_that_waited_longer_than_the_horizon_are_decided_in_whatever_order_topics_are_read() {
    let mut driver = bank(1);
    driver.kill(0);
    // More than come in one poll, so that a newer record of another topic is read in the middle.
    let waiting: Vec<_> =
        (0..3_000).map(|id| send(&driver, "ann", id, Deposit { amount: 1 })).collect();
    driver.advance(Duration::from_secs(30 * 3600));
    driver.log.append("account.followups", "ann", Some("no follow-up".into()), Headers::default());

    driver.start(0);
    driver.settle();

    let outcomes: HashMap<_, _> = driver
        .read::<Outcome>("outcomes")
        .into_iter()
        .map(|(_, one)| (one.command_id, one))
        .collect();
    for command in waiting {
        assert_eq!(outcomes[&command].verdict, Verdict::Accepted, "{:?}", outcomes[&command]);
    }
}

#[test]
fn worker_with_a_session_but_no_assignment_yet_is_not_ready() {
    let mut driver = bank(1);
    send(&driver, "ann", 1, Deposit { amount: 1 });

    // The first turn opens the session; the group's answer comes with a poll.
    driver.step(0).unwrap();
    assert!(!driver.is_ready(0));

    driver.settle();
    assert!(driver.is_ready(0));
}

#[test]
fn two_workers_share_the_tasks_and_one_takes_over_from_the_other() {
    let mut driver = bank(2);
    for account in 0..40 {
        send(&driver, &format!("account-{account}"), account, Deposit { amount: 1 });
    }
    driver.settle();
    driver.kill(0);
    for account in 0..40 {
        send(&driver, &format!("account-{account}"), 100 + account, Deposit { amount: 1 });
    }
    driver.settle();

    let balances = balances(&driver);
    assert_eq!(balances.len(), 40);
    assert!(balances.values().all(|balance| *balance == 2));
}

#[test]
fn a_transaction_is_written_while_it_is_decided_on_and_aborted_when_its_tasks_go() {
    let mut driver = bank(2);
    driver.kill(1);
    driver.settle();
    for account in 0..40 {
        send(&driver, &format!("account-{account}"), account, Deposit { amount: 1 });
    }
    while driver.log.open_transactions() == 0 {
        assert!(driver.step(0).expect("it goes on"), "nothing is written before the input drains");
    }
    assert!(driver.log.read_committed("account.events").is_empty(), "nobody sees it");

    driver.start(1);
    assert!(driver.step(1).expect("it joins"));
    while driver.log.open_transactions() > 0 {
        assert!(
            driver.step(0).expect("it goes on"),
            "what was written stays open when its tasks have gone"
        );
    }
    assert!(driver.log.read_committed("account.events").is_empty(), "it was aborted");
    driver.settle();
    let balances = balances(&driver);
    assert_eq!(balances.len(), 40);
    assert!(balances.values().all(|balance| *balance == 1));
}

/// A bank of one worker with other settings.
fn bank_with(change: impl FnOnce(&mut engine::Settings)) -> Driver {
    let mut driver = bank(1);
    driver.kill(0);
    change(driver.settings());
    driver.start(0);
    driver.settle();
    driver
}

/// Steps for as long as there is anything to do, at most.
fn steps(driver: &mut Driver, at_most: usize) {
    for _ in 0..at_most {
        driver.step(0).expect("it goes on");
    }
}

#[test]
fn batch_grows_to_twice_its_records_while_another_is_in_flight_and_no_further() {
    let mut driver = bank_with(|settings| settings.records_max = 4);
    driver.log.hold_commits(true);
    for account in 0..40 {
        send(&driver, &format!("account-{account}"), account, Deposit { amount: 1 });
    }
    steps(&mut driver, 20);
    assert_eq!(driver.held(0).0, 8);

    driver.log.hold_commits(false);
    driver.settle();
    assert_eq!(balances(&driver).values().sum::<i64>(), 40);
}

#[test]
fn timers_of_one_moment_leave_a_batch_within_its_bounds() {
    let mut driver = bank_with(|settings| settings.records_max = 4);
    for account in 0..40 {
        let name = format!("account-{account}");
        send(&driver, &name, account, Deposit { amount: 1000 });
        driver.settle();
        // Parked at the other end, so that the timer is not cancelled.
        send(&driver, &name, 100 + account, Transfer { to: "bob".into(), amount: 666 });
    }
    driver.settle();
    driver.log.hold_commits(true);
    send(&driver, "ann", 1000, Deposit { amount: 1 });
    driver.advance(Duration::from_millis(OVERDUE_MS as u64 + 1));
    for account in 0..40 {
        send(&driver, &format!("account-{account}"), 2000 + account, Deposit { amount: 1 });
    }
    for _ in 0..40 {
        driver.step(0).expect("it goes on");
        assert!(driver.held(0).0 <= 8, "{} records and timers are held", driver.held(0).0);
    }

    driver.log.hold_commits(false);
    driver.settle();
    let events = driver.read::<Event>("account.events");
    assert_eq!(events.iter().filter(|(_, event)| matches!(event, Event::Overdue(_))).count(), 40);
    assert_eq!(balances(&driver)["account-0"], 1001 - 666);
}

#[test]
fn bytes_held_while_a_transaction_is_in_flight_are_bounded() {
    let max = 20_000;
    let mut driver = bank_with(|settings| settings.bytes_max = max);
    driver.log.hold_commits(true);
    let why = "a long story ".repeat(100);
    for id in 0..100 {
        send(&driver, "ann", id, Panic { why: why.clone() });
    }
    steps(&mut driver, 20);
    let (_, bytes) = driver.held(0);
    // The last one may stand above the bound: its dead letter and its outcome.
    assert!(bytes >= 2 * max && bytes < 2 * max + 4 * why.len(), "{bytes} bytes are held");

    driver.log.hold_commits(false);
    driver.settle();
    assert_eq!(driver.log.read_committed("account.commands.dead").len(), 100);
}

#[test]
fn backlog_that_does_not_drain_is_committed_by_age() {
    let mut driver = bank_with(|settings| settings.age_max = Duration::ZERO);
    for id in 0..2_000 {
        send(&driver, &format!("account-{}", id % 20), id, Deposit { amount: 1 });
    }
    steps(&mut driver, 4);
    let committed = balances(&driver).values().sum::<i64>();
    assert!(committed > 0 && committed < 2_000, "{committed} of 2,000 are committed");

    driver.settle();
    assert_eq!(balances(&driver).values().sum::<i64>(), 2_000);
}

/// The only partition of the follow-ups to `key`.
fn followups(key: &str) -> TopicPartition {
    TopicPartition::new("account.followups", partition_of(key.as_bytes(), PARTITIONS))
}

#[test]
fn positions_follow_marks_and_aborted_records_while_nothing_is_read() {
    let mut driver = bank_with(|settings| settings.positions_every = Duration::ZERO);
    send(&driver, "ann", 1, Deposit { amount: 100 });
    send(&driver, "ann", 2, Transfer { to: "bob".into(), amount: 30 });
    driver.settle();
    // Aborted, with the follow-up that it had sent.
    driver.log.fail_next(&driver.transactional_id(0), Fault::AfterSend(3));
    send(&driver, "ann", 3, Transfer { to: "bob".into(), amount: 30 });
    driver.settle();
    for key in ["ann", "bob"] {
        let place = followups(key);
        assert_eq!(
            driver.log.committed("bank", &place),
            Some(driver.log.span(&place).1),
            "{place}"
        );
    }

    driver.log.remove_all("account.followups");
    driver.kill(0);
    driver.start(0);
    send(&driver, "ann", 4, Transfer { to: "bob".into(), amount: 10 });
    driver.settle();
    assert_eq!(balances(&driver), BTreeMap::from([("ann".into(), 30), ("bob".into(), 70)]));
}

#[test]
fn worker_that_ends_in_order_commits_the_positions_that_nothing_carried() {
    let mut driver = bank(1);
    driver.settle();
    let place = followups("ann");
    assert_eq!(driver.log.committed("bank", &place), None);
    driver.stop(0).expect("it ends in order");
    assert_eq!(driver.log.committed("bank", &place), Some(0));
}

/// A bank whose former engine has read the first two of `written` follow-ups in each partition,
/// which are all gone.
fn bank_before_a_removal(written: i64, change: impl FnOnce(&mut engine::Settings)) -> Driver {
    let mut driver = bank(1);
    driver.kill(0);
    change(driver.settings());
    for partition in 0..PARTITIONS {
        let place = TopicPartition::new("account.followups", partition);
        for _ in 0..written {
            driver.log.append_raw(ProducerRecord {
                topic: place.topic.clone(),
                partition,
                key: None,
                value: None,
                headers: Headers::default(),
            });
        }
        for (topic, next_offset) in [("account.followups", 2), ("account.commands", 0)] {
            let applied = schemas::engine::Applied { topic: topic.into(), next_offset };
            driver.log.append_raw(ProducerRecord {
                topic: "bank.state".into(),
                partition,
                key: Some(format!("applied/{topic}").into()),
                value: Some(driver.encode(&applied)),
                headers: Headers::default(),
            });
            driver.log.commit("bank", TopicPartition::new(topic, partition), next_offset);
        }
    }
    driver.log.remove_all("account.followups");
    driver.start(0);
    driver
}

#[test]
fn position_that_is_one_mark_away_from_an_empty_log_goes_on() {
    let mut driver = bank_before_a_removal(3, |_| ());
    send(&driver, "ann", 1, Deposit { amount: 100 });
    let transfer = send(&driver, "ann", 2, Transfer { to: "bob".into(), amount: 30 });
    driver.settle();

    assert!(driver.stuck(0).is_empty());
    assert_eq!(driver.outcomes(transfer)[0].verdict, Verdict::Accepted);
}

#[test]
fn task_whose_records_are_gone_is_set_aside_and_says_what_to_do() {
    let mut driver = bank_before_a_removal(4, |_| ());
    let id = send(&driver, "ann", 1, Deposit { amount: 100 });
    driver.settle();
    assert!(driver.outcomes(id).is_empty());
    let stuck = driver.stuck(0);
    assert_eq!(stuck.len(), PARTITIONS as usize);
    assert!(stuck[0].contains("MILLRACE_ACCEPT_LOSS=account.followups[0]"), "{}", stuck[0]);

    // Accepted for one, the others still wait.
    driver.kill(0);
    let place = followups("ann");
    driver.settings().accept_loss = vec![place.to_string()];
    driver.start(0);
    driver.settle();
    assert_eq!(driver.stuck(0).len(), PARTITIONS as usize - 1);
    assert_eq!(driver.outcomes(id)[0].verdict, Verdict::Accepted);
}

#[test]
fn changelog_record_that_cannot_be_read_stops_its_task_alone() {
    let mut driver = bank(1);
    driver.settle();
    driver.kill(0);
    let broken = partition_of(b"ann", PARTITIONS);
    driver.log.append_raw(ProducerRecord {
        topic: "bank.state".into(),
        partition: broken,
        key: Some("a key of a newer version".into()),
        value: None,
        headers: Headers::default(),
    });
    driver.start(0);
    let other = (0..)
        .map(|n| format!("account-{n}"))
        .find(|key| followups(key).partition != broken)
        .unwrap();
    let waits = send(&driver, "ann", 1, Deposit { amount: 1 });
    let goes_on = send(&driver, &other, 2, Deposit { amount: 1 });
    driver.settle();

    assert_eq!(driver.stuck(0).len(), 1);
    for words in ["a key of a newer version", "start that version again"] {
        assert!(driver.stuck(0)[0].contains(words), "{}", driver.stuck(0)[0]);
    }
    assert!(driver.outcomes(waits).is_empty());
    assert_eq!(driver.outcomes(goes_on)[0].verdict, Verdict::Accepted);
}

#[test]
fn state_of_a_record_type_that_only_a_newer_version_knows_stops_its_task_alone_and_says_what_to_do()
{
    let mut driver = bank(1);
    driver.settle();
    driver.kill(0);
    let place = followups("ann");
    let newer = |value: Option<bytes::Bytes>| {
        driver.log.append_raw(ProducerRecord {
            topic: "bank.state".into(),
            partition: place.partition,
            key: Some("state/account/ann".into()),
            value,
            headers: Headers::default(),
        })
    };
    newer(Some(driver.encode(&Deposit { amount: 1 })));
    driver.start(0);
    let other = (0..)
        .map(|n| format!("account-{n}"))
        .find(|key| followups(key).partition != place.partition);
    let goes_on = send(&driver, &other.unwrap(), 2, Deposit { amount: 1 });
    driver.settle();

    assert_eq!(driver.stuck(0).len(), 1);
    for words in ["bank.Deposit", "start that version again"] {
        assert!(driver.stuck(0)[0].contains(words), "{}", driver.stuck(0)[0]);
    }
    assert_eq!(driver.outcomes(goes_on)[0].verdict, Verdict::Accepted);
}

#[test]
fn older_version_leaves_the_contexts_of_a_newer_one_alone_which_finds_them_again() {
    let older = || Topology::new("bank", |_| Some(PARTITIONS)).aggregate::<Account>();
    let log = log();
    let mut driver = bank_on(&log, older().aggregate::<Savings>(), 1);
    let save = |driver: &Driver, id: u128, command: Command| {
        driver.send("savings.commands", "ann", Uuid::from_u128(id), "somebody", &command);
        Uuid::from_u128(id)
    };
    save(&driver, 1, Deposit { amount: 1000 }.into());
    driver.settle();
    // Parked at the other end, so that a timer runs and the command waits.
    let saga = save(&driver, 2, Transfer { to: "bob".into(), amount: 666 }.into());
    driver.settle();
    drop(driver);

    // Rolled back: the older version works, also after a compaction and when that timer comes due.
    log.expire_members("bank");
    log.compact("bank.state");
    let mut driver = bank_on(&log, older(), 1);
    let deposit = send(&driver, "ann", 3, Deposit { amount: 1 });
    driver.settle();
    driver.advance(Duration::from_millis(OVERDUE_MS as u64 + 1));
    let waiting = save(&driver, 4, Deposit { amount: 5 }.into());
    let second = send(&driver, "ann", 5, Deposit { amount: 1 });
    driver.settle();
    assert!(driver.stuck(0).is_empty(), "{:?}", driver.stuck(0));
    for command in [deposit, second] {
        assert_eq!(driver.outcomes(command)[0].verdict, Verdict::Accepted);
    }
    assert!(driver.outcomes(waiting).is_empty());
    drop(driver);

    // Forward again: state, timer and waiting command are there, and what came meanwhile is
    // decided.
    log.expire_members("bank");
    log.compact("bank.state");
    let mut driver = bank_on(&log, older().aggregate::<Savings>(), 1);
    driver.advance(Duration::from_millis(OVERDUE_MS as u64 + 1));
    driver.settle();
    assert_eq!(driver.outcomes(waiting)[0].verdict, Verdict::Accepted);
    let events: Vec<_> =
        driver.read::<Event>("savings.events").into_iter().map(|(_, event)| event).collect();
    assert_eq!(events.iter().filter(|event| matches!(event, Event::Overdue(_))).count(), 1);
    let acknowledge = FollowUp::from(bank::Acknowledge { amount: 666 });
    driver.send("savings.followups", "ann", Uuid::from_u128(6), "system", &acknowledge);
    driver.settle();
    assert_eq!(driver.outcomes(saga)[0].verdict, Verdict::Accepted);
}

/// A bank amid random work, and what was asked of it.
struct Work {
    random: StdRng,
    driver: Driver,
    sent: HashMap<Uuid, (String, Command)>,
    deposited: i64,
}

impl Work {
    fn new(seed: u64, workers: usize) -> Self {
        let mut driver = bank(workers);
        driver.settings().stuck_wait = Duration::ZERO;
        // Every third seed has bounds that are soon met; every other one commits positions alone.
        if seed.is_multiple_of(3) {
            driver.settings().records_max = 3;
            driver.settings().bytes_max = 2_000;
        }
        if seed.is_multiple_of(2) {
            driver.settings().positions_every = Duration::ZERO;
        }
        for worker in 0..workers {
            driver.kill(worker);
            driver.start(worker);
        }
        Self { random: StdRng::seed_from_u64(seed), driver, sent: HashMap::new(), deposited: 0 }
    }

    /// Somebody deposits or transfers money.
    fn send(&mut self) {
        let random = &mut self.random;
        let account = format!("account-{}", random.random_range(0..8));
        let amount = random.random_range(1..50);
        let to = format!("account-{}", random.random_range(0..8));
        let command: Command = match random.random_bool(0.5) {
            true => {
                self.deposited += amount;
                Deposit { amount }.into()
            }
            false => Transfer { to, amount }.into(),
        };
        let id = send(&self.driver, &account, self.random.random(), command.clone());
        self.sent.insert(id, (account, command));
    }

    /// The gateway's client may write a record twice.
    fn send_again(&mut self) {
        let mut ids: Vec<_> = self.sent.keys().copied().collect();
        // A map's order is no seed's.
        ids.sort_unstable();
        if let Some(id) = ids.choose(&mut self.random) {
            let (account, command) = &self.sent[id];
            self.driver.send("account.commands", account, *id, "somebody", command);
        }
    }

    /// Lets everybody finish, and looks at what came of it.
    fn judge(mut self, what: &str) {
        let Self { driver, sent, deposited, .. } = &mut self;
        driver.log.hold_commits(false);
        driver.log.expire_transactions();
        (0..driver.workers()).for_each(|worker| driver.start(worker));
        driver.settle();

        assert_eq!(driver.log.open_transactions(), 0, "{what}: a transaction is left open");
        let mut outcomes = HashMap::<Uuid, schemas::Outcome>::new();
        for (_, outcome) in driver.read::<schemas::Outcome>("outcomes") {
            assert!(sent.contains_key(&outcome.command_id), "{what}: an outcome without a command");
            let first = outcomes.entry(outcome.command_id).or_insert_with(|| outcome.clone());
            assert_eq!(*first, outcome, "{what}: two different outcomes of one command");
        }
        assert_eq!(outcomes.len(), sent.len(), "{what}: a command without an outcome");
        let balances = balances(driver);
        assert_eq!(balances.values().sum::<i64>(), *deposited, "{what}: money was lost or made");
        assert!(balances.values().all(|balance| *balance >= 0), "{what}: an account is overdrawn");
        assert_eq!(remembered(driver), balances, "{what}: the changelog differs from the events");
    }
}

/// Random work under random faults: afterwards every invariant holds.
fn survive(seed: u64) {
    let mut work = Work::new(seed, 3);
    for _ in 0..300 {
        let worker = work.random.random_range(0..3);
        match work.random.random_range(0..100) {
            0..=19 => work.send(),
            20..=24 => work.send_again(),
            25..=29 => {
                let (_, fault) = STEPS[work.random.random_range(0..STEPS.len())];
                let fault = fault(&mut work.random);
                work.driver.log.fail_next(&work.driver.transactional_id(worker), fault);
            }
            30..=32 => work.driver.kill(worker),
            33..=38 => work.driver.start(worker),
            39 => work.driver.log.expire_members("bank"),
            40 => work.driver.log.expire_transactions(),
            41 => work.driver.log.compact("bank.state"),
            45..=46 => work.driver.log.remove_consumed("account.followups", "bank"),
            42..=44 => work.driver.log.hold_commits(work.random.random()),
            _ => drop(work.driver.step(worker)),
        }
    }
    work.judge(&format!("seed {seed}"));
}

#[test]
fn nothing_is_lost_or_doubled_whatever_fails() {
    for seed in 0..400 {
        survive(seed);
    }
}

/// Chooses a fault of one kind.
type Choose = fn(&mut StdRng) -> Fault;

/// Each step at which a worker can die or be refused.
const STEPS: [(&str, Choose); 12] = [
    ("after a poll", |_| Fault::AfterPoll),
    ("before a transaction", |_| Fault::BeforeBegin),
    ("after its begin", |_| Fault::AfterBegin),
    ("after each record", |random| Fault::AfterSend(random.random_range(1..12))),
    ("after the offsets", |_| Fault::AfterOffsets),
    ("before EndTxn", |_| Fault::BeforeCommit),
    ("before the answer to EndTxn", |_| Fault::CommitUnseen),
    ("after the commit", |_| Fault::AfterCommit),
    ("during a restore", |random| Fault::DuringRestore(random.random_range(1..20))),
    ("in a rebalance", |_| Fault::InRebalance),
    ("at an abort", |_| Fault::Abort),
    ("fenced", |_| Fault::Fence),
];

/// Amid work one worker comes to `fault`, and is killed there; another is at work too, and comes
/// and goes, so that there is somebody to take over.
fn die(step: &str, fault: Choose, seed: u64) {
    let mut work = Work::new(seed, 2);
    let what = format!("{step}, seed {seed}");
    let id = work.driver.transactional_id(0);
    let before = work.random.random_range(0..100);
    for turn in 0..5000 {
        if turn == before {
            let fault = fault(&mut work.random);
            work.driver.log.fail_next(&id, fault);
        }
        if turn > before && work.driver.log.pending_fault(&id).is_none() {
            work.driver.kill(0);
            // The other one goes on without it for a while.
            for _ in 0..work.random.random_range(0..20) {
                drop(work.driver.step(1));
            }
            return work.judge(&what);
        }
        match work.random.random_range(0..100) {
            0..=24 => work.send(),
            25..=29 => work.send_again(),
            30 => work.driver.kill(1),
            31..=34 => work.driver.start(1),
            35 => work.driver.log.compact("bank.state"),
            36..=70 => drop(work.driver.step(1)),
            _ => drop(work.driver.step(0)),
        }
    }
    panic!("{what}: the worker never came there");
}

#[test]
fn nothing_is_lost_or_doubled_at_whichever_step_a_worker_dies() {
    for (step, fault) in STEPS {
        for seed in 0..60 {
            die(step, fault, seed);
        }
    }
}

/// The negative control of Redpanda's rule that offsets are staged once a transaction.
#[test]
fn session_that_sends_offsets_twice_commits_nothing_until_it_is_mended() {
    let mut driver = bank(1);
    driver.log.send_offsets_twice(true);
    let id = send(&driver, "ann", 1, Deposit { amount: 100 });
    for _ in 0..100 {
        driver.step(0).unwrap();
    }
    assert!(driver.outcomes(id).is_empty(), "a transaction was committed");
    assert!(driver.log.read_committed("bank.state").is_empty());

    driver.log.send_offsets_twice(false);
    driver.settle();
    assert_eq!(driver.outcomes(id).len(), 1);
    assert_eq!(balances(&driver)["ann"], 100);
}

#[test]
fn the_redrive_command_is_known_by_its_name() {
    assert_eq!(Redrive::SCHEMA.name, "millrace.engine.Redrive");
}
