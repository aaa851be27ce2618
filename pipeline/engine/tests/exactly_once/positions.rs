//! Positions of inputs whose offsets no reader gets, or whose records were removed.

use std::{collections::BTreeMap, time::Duration};

use engine::driver::Driver;
use redpanda::{
    log::{Headers, ProducerRecord, TopicPartition},
    memory::Fault,
};
use schemas::Verdict;

use crate::bank::{Deposit, OVERDUE_MS, Transfer, step_until};
use crate::support::{PARTITIONS, balances, bank, bank_with, followups, send};

#[test]
fn positions_of_quiet_inputs_follow_markers_and_aborted_records() {
    let mut driver = bank_with(|settings| settings.positions_every = Duration::ZERO);
    send(&driver, "ann", 1, Deposit { amount: 100 });
    send(&driver, "ann", 2, Transfer { to: "bob".into(), amount: 30 });
    driver.settle();
    // This transaction is aborted with the follow-up that it has written.
    driver.log.fail_next(&driver.transactional_id(0), Fault::AfterSend(3));
    send(&driver, "ann", 3, Transfer { to: "bob".into(), amount: 30 });
    driver.settle();
    for key in ["ann", "bob"] {
        let input = followups(key);
        assert_eq!(
            driver.log.committed("bank", &input),
            Some(driver.log.span(&input).1),
            "{input}"
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
fn task_whose_input_cant_be_decompressed_is_stuck_and_the_others_work() {
    let mut driver = bank(1);
    driver.settle();
    let spoiled = TopicPartition::new("account.commands", followups("ann").partition);
    driver.log.spoil(spoiled.clone(), driver.log.span(&spoiled).1);
    let elsewhere = |key: &&str| followups(key).partition != spoiled.partition;
    let other = ["bob", "cid", "dan", "eve", "fay"].into_iter().find(elsewhere).unwrap();

    let stuck = send(&driver, "ann", 1, Deposit { amount: 100 });
    let decided = send(&driver, other, 2, Deposit { amount: 100 });
    driver.settle();

    assert!(driver.outcomes(stuck).is_empty());
    assert_eq!(driver.outcomes(decided)[0].verdict, Verdict::Accepted);
    let stuck = driver.stuck(0);
    assert_eq!(stuck.len(), 1, "{stuck:?}");
    assert!(
        stuck[0].contains("account.commands[") && stuck[0].contains("can't be read"),
        "{stuck:?}"
    );
}

#[test]
fn stopped_worker_commits_the_positions_that_no_transaction_carried() {
    let mut driver = bank(1);
    driver.settle();
    let input = followups("ann");
    assert_eq!(driver.log.committed("bank", &input), None);
    driver.stop(0).expect("it ends in order");
    assert_eq!(driver.log.committed("bank", &input), Some(0));
}

#[test]
fn positions_whose_transaction_was_aborted_do_not_wait_for_another_period() {
    let every = Duration::from_millis(500);
    let mut driver = bank_with(|settings| settings.positions_every = every);
    driver.log.fail_next(&driver.transactional_id(0), Fault::Abort);
    let state = |driver: &Driver| {
        let end = |partition| driver.log.span(&TopicPartition::new("bank.state", partition)).1;
        (0..PARTITIONS).map(end).sum::<i64>()
    };
    step_until(&mut driver, "the positions are written", |driver| state(driver) > 0);
    driver.settle();
    assert_eq!(driver.log.committed("bank", &followups("ann")), Some(0));
}

/// The changelog of `ann`'s task.
fn changelog() -> TopicPartition {
    TopicPartition::new("bank.state", followups("ann").partition)
}

/// Kills the bank and loses what `ann`'s changelog has got since its end was `before`.
fn lose_after(driver: &mut Driver, before: i64) {
    assert!(driver.log.span(&changelog()).1 > before, "there is nothing to lose");
    driver.kill(0);
    driver.log.lose_after(&changelog(), before);
}

/// A bank whose latest transaction, in which a timer fired, is lost from the changelog.
fn bank_without_its_last_timer() -> Driver {
    let mut driver = bank(1);
    send(&driver, "ann", 1, Deposit { amount: 1000 });
    driver.settle();
    // The follow-up is parked at its receiver, so the timer fires.
    send(&driver, "ann", 2, Transfer { to: "bob".into(), amount: 666 });
    driver.settle();
    let before = driver.log.span(&changelog()).1;
    driver.advance(Duration::from_millis(OVERDUE_MS.unsigned_abs() + 1));
    driver.settle();
    lose_after(&mut driver, before);
    driver
}

/// Commits the same offset of an input of `ann`'s task, as a version does that does not count, and
/// an operator.
fn commit_without_a_count(driver: &Driver, topic: &str) {
    let input = TopicPartition { topic: topic.into(), ..changelog() };
    let next = driver.log.committed("bank", &input).unwrap();
    driver.log.commit("bank", input, next);
}

/// Asserts that the task knows of four transactions and finds three.
fn assert_last_one_lost(driver: &Driver) {
    let stuck = driver.stuck(0);
    assert_eq!(stuck.len(), 1, "{stuck:?}");
    assert!(
        stuck[0].contains("the group's offsets count 4 transactions of the task, but")
            && stuck[0].contains("the changelog holds 3: it has lost records"),
        "{stuck:?}"
    );
}

#[test]
fn task_whose_changelog_has_lost_a_transaction_of_timers_only_is_stuck() {
    // The count of one input is enough.
    for uncounted in [None, Some("account.commands"), Some("account.followups")] {
        let mut driver = bank_without_its_last_timer();
        uncounted.into_iter().for_each(|topic| commit_without_a_count(&driver, topic));
        driver.start(0);
        driver.settle();
        assert_last_one_lost(&driver);
    }
}

#[test]
fn offsets_without_a_count_are_not_compared_and_the_next_transaction_counts_on() {
    let mut driver = bank_without_its_last_timer();
    for topic in ["account.commands", "account.followups"] {
        commit_without_a_count(&driver, topic);
    }
    let before = driver.log.span(&changelog()).1;
    driver.start(0);
    // The timer is set anew, in a transaction that moves no position.
    driver.settle();
    assert!(driver.stuck(0).is_empty(), "{:?}", driver.stuck(0));
    lose_after(&mut driver, before);
    driver.start(0);
    driver.settle();
    assert_last_one_lost(&driver);
}

/// A bank that has read the first two of `written` follow-ups in each partition, before all of them
/// were removed.
fn bank_before_a_removal(written: i64, change: impl FnOnce(&mut engine::Settings)) -> Driver {
    let mut driver = bank(1);
    driver.kill(0);
    change(driver.settings());
    for partition in 0..PARTITIONS {
        let input = TopicPartition::new("account.followups", partition);
        for _ in 0..written {
            driver.log.append_raw(ProducerRecord {
                topic: input.topic.clone(),
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
fn position_one_marker_before_an_empty_log_continues() {
    let mut driver = bank_before_a_removal(3, |_| ());
    send(&driver, "ann", 1, Deposit { amount: 100 });
    let transfer = send(&driver, "ann", 2, Transfer { to: "bob".into(), amount: 30 });
    driver.settle();

    assert!(driver.stuck(0).is_empty());
    assert_eq!(driver.outcomes(transfer)[0].verdict, Verdict::Accepted);
}

#[test]
fn task_whose_unread_records_were_removed_is_stuck_with_an_instruction() {
    let mut driver = bank_before_a_removal(4, |_| ());
    let id = send(&driver, "ann", 1, Deposit { amount: 100 });
    driver.settle();
    assert!(driver.outcomes(id).is_empty());
    let stuck = driver.stuck(0);
    assert_eq!(stuck.len(), PARTITIONS as usize);
    assert!(stuck[0].contains("MILLRACE_ACCEPT_LOSS=account.followups[0]"), "{}", stuck[0]);

    // An operator accepts the loss for one input; the other tasks are still stuck.
    driver.kill(0);
    let input = followups("ann");
    driver.settings().accept_loss = vec![input.to_string()];
    driver.start(0);
    driver.settle();
    assert_eq!(driver.stuck(0).len(), PARTITIONS as usize - 1);
    assert_eq!(driver.outcomes(id)[0].verdict, Verdict::Accepted);
}
