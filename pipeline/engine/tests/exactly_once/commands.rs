//! Commands and follow-ups of the bank without faults.

use std::collections::BTreeMap;

use redpanda::{log::Headers, memory::Fault};
use schemas::{Record as _, Verdict, engine::Redrive};

use crate::bank::{Command, Deposit, Transfer, step_until};
use crate::support::{balances, bank, bank_with, changelog_balances, send};

#[test]
fn transfer_ends_with_one_outcome_and_moves_the_money() {
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
    assert_eq!(changelog_balances(&driver), balances(&driver));
}

#[test]
fn refused_command_has_a_code_and_changes_nothing() {
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
fn repeated_command_gets_the_same_outcome_and_is_decided_once_also_after_a_restart() {
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
fn second_command_of_a_key_is_refused_while_the_first_is_pending() {
    let mut driver = bank(1);
    driver.settings().local_follow_ups = false;
    driver.kill(0);
    driver.start(0);
    send(&driver, "ann", 1, Deposit { amount: 100 });
    let first = send(&driver, "ann", 2, Transfer { to: "bob".into(), amount: 30 });
    let second = send(&driver, "ann", 3, Transfer { to: "bob".into(), amount: 30 });
    driver.settle();

    assert_eq!(driver.outcomes(first)[0].verdict, Verdict::Accepted);
    assert_eq!(driver.outcomes(second)[0].code.as_deref(), Some("in_progress"));
    assert_eq!(balances(&driver)["ann"], 70);
}

/// How many outcomes a transfer has when its worker dies right after the first commit.
fn outcomes_after_the_first_commit(local_follow_ups: bool) -> usize {
    let mut driver = bank_with(|settings| settings.local_follow_ups = local_follow_ups);
    send(&driver, "ann", 1, Deposit { amount: 100 });
    driver.settle();
    let worker = driver.transactional_id(0);
    driver.log.fail_next(&worker, Fault::AfterCommit);
    let id = send(&driver, "ann", 2, Transfer { to: "bob".into(), amount: 30 });
    step_until(&mut driver, "the first commit", |driver| {
        driver.log.pending_fault(&worker).is_none()
    });
    driver.outcomes(id).len()
}

#[test]
fn saga_whose_tasks_belong_to_one_worker_is_one_transaction() {
    assert_eq!(outcomes_after_the_first_commit(true), 1);
    assert_eq!(outcomes_after_the_first_commit(false), 0, "its follow-ups were not read yet");
}

#[test]
fn follow_up_that_fails_does_not_undo_the_decision_that_sent_it() {
    let mut driver = bank(1);
    for (id, account) in ["ann", "dan", "eve"].into_iter().enumerate() {
        send(&driver, account, id as u128, Deposit { amount: 1000 });
    }
    driver.settle();
    // The credit of 666 panics at bob; a later one for bob waits behind it.
    let parked = send(&driver, "ann", 11, Transfer { to: "bob".into(), amount: 666 });
    driver.settle();
    let behind = send(&driver, "dan", 12, Transfer { to: "bob".into(), amount: 5 });
    let other = send(&driver, "eve", 13, Transfer { to: "cid".into(), amount: 7 });
    driver.settle();

    let balances = balances(&driver);
    assert_eq!((balances["ann"], balances["dan"]), (1000 - 666, 1000 - 5));
    assert!(!balances.contains_key("bob"));
    assert_eq!(driver.outcomes(other).len(), 1);
    assert!(driver.outcomes(parked).is_empty() && driver.outcomes(behind).is_empty());
}

#[test]
fn command_without_headers_is_accepted_as_the_operators() {
    let mut driver = bank(1);
    let value = driver.encode(&Command::from(Deposit { amount: 5 }));
    driver.log.append("account.commands", "ann", Some(value), Headers::default());
    driver.settle();

    assert_eq!(balances(&driver)["ann"], 5);
    let outcomes = driver.read::<schemas::Outcome>("bank.outcomes");
    assert_eq!((outcomes.len(), outcomes[0].1.principal.as_str()), (1, "operator"));
}

#[test]
fn redrive_command_has_its_schema_name() {
    assert_eq!(Redrive::SCHEMA.name, "millrace.engine.Redrive");
}
