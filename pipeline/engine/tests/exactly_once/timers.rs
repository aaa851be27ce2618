//! Timers: when they fire, and when they wait for answers that nobody could give or read.

use std::time::{Duration, Instant};

use engine::{SILENCE_MAX, driver::Driver};
use redpanda::memory::Fault;
use schemas::headers;

use crate::bank::{Deposit, Event, OVERDUE_MS, Transfer, step_until};
use crate::support::{bank, bank_with, followups, send};

/// The number of timers that have fired.
fn overdue(driver: &Driver) -> usize {
    let events = driver.read::<Event>("account.events");
    events.iter().filter(|(_, event)| matches!(event, Event::Overdue(_))).count()
}

fn pass(driver: &mut Driver, by_ms: i64) {
    driver.advance(Duration::from_millis(by_ms.unsigned_abs()));
    driver.settle();
}

/// A bank in which `ann` waits for an acknowledgement: her follow-up is parked at its receiver.
fn with_open_transfer() -> Driver {
    let mut driver = bank(1);
    open_transfer(&mut driver);
    driver
}

fn open_transfer(driver: &mut Driver) {
    send(driver, "ann", 1, Deposit { amount: 1000 });
    driver.settle();
    send(driver, "ann", 2, Transfer { to: "bob".into(), amount: 666 });
    driver.settle();
}

#[test]
fn timer_fires_once_when_due_also_after_a_restart_and_not_when_cancelled() {
    let mut driver = bank(1);
    send(&driver, "ann", 1, Deposit { amount: 100 });
    driver.settle();
    // The follow-up is parked at its receiver, so no acknowledgement arrives.
    send(&driver, "ann", 2, Transfer { to: "bob".into(), amount: 66 });
    driver.settle();
    pass(&mut driver, OVERDUE_MS + 1);
    assert_eq!(overdue(&driver), 0, "it arrived in time");

    send(&driver, "ann", 3, Deposit { amount: 1000 });
    driver.settle();
    let late = send(&driver, "ann", 4, Transfer { to: "bob".into(), amount: 666 });
    driver.settle();
    driver.kill(0);
    driver.start(0);
    driver.settle();
    assert_eq!(overdue(&driver), 0);
    pass(&mut driver, OVERDUE_MS + 1);
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
    const DOWN: &str = "the worker is down";
    const SILENT: &str = "no broker answers";
    const WITHOUT_LEADER: &str = "the answers' partition has no leader";
    for what in [DOWN, SILENT, WITHOUT_LEADER] {
        let mut driver = with_open_transfer();
        match what {
            DOWN => driver.kill(0),
            SILENT => driver.log.set_silence(SILENCE_MAX),
            _ => driver.log.withhold(vec![followups("ann")]),
        }
        driver.settle();
        pass(&mut driver, OVERDUE_MS + 1);
        driver.log.set_silence(Duration::ZERO);
        driver.log.withhold(Vec::new());
        driver.start(0);
        driver.settle();
        pass(&mut driver, 29_000);
        assert_eq!(overdue(&driver), 0, "{what}");
        pass(&mut driver, 1_001);
        assert_eq!(overdue(&driver), 1, "{what}");
    }
}

#[test]
fn timer_that_came_due_while_every_transaction_was_aborted_waits_for_the_answer() {
    let mut driver = with_open_transfer();
    driver.kill(0);
    driver.settings().rebuild_wait = Duration::from_millis(100);
    driver.start(0);
    driver.settle();
    // The second abort in a row causes a pause, in which the timer comes due.
    let command = send(&driver, "zoe", 3, Deposit { amount: 1 });
    let (mut aborts, id) = (0, driver.transactional_id(0));
    while aborts < 3 {
        driver.log.fail_next(&id, Fault::Abort);
        let log = driver.log.clone();
        step_until(&mut driver, "an abort", |_| log.pending_fault(&id).is_none());
        aborts += 1;
    }
    driver.advance(Duration::from_millis(OVERDUE_MS.unsigned_abs() + 1));
    step_until(&mut driver, "a commit", |driver| !driver.outcomes(command).is_empty());
    pass(&mut driver, 29_000);
    assert_eq!(overdue(&driver), 0);
    pass(&mut driver, 1_001);
    assert_eq!(overdue(&driver), 1);
}

/// A bank whose worker is back `before_ms` before a timer of `ann` is due.
fn back_before_the_timer(before_ms: i64) -> Driver {
    let mut driver = with_open_transfer();
    driver.kill(0);
    driver.settle();
    pass(&mut driver, OVERDUE_MS - before_ms);
    driver.start(0);
    driver.settle();
    driver
}

#[test]
fn timer_that_comes_due_right_after_the_service_is_back_waits_for_the_answer() {
    let mut driver = back_before_the_timer(1_000);
    pass(&mut driver, 1_001);
    assert_eq!(overdue(&driver), 0, "its answer is on its way");
    pass(&mut driver, 27_900);
    assert_eq!(overdue(&driver), 0);
    pass(&mut driver, 1_100);
    assert_eq!(overdue(&driver), 1);

    let mut driver = back_before_the_timer(5_000);
    pass(&mut driver, 4_999);
    assert_eq!(overdue(&driver), 0);
    pass(&mut driver, 1);
    assert_eq!(overdue(&driver), 1, "there was time to answer");
}

#[test]
fn timer_that_came_due_during_a_slow_aborted_transaction_waits_for_the_answer() {
    for (slow_abort, expected) in [(Duration::ZERO, 0), (SILENCE_MAX, 1)] {
        let mut driver = bank_with(|settings| settings.slow_abort = slow_abort);
        open_transfer(&mut driver);
        // The timer comes due while a transaction is in flight that is aborted.
        let id = driver.transactional_id(0);
        driver.log.fail_next(&id, Fault::Abort);
        let command = send(&driver, "zoe", 3, Deposit { amount: 1 });
        let log = driver.log.clone();
        step_until(&mut driver, "the submit", |_| log.pending_fault(&id).is_none());
        pass(&mut driver, OVERDUE_MS + 1);
        assert_eq!(driver.outcomes(command).len(), 1);
        assert_eq!(overdue(&driver), expected, "{slow_abort:?}");
        pass(&mut driver, 30_000);
        assert_eq!(overdue(&driver), 1, "{slow_abort:?}");
    }
}

#[test]
fn aborted_transaction_is_slow_by_the_time_since_its_first_part() {
    let mut driver = with_open_transfer();
    driver.kill(0);
    let slow_abort = Duration::from_millis(300);
    let settings = driver.settings();
    (settings.slow_abort, settings.part_min) = (slow_abort, 1);
    // Only a batch of two inputs is submitted.
    (settings.commit_interval, settings.records_max) = (Some(Duration::from_secs(3600)), 2);
    settings.age_max = Duration::from_secs(3600);
    driver.start(0);
    driver.settle();

    let command = send(&driver, "zoe", 3, Deposit { amount: 1 });
    let log = driver.log.clone();
    step_until(&mut driver, "a part", |_| log.open_transactions() > 0);
    let written = Instant::now();
    step_until(&mut driver, "a slow part", |_| written.elapsed() >= slow_abort);
    driver.log.fail_next(&driver.transactional_id(0), Fault::Abort);
    // The timer is the second input.
    pass(&mut driver, OVERDUE_MS + 1);
    assert_eq!(driver.outcomes(command).len(), 1);
    assert_eq!(overdue(&driver), 0, "it was set anew");
    driver.advance(Duration::from_secs(30));
    driver.settle();
    driver.stop(0).expect("it ends in order");
    assert_eq!(overdue(&driver), 1);
}

#[test]
fn timer_of_a_service_that_restarts_again_and_again_fires() {
    let mut driver = with_open_transfer();
    driver.kill(0);
    driver.advance(Duration::from_millis(OVERDUE_MS.unsigned_abs() + 1));
    for _ in 0..2 {
        driver.start(0);
        driver.settle();
        assert_eq!(overdue(&driver), 0);
        pass(&mut driver, 14_000);
        driver.kill(0);
    }
    driver.start(0);
    driver.settle();
    pass(&mut driver, 2_001);
    assert_eq!(overdue(&driver), 1);
}

#[test]
fn timer_fires_when_due_although_the_clock_was_set_back() {
    let mut driver = bank(1);
    send(&driver, "ann", 1, Deposit { amount: 1000 });
    driver.settle();
    driver.set_back(Duration::from_secs(3600));
    send(&driver, "ann", 2, Transfer { to: "bob".into(), amount: 666 });
    driver.settle();
    pass(&mut driver, OVERDUE_MS - 1);
    assert_eq!(overdue(&driver), 0);
    pass(&mut driver, 1);
    assert_eq!(overdue(&driver), 1);
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
    pass(&mut driver, OVERDUE_MS - 1);
    assert_eq!(overdue(&driver), 0);
    pass(&mut driver, 1);
    assert_eq!(overdue(&driver), 1);
}
