//! A changelog that a newer version of the service has written.

use std::time::Duration;

use engine::{Topology, driver::Driver};
use redpanda::{
    log::{Headers, ProducerRecord},
    partition_of,
};
use schemas::Verdict;
use uuid::Uuid;

use crate::bank::{
    Account, Acknowledge, Command, Deposit, Event, FollowUp, OVERDUE_MS, Savings, Transfer,
};
use crate::support::{PARTITIONS, bank, bank_on, followups, log, send};

#[test]
fn unreadable_changelog_record_stops_only_its_task() {
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
    let works = send(&driver, &other, 2, Deposit { amount: 1 });
    driver.settle();

    assert_eq!(driver.stuck(0).len(), 1);
    for words in ["a key of a newer version", "start that version again"] {
        assert!(driver.stuck(0)[0].contains(words), "{}", driver.stuck(0)[0]);
    }
    assert!(driver.outcomes(waits).is_empty());
    assert_eq!(driver.outcomes(works)[0].verdict, Verdict::Accepted);
}

#[test]
fn state_of_a_newer_record_type_stops_only_its_task_with_an_instruction() {
    let mut driver = bank(1);
    driver.settle();
    driver.kill(0);
    let own = followups("ann");
    let newer = |value: Option<bytes::Bytes>| {
        driver.log.append_raw(ProducerRecord {
            topic: "bank.state".into(),
            partition: own.partition,
            key: Some("state/account/ann".into()),
            value,
            headers: Headers::default(),
        })
    };
    newer(Some(driver.encode(&Deposit { amount: 1 })));
    driver.start(0);
    let other =
        (0..).map(|n| format!("account-{n}")).find(|key| followups(key).partition != own.partition);
    let works = send(&driver, &other.unwrap(), 2, Deposit { amount: 1 });
    driver.settle();

    assert_eq!(driver.stuck(0).len(), 1);
    for words in ["bank.Deposit", "start that version again"] {
        assert!(driver.stuck(0)[0].contains(words), "{}", driver.stuck(0)[0]);
    }
    assert_eq!(driver.outcomes(works)[0].verdict, Verdict::Accepted);
}

#[test]
fn newer_version_finds_its_contexts_again_after_a_rollback() {
    let older = || Topology::new("bank", |_| Some(PARTITIONS)).aggregate::<Account>();
    let log = log();
    let mut driver = bank_on(&log, older().aggregate::<Savings>(), 1);
    let save = |driver: &Driver, id: u128, command: Command| {
        driver.send("savings.commands", "ann", Uuid::from_u128(id), "somebody", &command);
        Uuid::from_u128(id)
    };
    save(&driver, 1, Deposit { amount: 1000 }.into());
    driver.settle();
    // The follow-up is parked at its receiver, so a timer is set and the command is pending.
    let saga = save(&driver, 2, Transfer { to: "bob".into(), amount: 666 }.into());
    driver.settle();
    drop(driver);

    // The older version works after a rollback, also after a compaction and when the timer is due.
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

    // The newer version has state, timer and pending command again, and decides the commands that
    // arrived meanwhile.
    log.expire_members("bank");
    log.compact("bank.state");
    let mut driver = bank_on(&log, older().aggregate::<Savings>(), 1);
    driver.advance(Duration::from_millis(OVERDUE_MS as u64 + 1));
    driver.settle();
    // The timer came due while the newer version was away, so it waits a little.
    driver.advance(Duration::from_secs(30));
    driver.settle();
    assert_eq!(driver.outcomes(waiting)[0].verdict, Verdict::Accepted);
    let events: Vec<_> =
        driver.read::<Event>("savings.events").into_iter().map(|(_, event)| event).collect();
    assert_eq!(events.iter().filter(|event| matches!(event, Event::Overdue(_))).count(), 1);
    let acknowledge = FollowUp::from(Acknowledge { amount: 666 });
    driver.send("savings.followups", "ann", Uuid::from_u128(6), "system", &acknowledge);
    driver.settle();
    assert_eq!(driver.outcomes(saga)[0].verdict, Verdict::Accepted);
}
