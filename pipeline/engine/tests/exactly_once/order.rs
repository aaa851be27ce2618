//! The order of follow-ups from one sender to one key, while tasks are restored and transactions
//! wait or are aborted.

use std::time::Duration;

use engine::driver::Driver;
use redpanda::{log::TopicPartition, memory::Fault};

use crate::bank::{Deposit, Event, FollowUp, Give, Received, step_until};
use crate::support::{bank, followups, send, steps};

/// Where the first gift is when the task that it is for begins to work.
#[derive(Clone, Copy, Debug)]
enum First {
    /// Decided, and in no transaction yet.
    Pending,
    /// Written by a transaction whose commit is not answered. The task's ends are older.
    InFlight,
    /// Committed. The task's ends are older.
    Committed,
    /// The same, after the first transaction that had it was aborted.
    CommittedAfterAnAbort,
}

/// The changelog of the task of `key`.
fn changelog(key: &str) -> TopicPartition {
    TopicPartition::new("bank.state", followups(key).partition)
}

fn give(driver: &Driver, from: &str, id: u128, to: &str, amount: i64) {
    send(driver, from, id, Give { to: to.into(), amount });
}

/// The gifts of `sender` that have arrived, in order.
fn received(driver: &Driver, sender: &str) -> Vec<i64> {
    let events = driver.read::<Event>("account.events").into_iter();
    let gift = |event| match event {
        Event::Received(Received { from, amount }) if from == sender => Some(amount),
        _ => None,
    };
    events.filter_map(|(_, event)| gift(event)).collect()
}

/// Which of the gifts of `sender` were decided in the transaction that wrote them, in the order in
/// which they were written.
fn decided_at_once(driver: &Driver, sender: &str) -> Vec<bool> {
    let written = driver.read::<FollowUp>("account.followups").into_iter();
    let gifts = written
        .filter(|(_, follow_up)| matches!(follow_up, FollowUp::Gift(gift) if gift.from == sender));
    gifts.map(|(record, _)| record.headers.get("decided").is_some()).collect()
}

/// A bank of one worker in which Ann and Dan have money. Eve's task is restored, and does not begin
/// to work; its ends are older than what is written from now on.
fn bank_that_restores_eve() -> Driver {
    for other in ["ann", "dan"] {
        assert_ne!(followups(other), followups("eve"), "{other} and Eve have different tasks");
    }
    let mut driver = bank(1);
    send(&driver, "ann", 1, Deposit { amount: 100 });
    send(&driver, "dan", 2, Deposit { amount: 100 });
    driver.settle();
    driver.kill(0);
    // A batch is due at once, also if there is always more to read.
    driver.settings().age_max = Duration::ZERO;
    driver.log.hold_restores(changelog("eve"), true);
    driver.start(0);
    driver.settle();
    assert_eq!(driver.restoring(0), 1);
    driver
}

fn start_eve(driver: &mut Driver) {
    driver.log.hold_restores(changelog("eve"), false);
    step_until(driver, "Eve's task is restored", |driver| driver.restoring(0) == 0);
}

/// Ann gives Eve 1 while her task is restored, and 2 right after that.
fn give_twice(first: First, idle_steps: usize) {
    let mut driver = bank_that_restores_eve();
    match first {
        First::Pending => {
            driver.log.hold_commits(true);
            send(&driver, "dan", 3, Deposit { amount: 1 });
            steps(&mut driver, 3);
            give(&driver, "ann", 4, "eve", 1);
            steps(&mut driver, 3);
            assert_eq!((driver.log.open_transactions(), driver.pending(0).0), (1, 1));
        }
        First::InFlight => {
            driver.log.hold_commits(true);
            give(&driver, "ann", 4, "eve", 1);
            steps(&mut driver, 3);
            assert_eq!((driver.log.open_transactions(), driver.pending(0).0), (1, 0));
        }
        First::Committed => {
            give(&driver, "ann", 4, "eve", 1);
            driver.settle();
        }
        First::CommittedAfterAnAbort => {
            let worker = driver.transactional_id(0);
            driver.log.fail_next(&worker, Fault::Abort);
            give(&driver, "ann", 4, "eve", 1);
            driver.settle();
            assert_eq!(driver.log.pending_fault(&worker), None);
        }
    }
    // Each poll begins with the next partition, so one of the cases decides the second command
    // before it reads the first gift.
    steps(&mut driver, idle_steps);
    start_eve(&mut driver);
    give(&driver, "ann", 5, "eve", 2);
    steps(&mut driver, 3);
    driver.log.hold_commits(false);
    driver.settle();

    assert_eq!(received(&driver, "ann"), [1, 2], "{first:?}, {idle_steps} idle steps");
    give(&driver, "ann", 6, "eve", 3);
    driver.settle();
    assert_eq!(decided_at_once(&driver, "ann").last(), Some(&true), "{first:?}: it is open again");
}

#[test]
fn follow_up_sent_while_its_task_is_restored_is_not_overtaken_by_a_later_one() {
    let firsts = [First::Pending, First::InFlight, First::Committed, First::CommittedAfterAnAbort];
    for first in firsts {
        for idle_steps in 0..8 {
            give_twice(first, idle_steps);
        }
    }
}

#[test]
fn follow_up_that_waits_holds_back_only_those_of_its_sender_while_others_send_all_the_time() {
    let mut driver = bank_that_restores_eve();
    driver.log.hold_commits(true);
    give(&driver, "ann", 3, "eve", 1);
    steps(&mut driver, 3);
    start_eve(&mut driver);
    give(&driver, "ann", 4, "eve", 2);
    give(&driver, "dan", 5, "eve", 10);
    steps(&mut driver, 3);
    driver.log.hold_commits(false);
    // There is no lull in which nothing is sent to Eve.
    let mut id = 6;
    while received(&driver, "ann").len() < 2 {
        give(&driver, "dan", id, "eve", 1);
        id += 1;
        steps(&mut driver, 1);
        assert!(id < 60, "of Ann's gifts have arrived only {:?}", received(&driver, "ann"));
    }
    give(&driver, "ann", id, "eve", 3);
    driver.settle();

    assert_eq!(decided_at_once(&driver, "ann"), [false, false, true]);
    assert!(decided_at_once(&driver, "dan").into_iter().all(|is_at_once| is_at_once));
    assert_eq!(received(&driver, "ann"), [1, 2, 3]);
}
