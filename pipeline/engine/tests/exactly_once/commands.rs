//! Commands, follow-ups and timers of the bank without faults.

use std::{collections::BTreeMap, time::Duration};

use engine::{SILENCE_MAX, driver::Driver};
use redpanda::{log::Headers, memory::Fault};
use schemas::{Record as _, Verdict, engine::Redrive, headers};

use crate::bank::{Command, Deposit, Event, OVERDUE_MS, Transfer, step_until};
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
fn timer_fires_once_when_due_also_after_a_restart_and_not_when_cancelled() {
    let mut driver = bank(1);
    send(&driver, "ann", 1, Deposit { amount: 100 });
    driver.settle();
    // The follow-up is parked at its receiver, so no acknowledgement arrives.
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
    // What the timer caused belongs to the command that is pending, also after the restart.
    let late = late.to_string();
    let events = driver.log.read_committed("account.events");
    let of_timers = events.iter().filter(|event| {
        let kind = event.headers.text(headers::TYPE);
        kind.is_some_and(|kind| kind.ends_with("Overdue"))
    });
    let correlated: Vec<_> =
        of_timers.map(|event| event.headers.text(headers::CORRELATION_ID)).collect();
    assert_eq!(correlated, [Some(&*late)]);
}

#[test]
fn timer_that_came_due_while_nobody_could_answer_waits_for_the_answer() {
    let overdue = |driver: &Driver| {
        let events = driver.read::<Event>("account.events");
        events.iter().filter(|(_, event)| matches!(event, Event::Overdue(_))).count()
    };
    let pass = |driver: &mut Driver, by_ms: i64| {
        driver.advance(Duration::from_millis(by_ms.unsigned_abs()));
        driver.settle();
    };
    // The worker was down, or the brokers could not be reached.
    for is_down in [true, false] {
        let mut driver = bank(1);
        send(&driver, "ann", 1, Deposit { amount: 1000 });
        driver.settle();
        // The follow-up is parked at its receiver, so no acknowledgement arrives.
        send(&driver, "ann", 2, Transfer { to: "bob".into(), amount: 666 });
        driver.settle();
        match is_down {
            true => driver.kill(0),
            false => driver.log.set_silence(SILENCE_MAX),
        }
        pass(&mut driver, OVERDUE_MS + 1);
        driver.log.set_silence(Duration::ZERO);
        driver.start(0);
        driver.settle();
        pass(&mut driver, 29_000);
        assert_eq!(overdue(&driver), 0, "down: {is_down}");
        pass(&mut driver, 1_001);
        assert_eq!(overdue(&driver), 1, "down: {is_down}");
    }
}

#[test]
fn timer_of_an_input_that_waited_counts_from_its_decision() {
    let mut driver = bank(1);
    send(&driver, "ann", 1, Deposit { amount: 1000 });
    driver.settle();
    driver.kill(0);
    send(&driver, "ann", 2, Transfer { to: "bob".into(), amount: 666 });
    driver.advance(Duration::from_secs(3600));
    driver.start(0);
    driver.settle();
    let overdue = |driver: &Driver| {
        let events = driver.read::<Event>("account.events");
        events.iter().filter(|(_, event)| matches!(event, Event::Overdue(_))).count()
    };
    driver.advance(Duration::from_millis(OVERDUE_MS as u64 - 1));
    driver.settle();
    assert_eq!(overdue(&driver), 0);
    driver.advance(Duration::from_millis(1));
    driver.settle();
    assert_eq!(overdue(&driver), 1);
}

#[test]
fn redrive_command_has_its_schema_name() {
    assert_eq!(Redrive::SCHEMA.name, "millrace.engine.Redrive");
}
