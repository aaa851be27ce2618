//! The bounds of a batch.

use std::time::Duration;

use crate::bank::{Deposit, Event, OVERDUE_MS, Panic, Transfer};
use crate::support::{balances, bank_with, send, steps};

#[test]
fn batch_grows_to_twice_its_records_while_another_is_in_flight_and_no_further() {
    let mut driver = bank_with(|settings| settings.records_max = 4);
    driver.log.hold_commits(true);
    for account in 0..40 {
        send(&driver, &format!("account-{account}"), account, Deposit { amount: 1 });
    }
    steps(&mut driver, 20);
    assert_eq!(driver.pending(0).0, 8);

    driver.log.hold_commits(false);
    driver.settle();
    assert_eq!(balances(&driver).values().sum::<i64>(), 40);
}

#[test]
fn timers_due_at_once_stay_within_the_bounds_of_a_batch() {
    let mut driver = bank_with(|settings| settings.records_max = 4);
    for account in 0..40 {
        let name = format!("account-{account}");
        send(&driver, &name, account, Deposit { amount: 1000 });
        driver.settle();
        // The follow-up is parked at its receiver, so the timer is not cancelled.
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
        driver.step(0).unwrap();
        assert!(driver.pending(0).0 <= 8, "{} records and timers are pending", driver.pending(0).0);
    }

    driver.log.hold_commits(false);
    driver.settle();
    let events = driver.read::<Event>("account.events");
    assert_eq!(events.iter().filter(|(_, event)| matches!(event, Event::Overdue(_))).count(), 40);
    assert_eq!(balances(&driver)["account-0"], 1001 - 666);
}

#[test]
fn bytes_pending_while_a_transaction_is_in_flight_are_bounded() {
    let max = 20_000;
    let mut driver = bank_with(|settings| settings.bytes_max = max);
    driver.log.hold_commits(true);
    let why = "a long story ".repeat(100);
    for id in 0..100 {
        send(&driver, "ann", id, Panic { why: why.clone() });
    }
    steps(&mut driver, 20);
    let (_, bytes) = driver.pending(0);
    // The output of the last input may exceed the bound: its dead letter and its outcome.
    assert!(bytes >= 2 * max && bytes < 2 * max + 4 * why.len(), "{bytes} bytes are pending");

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
