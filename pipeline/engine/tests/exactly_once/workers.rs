//! Sessions and assignments: readiness, takeover, revocation.

use crate::bank::Deposit;
use crate::support::{balances, bank, send};

#[test]
fn worker_with_a_session_but_no_assignment_yet_is_not_ready() {
    let mut driver = bank(1);
    send(&driver, "ann", 1, Deposit { amount: 1 });

    // The first turn opens the session; the assignment comes with a later poll.
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
fn partly_written_transaction_is_aborted_when_its_tasks_are_revoked() {
    let mut driver = bank(2);
    driver.kill(1);
    driver.settle();
    for account in 0..40 {
        send(&driver, &format!("account-{account}"), account, Deposit { amount: 1 });
    }
    while driver.log.open_transactions() == 0 {
        assert!(driver.step(0).unwrap(), "a part is written before the input drains");
    }
    assert!(driver.log.read_committed("account.events").is_empty(), "no reader gets its records");

    driver.start(1);
    assert!(driver.step(1).expect("it joins"));
    while driver.log.open_transactions() > 0 {
        assert!(
            driver.step(0).unwrap(),
            "the written part stays open after its tasks were revoked"
        );
    }
    assert!(driver.log.read_committed("account.events").is_empty(), "it was aborted");
    driver.settle();
    let balances = balances(&driver);
    assert_eq!(balances.len(), 40);
    assert!(balances.values().all(|balance| *balance == 1));
}

/// The negative control of Redpanda's rule: a transaction stages offsets once.
#[test]
fn session_that_sends_offsets_twice_commits_nothing_until_it_stops() {
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
