//! Retention: finished aggregates are forgotten, and changelogs do not grow forever.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use schemas::{notification, notification::MarkRead, order, user, user::DeactivateUser};
use services::topology;
use uuid::Uuid;

use crate::{
    commands::{ANN, cancel, place, register},
    millrace::{Millrace, WORKERS},
};

/// Lets `days` pass, then sends every task some commands that change nothing.
fn pass(millrace: &mut Millrace, days: u64) {
    millrace.advance(Duration::from_secs(days * 24 * 3600));
    millrace.run_until_idle();
    for _ in 0..3 {
        for number in 1_000..1_032 {
            let (unknown, id) = (Uuid::from_u128(number), Uuid::new_v4());
            let leave = DeactivateUser { user_id: unknown, credential_version: 1 };
            millrace.send("user.commands", unknown, id, &user::Command::from(leave));
            let id = Uuid::new_v4();
            millrace.send("order.commands", unknown, id, &order::Command::from(cancel(number)));
            let read = MarkRead { notification_id: unknown, user_id: ANN };
            millrace.send(
                "notification.commands",
                unknown,
                Uuid::new_v4(),
                &notification::Command::from(read),
            );
        }
        millrace.run_until_idle();
    }
}

/// The number of keys of a changelog that begin with `prefix` and have a value.
fn kept(millrace: &Millrace, topic: &str, prefix: &str) -> usize {
    let mut rows = HashMap::new();
    for record in millrace.log.read_committed(topic) {
        rows.insert(record.key.unwrap(), record.value.is_some());
    }
    rows.iter().filter(|(key, kept)| **kept && key.starts_with(prefix.as_bytes())).count()
}

#[test]
fn finished_aggregates_are_forgotten_after_the_retention_and_no_sum_changes() {
    let mut millrace = Millrace::new();
    let bob = Uuid::from_u128(2);
    millrace.product(1, "cup", 5);
    millrace.user(3, register(2, "bob"), bob);
    millrace.user(4, register(1, "ann"), ANN);
    millrace.order(10, place(7, &[("cup", 2)]), Uuid::from_u128(7));
    millrace.order(11, place(8, &[("cup", 9)]), Uuid::from_u128(8));
    millrace.run_until_idle();
    millrace.user(5, DeactivateUser { user_id: bob, credential_version: 1 }, bob);
    millrace.run_until_idle();
    let figures = BTreeMap::from([("cup".into(), (5, 3, 2))]);
    let states = |millrace: &Millrace| {
        [("user", "user"), ("user", "email"), ("order", "order"), ("notification", "notification")]
            .map(|(processor, context)| {
                kept(millrace, &format!("{processor}.state"), &format!("state/{context}/"))
            })
    };

    // No report on the mails comes: after a day they count as failed.
    millrace.advance(Duration::from_secs(24 * 3600 + 60));
    millrace.run_until_idle();

    // Within the retention a finished order is refused with a reason, also after a restart.
    pass(&mut millrace, 88);
    for processor in &mut millrace.processors {
        (0..WORKERS).for_each(|worker| processor.kill(worker));
        (0..WORKERS).for_each(|worker| processor.start(worker));
    }
    let early = millrace.order(20, cancel(8), Uuid::from_u128(8));
    millrace.run_until_idle();
    assert_eq!(millrace.outcome_of(early), "wrong_stage");
    assert_eq!(states(&millrace), [2, 2, 2, 4]);

    // After the retention it is forgotten. What is not finished stays.
    pass(&mut millrace, 3);
    assert_eq!(states(&millrace), [1, 1, 0, 0]);
    let late = millrace.order(21, cancel(8), Uuid::from_u128(8));
    let again = millrace.user(22, register(3, "bob"), Uuid::from_u128(3));
    millrace.run_until_idle();
    assert_eq!(
        (millrace.outcome_of(late).as_str(), millrace.outcome_of(again).as_str()),
        ("not_found", "accepted")
    );
    assert_eq!(
        (millrace.figures(), kept(&millrace, "order.state", "member/")),
        (figures.clone(), 1)
    );

    // A notification that was never read counts as read.
    let events = millrace.read::<notification::Event>("notification.events");
    let count =
        |of: fn(&notification::Event) -> bool| events.iter().filter(|event| of(event)).count();
    let raised = count(|event| matches!(event, notification::Event::NotificationRaised(_)));
    let read = count(|event| matches!(event, notification::Event::NotificationRead(_)));
    assert_eq!((raised, read), (5, 4), "the last one is new");

    // The reservation is forgotten later than any order that could release it.
    pass(&mut millrace, 90);
    assert_eq!((millrace.figures(), kept(&millrace, "order.state", "member/")), (figures, 0));

    // Who uses the same idempotency keys again gets an order and a user of the same ids, whose
    // events have the same ids too. Their notifications are new.
    millrace.order(10, place(7, &[("cup", 1)]), Uuid::from_u128(7));
    millrace.user(3, register(2, "bob-again"), bob);
    millrace.run_until_idle();
    let events = millrace.read::<notification::Event>("notification.events");
    let count =
        |of: fn(&notification::Event) -> bool| events.iter().filter(|event| of(event)).count();
    let raised = count(|event| matches!(event, notification::Event::NotificationRaised(_)));
    assert_eq!(raised, 7);
    millrace.notifications_match();
    millrace.nothing_is_dead();
}

#[test]
fn changelogs_are_flat_after_compaction_under_a_steady_load() {
    let mut millrace = Millrace::new();
    for processor in &mut millrace.processors {
        processor.settings().retention = Duration::from_secs(2 * 24 * 3600);
        (0..WORKERS).for_each(|worker| processor.kill(worker));
        (0..WORKERS).for_each(|worker| processor.start(worker));
    }
    millrace.product(1, "cup", 1_000_000);
    let (mut number, mut rows) = (1_000, Vec::new());
    for _day in 0..30 {
        for _ in 0..4 {
            for _ in 0..15 {
                number += 1;
                let (id, quantity) =
                    (Uuid::from_u128(number), if number % 2 == 0 { 1 } else { 1_000_000 });
                millrace.order(10 * number, place(number, &[("cup", quantity)]), id);
                millrace.user(10 * number + 1, register(number, &format!("user-{number}")), id);
            }
            millrace.run_until_idle();
            for leaves in number - 14..=number {
                let leave =
                    DeactivateUser { user_id: Uuid::from_u128(leaves), credential_version: 1 };
                millrace.user(10 * leaves + 2, leave, Uuid::from_u128(leaves));
            }
            millrace.run_until_idle();
            millrace.advance(Duration::from_secs(6 * 3600));
            millrace.run_until_idle();
        }
        let states = topology::ALL.iter().map(|row| format!("{}.state", row.name));
        rows.push(states.map(|state| kept(&millrace, &state, "")).collect::<Vec<_>>());
    }
    for processor in 0..topology::ALL.len() {
        // A few rows more are no growth: a service that this load hardly reaches has few.
        let [tenth, last] = [rows[10][processor], rows[29][processor]];
        assert!(last * 10 <= tenth * 11 + 100, "{rows:?}");
    }
    let tenth: usize = rows[10].iter().sum();
    assert!(tenth > 300, "the load changes no state: {rows:?}");
    millrace.nothing_is_dead();
}
