//! The dedupe horizon: which commands expire, and when the task forgets an outcome.

use std::{collections::HashMap, time::Duration};

use engine::driver::{Driver, START_MS};
use redpanda::log::{Headers, TopicPartition};
use schemas::{Outcome, Verdict};
use uuid::Uuid;

use crate::bank::{Acknowledge, Deposit, FollowUp, Transfer};
use crate::support::{HOUR_MS, PARTITIONS, balances, bank, bank_with, kept, send};

#[test]
fn outcome_is_forgotten_after_the_horizon() {
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

#[test]
fn outcomes_are_forgotten_as_fast_as_commands_arrive_in_large_transactions() {
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
    // The commands within the horizon and its margin stay, and those of the latest transaction.
    let kept = kept(&driver, "handled/");
    assert!(kept <= 4 * batch, "{kept} of {id} are remembered");
}

#[test]
fn command_of_a_saga_that_outlived_the_horizon_is_forgotten_after_its_end() {
    let mut driver = bank(1);
    send(&driver, "ann", 1, Deposit { amount: 1000 });
    driver.settle();
    // The follow-up is parked at its receiver.
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
fn one_record_two_days_ahead_does_not_make_later_commands_expire() {
    let mut driver = bank(1);
    driver.log.set_time(START_MS + 48 * HOUR_MS);
    let ahead = send(&driver, "ann", 1, Deposit { amount: 1 });
    driver.settle();
    driver.log.set_time(START_MS);
    let later = send(&driver, "ann", 2, Deposit { amount: 1 });
    driver.settle();
    // The same holds after a restore: the changelog has the time of the command that was ahead.
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
fn input_that_can_not_be_read_for_now_has_no_command_forgotten_nor_expired() {
    // Given a command, and a repeat of it a day later, while the service is down
    let mut driver = bank(1);
    let command = send(&driver, "ann", 1, Deposit { amount: 1 });
    driver.settle();
    driver.kill(0);
    driver.advance(Duration::from_secs(24 * 3600));
    send(&driver, "ann", 1, Deposit { amount: 1 });
    let late = send(&driver, "ann", 2, Deposit { amount: 1 });
    driver.advance(Duration::from_secs(30 * 3600));
    // When it starts, and only newer records of other topics can be read at first
    let commands =
        (0..PARTITIONS).map(|partition| TopicPartition::new("account.commands", partition));
    driver.log.withhold(commands.collect());
    driver.log.append("account.followups", "ann", Some("no follow-up".into()), Headers::default());
    driver.start(0);
    driver.settle();
    driver.log.withhold(Vec::new());
    driver.settle();
    // Then the repeat is recognised, and the command beside it is not too old
    assert_eq!(balances(&driver)["ann"], 2);
    for command in [command, late] {
        assert_eq!(driver.outcomes(command)[0].verdict, Verdict::Accepted);
    }
}

#[test]
fn input_that_can_not_be_read_any_more_has_no_command_forgotten_nor_expired() {
    // Given a service that has read all, and then can't read commands
    let mut driver = bank(1);
    let command = send(&driver, "ann", 1, Deposit { amount: 1 });
    driver.settle();
    let commands =
        (0..PARTITIONS).map(|partition| TopicPartition::new("account.commands", partition));
    driver.log.withhold(commands.collect());
    driver.settle();
    send(&driver, "ann", 1, Deposit { amount: 1 });
    let late = send(&driver, "ann", 2, Deposit { amount: 1 });
    // When newer records of other topics are read meanwhile
    for _ in 0..3 {
        driver.advance(Duration::from_secs(30 * 3600));
        let none = Some("no follow-up".into());
        driver.log.append("account.followups", "ann", none, Headers::default());
        driver.settle();
    }
    driver.log.withhold(Vec::new());
    driver.settle();
    // Then the repeat is recognised, and the command beside it is not too old
    assert_eq!(balances(&driver)["ann"], 2);
    for command in [command, late] {
        assert_eq!(driver.outcomes(command)[0].verdict, Verdict::Accepted);
    }
}

#[test]
fn backlog_older_than_the_horizon_is_decided_in_any_order_of_topics() {
    let mut driver = bank(1);
    driver.kill(0);
    // More than one poll returns, so that a newer record of another topic is read between them.
    let waiting: Vec<_> =
        (0..3_000).map(|id| send(&driver, "ann", id, Deposit { amount: 1 })).collect();
    driver.advance(Duration::from_secs(30 * 3600));
    driver.log.append("account.followups", "ann", Some("no follow-up".into()), Headers::default());

    driver.start(0);
    driver.settle();

    let outcomes: HashMap<_, _> = driver
        .read::<Outcome>("bank.outcomes")
        .into_iter()
        .map(|(_, one)| (one.command_id, one))
        .collect();
    for command in waiting {
        assert_eq!(outcomes[&command].verdict, Verdict::Accepted, "{:?}", outcomes[&command]);
    }
}
