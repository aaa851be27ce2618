//! The bank while a registry, a partition or the end of a transaction is missing: only the task
//! that needs it waits.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod bank;

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bank::{
    Balance, Command, Deposit, Event, OVERDUE_MS, PARTITIONS, Transfer, codec, driver, driver_of,
    send, step_until, verdicts,
};
use engine::{SchemaSource, SourceError, driver::Driver};
use redpanda::{
    log::{Headers, ProducerRecord, TopicPartition},
    memory::Fault,
    partition_of,
};
use schemas::{Message, Verdict, headers};
use uuid::Uuid;

/// Schema ids of another writer.
const FOREIGN: u32 = 5_000;

/// A registry whose requests block while it is down.
#[derive(Default)]
struct Registry {
    is_back: AtomicBool,
    schemas: HashMap<u32, String>,
}

impl Registry {
    fn down() -> Arc<Self> {
        let all = schemas::all().iter().copied().chain(bank::schemas()).zip(FOREIGN..);
        let schemas = all.map(|(schema, id)| (id, schema.json.to_owned())).collect();
        Arc::new(Self { is_back: AtomicBool::new(false), schemas })
    }

    fn come_back(&self) {
        self.is_back.store(true, Ordering::Relaxed);
    }
}

impl SchemaSource for Registry {
    fn schema_by_id(&self, id: u32) -> Result<Option<String>, SourceError> {
        for _ in 0..40 {
            if self.is_back.load(Ordering::Relaxed) {
                return Ok(self.schemas.get(&id).cloned());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Err("it is down".into())
    }
}

/// `message` as another writer writes it.
fn foreign(message: &impl Message) -> bytes::Bytes {
    let mut bytes = Vec::new();
    message.encode(&codec(FOREIGN), &mut bytes).unwrap();
    bytes.into()
}

/// An account of another task than `ann`.
fn other() -> String {
    let partition = |key: &str| partition_of(key.as_bytes(), PARTITIONS);
    (0..)
        .map(|number| format!("account-{number}"))
        .find(|key| partition(key) != partition("ann"))
        .unwrap()
}

/// An account of the task of `partition`.
fn account(partition: i32) -> String {
    let is_there = |key: &String| partition_of(key.as_bytes(), PARTITIONS) == partition;
    (0..).map(|number| format!("account-{number}")).find(is_there).unwrap()
}

/// The changelog partition of `ann`'s task.
fn changelog() -> TopicPartition {
    TopicPartition::new("bank.state", partition_of(b"ann", PARTITIONS))
}

fn restart(driver: &mut Driver, registry: Arc<Registry>) {
    driver.kill(0);
    driver.set_registry(registry);
    driver.start(0);
}

#[test]
fn record_of_an_unknown_schema_delays_only_its_task_while_the_registry_is_down() {
    let mut driver = driver();
    let registry = Registry::down();
    restart(&mut driver, registry.clone());
    let mut written = Headers::default();
    written.push(headers::ID, Uuid::from_u128(1).to_string());
    let value = foreign(&Command::from(Deposit { amount: 5 }));
    driver.log.append("account.commands", "ann", Some(value), written);
    let behind = send(&driver, "ann", 2, Deposit { amount: 1 });
    for id in 3..200 {
        send(&driver, &other(), id, Deposit { amount: 1 });
    }
    let last = send(&driver, &other(), 200, Deposit { amount: 1 });
    step_until(&mut driver, "the other task works", |driver| !driver.outcomes(last).is_empty());
    step_until(&mut driver, "the reason is reported", |driver| !driver.stuck(0).is_empty());
    assert!(driver.stuck(0)[0].contains("of the registry: it is down"), "{:?}", driver.stuck(0));
    assert_eq!(driver.log.open_transactions(), 0, "a transaction stays open");
    assert!(driver.outcomes(behind).is_empty(), "a record was left out");

    registry.come_back();
    step_until(&mut driver, "the task works", |driver| !driver.outcomes(behind).is_empty());
    assert_eq!(verdicts(&driver, &[Uuid::from_u128(1), behind]), [Verdict::Accepted; 2]);
    let events = driver.read::<Event>("account.events");
    let amounts = events.iter().filter(|(record, _)| record.key.as_deref() == Some(b"ann"));
    let amounts: Vec<_> = amounts.map(|(_, event)| event.clone()).collect();
    let expected: [Event; 2] = [5, 1].map(|amount| bank::Deposited { amount }.into());
    assert_eq!(amounts, expected);
    assert!(driver.stuck(0).is_empty());
}

#[test]
fn timer_that_came_due_while_its_task_waited_for_a_schema_waits_for_the_answer() {
    let overdue = |driver: &Driver| {
        let events = driver.read::<Event>("account.events");
        events.iter().filter(|(_, event)| matches!(event, Event::Overdue(_))).count()
    };
    let mut driver = driver();
    send(&driver, "ann", 1, Deposit { amount: 1000 });
    driver.settle();
    // The follow-up is parked at its receiver, so no acknowledgement arrives.
    send(&driver, "ann", 2, Transfer { to: "bob".into(), amount: 666 });
    driver.settle();
    let registry = Registry::down();
    restart(&mut driver, registry.clone());
    let (mut written, foreigner) = (Headers::default(), Uuid::from_u128(3));
    written.push(headers::ID, foreigner.to_string());
    let value = foreign(&Command::from(Deposit { amount: 5 }));
    driver.log.append("account.commands", "ann", Some(value), written);
    step_until(&mut driver, "the task waits", |driver| !driver.stuck(0).is_empty());
    driver.advance(Duration::from_millis(OVERDUE_MS.unsigned_abs() + 1));
    for _ in 0..10 {
        driver.step(0).unwrap();
    }
    registry.come_back();
    step_until(&mut driver, "the task works", |driver| !driver.outcomes(foreigner).is_empty());
    driver.settle();
    assert_eq!(overdue(&driver), 0);
    driver.advance(Duration::from_secs(30));
    driver.settle();
    assert_eq!(overdue(&driver), 1);
}

#[test]
fn restore_that_needs_an_unknown_schema_waits_alone_while_the_registry_is_down() {
    let mut driver = driver();
    driver.kill(0);
    let mut written = Headers::default();
    written.push(headers::VERSION, "7");
    driver.log.append_raw(ProducerRecord {
        topic: changelog().topic,
        partition: changelog().partition,
        key: Some("state/account/ann".into()),
        value: Some(foreign(&Balance { amount: 5, memos: String::new() })),
        headers: written,
    });
    let registry = Registry::down();
    restart(&mut driver, registry.clone());
    let waits = send(&driver, "ann", 1, Deposit { amount: 1 });
    let works = send(&driver, &other(), 2, Deposit { amount: 1 });
    step_until(&mut driver, "the other task works", |driver| !driver.outcomes(works).is_empty());
    assert_eq!(driver.restoring(0), 1);
    assert!(driver.outcomes(waits).is_empty());

    registry.come_back();
    step_until(&mut driver, "the task is restored", |driver| !driver.outcomes(waits).is_empty());
    assert_eq!(driver.outcomes(waits)[0].version, 8);
}

#[test]
fn restore_that_meets_a_retriable_error_is_retried_alone_while_others_work() {
    let mut driver = driver();
    let before = send(&driver, "ann", 1, Deposit { amount: 1 });
    driver.settle();
    driver.kill(0);
    driver.log.fail_restores(changelog(), true);
    driver.start(0);
    let waits = send(&driver, "ann", 2, Deposit { amount: 1 });
    let works = send(&driver, &other(), 3, Deposit { amount: 1 });
    driver.settle();
    assert_eq!(verdicts(&driver, &[before, works]), [Verdict::Accepted; 2]);
    assert_eq!((driver.restoring(0), driver.is_ready(0)), (1, false));
    assert!(driver.outcomes(waits).is_empty());

    driver.log.fail_restores(changelog(), false);
    driver.settle();
    assert_eq!(driver.outcomes(waits)[0].version, 2);
    assert!(driver.is_ready(0));
}

#[test]
fn survivor_waits_for_pending_offsets_of_a_dead_worker_while_its_own_tasks_work() {
    let mut driver = driver_of(2);
    driver.settle();
    // The first two partitions belong to the worker that dies; it has staged offsets for one.
    driver.log.fail_next(&driver.transactional_id(0), Fault::AfterOffsets);
    let pending = send(&driver, &account(0), 1, Deposit { amount: 1 });
    while driver.log.pending_fault(&driver.transactional_id(0)).is_some() {
        driver.step(0).unwrap();
    }
    driver.kill(0);
    // Readers of the partition of the pending outcome stop before it.
    let partition =
        |id: &u128| partition_of(Uuid::from_u128(*id).to_string().as_bytes(), PARTITIONS);
    let mut ids = (2..).filter(|id| partition(id) != partition(&1));
    let taken_over = send(&driver, &account(1), ids.next().unwrap(), Deposit { amount: 1 });
    let own = send(&driver, &account(3), ids.next().unwrap(), Deposit { amount: 1 });
    driver.settle();
    assert_eq!(verdicts(&driver, &[own, taken_over]), [Verdict::Accepted; 2]);
    assert!(driver.outcomes(pending).is_empty());
    assert!(driver.restoring(1) > 0);

    driver.log.expire_transactions();
    driver.settle();
    assert_eq!(verdicts(&driver, &[pending]), [Verdict::Accepted]);
    assert_eq!(driver.restoring(1), 0);
}

#[test]
fn rebuilt_worker_reports_nothing_left_of_a_restore_that_it_has_discarded() {
    let mut driver = driver_of(2);
    driver.settle();
    // The first partition belongs to the worker that dies. Its staged offsets keep the restore by
    // the survivor waiting.
    let (dead, survivor) = (driver.transactional_id(0), driver.transactional_id(1));
    driver.log.fail_next(&dead, Fault::AfterOffsets);
    send(&driver, &account(0), 1, Deposit { amount: 1 });
    while driver.log.pending_fault(&dead).is_some() {
        driver.step(0).unwrap();
    }
    driver.kill(0);
    driver.settle();
    assert!(driver.restore_remaining(1, 0) > 0, "the survivor has nothing to restore");

    driver.log.fail_next(&survivor, Fault::AfterPoll);
    send(&driver, &account(3), 2, Deposit { amount: 1 });
    while driver.log.pending_fault(&survivor).is_some() {
        driver.step(1).unwrap();
    }

    assert_eq!(driver.restore_remaining(1, 0), 0);
    driver.log.expire_transactions();
    driver.settle();
    assert_eq!((driver.restore_remaining(1, 0), driver.restoring(1)), (0, 0));
}
