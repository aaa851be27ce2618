//! The bank with records that are larger than their topics take: single inputs fail, and the others
//! are processed.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod bank;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use bank::{
    Command, Credit, Deposit, Event, FollowUp, Memo, NOT_ENCODABLE, PARTITIONS, driver, send,
    step_until, verdicts,
};
use engine::driver::Driver;
use redpanda::{
    log::{Headers, TopicPartition},
    partition_of,
};
use schemas::{
    Outcome,
    Verdict::{self, Accepted, Failed},
    engine::Redrive,
    headers,
};
use uuid::Uuid;

/// The limit of a topic that `topics.yaml` does not name.
const BYTES_MAX: usize = 1024 * 1024;

fn memo(kilobytes: usize) -> Memo {
    Memo { text: "x".repeat(kilobytes * 1000) }
}

#[test]
fn command_whose_event_is_too_large_fails_alone_with_a_dead_letter() {
    let mut driver = driver();
    // The command fits, and the event does not, because of its headers.
    let large = Memo { text: "x".repeat(BYTES_MAX - 300) };
    let commands = [
        send(&driver, "ann", 1, Deposit { amount: 1 }),
        send(&driver, "ann", 2, large),
        send(&driver, "ann", 3, Deposit { amount: 1 }),
    ];
    driver.settle();

    assert_eq!(
        verdicts(&driver, &commands),
        [Verdict::Accepted, Verdict::Failed, Verdict::Accepted]
    );
    let detail = driver.outcomes(commands[1])[0].detail.clone().unwrap();
    assert!(detail.contains("for account.events, which takes 1048576 at most"), "{detail}");
    // With the error, the dead letter would be too large as well.
    let dead = driver.log.read_committed("account.commands.dead");
    assert_eq!((dead.len(), dead[0].value.as_ref()), (1, None));
    assert!(dead[0].headers.text("dead_omitted").unwrap().starts_with("value and headers"));
    assert_eq!(dead[0].headers.text("dead_topic"), Some("account.commands"));
    assert_eq!(driver.read::<Event>("account.events").len(), 2);
}

#[test]
fn inputs_that_make_a_state_too_large_fail_alone_in_a_batch_of_others() {
    let mut driver = driver();
    let mut commands = vec![send(&driver, "bob", 1, Deposit { amount: 1 })];
    commands.extend((2..6).map(|id| send(&driver, "ann", id, memo(300))));
    commands.push(send(&driver, "ann", 6, Deposit { amount: 7 }));
    driver.settle();
    // The limit also holds for a worker that has restored the state.
    driver.kill(0);
    driver.start(0);
    commands.push(send(&driver, "ann", 7, memo(300)));
    commands.push(send(&driver, "ann", 8, memo(100)));
    driver.settle();

    let expected = [Accepted, Accepted, Accepted, Accepted, Failed, Accepted, Failed, Accepted];
    assert_eq!(verdicts(&driver, &commands), expected);
    let detail = driver.outcomes(commands[4])[0].detail.clone().unwrap();
    assert!(detail.contains("state/account/ann: a record of 12"), "{detail}");
    let dead = driver.log.read_committed("account.commands.dead");
    assert_eq!(dead.len(), 2);
    assert!(dead[0].value.as_ref().is_some_and(|value| value.len() > 300_000), "with its value");
    assert_eq!(driver.log.open_transactions(), 0);
}

#[test]
fn input_that_makes_a_state_that_cant_be_encoded_fails_alone_in_a_batch_of_others() {
    let mut driver = driver();
    let commands = [
        send(&driver, "ann", 1, Deposit { amount: 1 }),
        send(&driver, "ann", 2, Memo { text: NOT_ENCODABLE.into() }),
        send(&driver, "ann", 3, memo(1)),
    ];
    driver.settle();

    assert_eq!(verdicts(&driver, &commands), [Accepted, Failed, Accepted]);
    let detail = driver.outcomes(commands[1])[0].detail.clone().unwrap();
    assert!(detail.starts_with("what it changes can't be encoded: "), "{detail}");
    assert!(detail.contains("memos can't be encoded"), "{detail}");
    assert_eq!(driver.log.read_committed("account.commands.dead").len(), 1);
    assert_eq!(driver.log.open_transactions(), 0);
}

#[test]
fn follow_up_whose_reply_has_too_long_a_key_is_parked_alone() {
    let mut driver = driver();
    let follow_up = |key: &str, id: u128, from: &str| {
        let credit = FollowUp::from(Credit { from: from.to_owned(), amount: 1 });
        driver.send("account.followups", key, Uuid::from_u128(id), "system", &credit);
    };
    // Its reply has a key that is too long.
    follow_up("ann", 1, &"z".repeat(2_000));
    follow_up("ann", 2, "zoe");
    follow_up("bob", 3, "zoe");
    driver.settle();
    let redrive = Redrive {
        topic: "account.followups".into(),
        drop_first: true,
        reason: None,
        first_offset: None,
    };
    driver.send("account.commands", "ann", Uuid::from_u128(4), "operator", &redrive);
    driver.settle();

    assert_eq!(verdicts(&driver, &[Uuid::from_u128(4)]), [Verdict::Accepted]);
    let dead = driver.log.read_committed("account.followups.dead");
    assert_eq!(dead.len(), 1);
    let credited = driver.read::<Event>("account.events");
    let credited = credited.iter().filter(|(_, event)| matches!(event, Event::Credited(_)));
    assert_eq!(credited.count(), 2);
}

#[test]
fn header_that_is_too_long_to_be_copied_fails_its_command_and_is_in_no_outcome() {
    let mut driver = driver();
    let value = driver.encode(&Command::from(Deposit { amount: 5 }));
    for name in
        [headers::PRINCIPAL, headers::CORRELATION_ID, headers::FINGERPRINT, headers::TRACE_PARENT]
    {
        let mut written = Headers::default();
        written.push(name, "p".repeat(530_000));
        driver.log.append("account.commands", "ann", Some(value.clone()), written);
    }
    driver.log.append("account.commands", &"k".repeat(530_000), Some(value), Headers::default());
    driver.settle();

    let outcomes = driver.read::<Outcome>("bank.outcomes");
    assert_eq!(outcomes.len(), 5);
    for (record, outcome) in &outcomes {
        assert_eq!(outcome.verdict, Verdict::Failed);
        assert!(record.value.as_ref().unwrap().len() + record.headers.len() < 10_000);
    }
    let details: Vec<_> =
        outcomes.iter().filter_map(|(_, outcome)| outcome.detail.as_deref()).collect();
    for reason in ["its header ce_principal has 530000 bytes", "its key has 530000 bytes"] {
        assert!(details.iter().any(|detail| detail.contains(reason)), "{reason}: {details:?}");
    }
    assert_eq!(driver.log.read_committed("account.commands.dead").len(), 5);
}

#[test]
fn malformed_repeat_of_a_command_does_not_change_its_outcome() {
    let mut driver = driver();
    let command = send(&driver, "ann", 1, Deposit { amount: 5 });
    driver.settle();
    let mut written = Headers::default();
    written.push(headers::ID, command.to_string());
    written.push(headers::TRACE_PARENT, "p".repeat(2_000));
    let value = driver.encode(&Command::from(Deposit { amount: 5 }));
    driver.log.append("account.commands", "ann", Some(value), written);
    driver.settle();

    let verdicts: Vec<_> = driver.outcomes(command).iter().map(|it| it.verdict).collect();
    assert_eq!(verdicts, [Accepted, Accepted]);
    assert_eq!(driver.log.read_committed("account.commands.dead").len(), 1);
    // A later repeat is answered with it too.
    send(&driver, "ann", 1, Deposit { amount: 5 });
    driver.settle();
    assert_eq!(driver.outcomes(command).last().unwrap().verdict, Accepted);
}

/// The end offset of every partition of `topic`, with records and transaction markers.
fn ends(driver: &Driver, topic: &str) -> BTreeMap<i32, i64> {
    let end = |partition| driver.log.span(&TopicPartition::new(topic, partition)).1;
    (0..PARTITIONS).map(|partition| (partition, end(partition))).collect()
}

#[test]
fn transactions_that_abort_repeatedly_are_retried_at_growing_intervals_until_one_commits() {
    let mut driver = driver();
    driver.kill(0);
    driver.settings().rebuild_wait = Duration::from_millis(20);
    driver.start(0);
    // The broker's limit differs from the one in `topics.yaml`.
    driver.log.set_bytes_max("bank.outcomes", 10);
    let id = send(&driver, "ann", 1, Deposit { amount: 1 });
    let own = partition_of(b"ann", PARTITIONS);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(300) {
        driver.step(0).unwrap();
    }
    // The second and later ones wait for 20, 40, 80 ms and so on; each writes an event and a
    // marker.
    let aborted = ends(&driver, "account.events")[&own] / 2;
    assert!((2..=6).contains(&aborted), "{aborted} transactions in 300 ms");

    driver.log.set_bytes_max("bank.outcomes", BYTES_MAX);
    step_until(&mut driver, "input is read after the wait", |driver| {
        !driver.outcomes(id).is_empty()
    });
    assert_eq!(verdicts(&driver, &[id]), [Verdict::Accepted]);
}
