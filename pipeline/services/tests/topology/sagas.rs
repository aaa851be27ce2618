//! The sagas: one owner for each address, and no piece of stock sold twice.

use std::{collections::BTreeMap, time::Duration};

use redpanda::{log::TopicPartition, partition_of};
use schemas::user::{ChangeEmail, DeactivateUser};
use uuid::Uuid;

use crate::{
    commands::{ANN, cancel, place, register},
    millrace::{Millrace, WORKERS},
};

#[test]
fn address_that_ten_users_want_goes_to_one_of_them() {
    let mut millrace = Millrace::new();
    let commands: Vec<_> = (1..=10)
        .map(|number| millrace.user(100 + number, register(number, "ann"), Uuid::from_u128(number)))
        .collect();
    millrace.run_until_idle();

    let ends: Vec<_> = commands.iter().map(|command| millrace.outcome_of(*command)).collect();
    assert_eq!(ends.iter().filter(|end| *end == "accepted").count(), 1, "{ends:?}");
    assert_eq!(ends.iter().filter(|end| *end == "address_taken").count(), 9, "{ends:?}");
    assert_eq!(millrace.owners(), millrace.addresses());

    // The credentials of the others are deleted.
    let winner = millrace.addresses()["ann"].to_string();
    let mut credentials = BTreeMap::new();
    for record in millrace.log.read_committed("user.credentials") {
        credentials.insert(record.key.unwrap(), record.value);
    }
    for (key, value) in credentials {
        assert_eq!(value.is_some(), key == winner.as_bytes());
    }
    millrace.notifications_match();
    millrace.nothing_is_dead();
}

#[test]
fn address_is_free_for_another_user_after_a_change_or_a_deactivation() {
    let mut millrace = Millrace::new();
    let bob = Uuid::from_u128(2);
    millrace.user(1, register(1, "ann"), ANN);
    millrace.run_until_idle();
    let change = ChangeEmail {
        user_id: ANN,
        email: "new@example.org".into(),
        email_fingerprint: "new".into(),
        credential_version: 1,
        expected_version: None,
    };
    let changed = millrace.user(2, change, ANN);
    millrace.run_until_idle();
    let second = millrace.user(3, register(2, "ann"), bob);
    millrace.user(4, DeactivateUser { user_id: ANN, credential_version: 1 }, ANN);
    millrace.run_until_idle();
    let third = millrace.user(5, register(3, "new"), Uuid::from_u128(3));
    millrace.run_until_idle();

    for command in [changed, second, third] {
        assert_eq!(millrace.outcome_of(command), "accepted");
    }
    let expected = BTreeMap::from([("ann".into(), bob), ("new".into(), Uuid::from_u128(3))]);
    assert_eq!((millrace.addresses(), millrace.owners()), (expected.clone(), expected));
}

#[test]
fn order_is_confirmed_and_cancelled_over_both_aggregates() {
    let mut millrace = Millrace::new();
    millrace.product(1, "cup", 5);
    millrace.product(3, "pot", 1);
    let placed = millrace.order(10, place(7, &[("cup", 2), ("pot", 1)]), Uuid::from_u128(7));
    let short = millrace.order(11, place(8, &[("cup", 1), ("pot", 2)]), Uuid::from_u128(8));
    let unknown = millrace.order(12, place(9, &[("cup", 1), ("jug", 1)]), Uuid::from_u128(9));
    millrace.run_until_idle();

    let ends = [placed, short, unknown].map(|command| millrace.outcome_of(command));
    assert_eq!(ends, ["accepted", "out_of_stock", "unknown_product"]);
    assert_eq!(
        millrace.figures(),
        BTreeMap::from([("cup".into(), (5, 3, 2)), ("pot".into(), (1, 0, 1))])
    );
    assert_eq!(millrace.held(), millrace.wanted());

    let cancelled = millrace.order(13, cancel(7), Uuid::from_u128(7));
    millrace.run_until_idle();
    assert_eq!(millrace.outcome_of(cancelled), "accepted");
    assert_eq!(
        millrace.figures(),
        BTreeMap::from([("cup".into(), (5, 5, 0)), ("pot".into(), (1, 1, 0))])
    );
    millrace.notifications_match();
    millrace.versions_count();
    millrace.nothing_is_dead();
}

/// Services that read every follow-up from the log, as those of different workers do.
fn with_stock() -> Millrace {
    let mut millrace = Millrace::new();
    for processor in &mut millrace.processors {
        processor.settings().local_follow_ups = false;
    }
    kill_all(&mut millrace);
    start_all(&mut millrace);
    millrace.product(1, "cup", 100);
    millrace.run_until_idle();
    millrace
}

fn kill_all(millrace: &mut Millrace) {
    for processor in &mut millrace.processors {
        (0..WORKERS).for_each(|worker| processor.kill(worker));
    }
}

fn start_all(millrace: &mut Millrace) {
    for processor in &mut millrace.processors {
        (0..WORKERS).for_each(|worker| processor.start(worker));
    }
}

fn place_forty(millrace: &Millrace) -> Vec<Uuid> {
    let order =
        |number| millrace.order(number, place(number, &[("cup", 1)]), Uuid::from_u128(number));
    (100..140).map(order).collect()
}

/// Orders for which no stock has an answer yet, when all services stop for a minute.
fn under_way_at_an_outage() -> (Millrace, Vec<Uuid>) {
    let mut millrace = with_stock();
    let stocks = (0..4).map(|partition| TopicPartition::new("stock.followups", partition));
    millrace.log.withhold(stocks.collect());
    let commands = place_forty(&millrace);
    millrace.run_until_idle();
    assert!(millrace.stages().into_values().all(|stage| stage == "placed"));
    kill_all(&mut millrace);
    millrace.advance(Duration::from_secs(60));
    (millrace, commands)
}

#[test]
fn sagas_that_waited_for_their_service_are_not_past_their_deadlines() {
    // Given commands that wait while all services are down
    let mut millrace = with_stock();
    kill_all(&mut millrace);
    let mut commands = place_forty(&millrace);
    commands.extend((1..=20).map(|number| {
        let address = format!("user-{number}");
        millrace.user(1_000 + number, register(number, &address), Uuid::from_u128(number))
    }));
    millrace.advance(Duration::from_secs(60));
    // When they start again
    start_all(&mut millrace);
    millrace.run_until_idle();
    // Then stock and addresses are there
    for command in commands {
        assert_eq!(millrace.outcome_of(command), "accepted");
    }
    millrace.nothing_is_dead();
}

#[test]
fn saga_under_way_at_an_outage_gets_its_answers_after_it() {
    let (mut millrace, commands) = under_way_at_an_outage();
    millrace.log.withhold(Vec::new());
    start_all(&mut millrace);
    millrace.run_until_idle();
    for command in commands {
        assert_eq!(millrace.outcome_of(command), "accepted");
    }
}

#[test]
fn saga_without_an_answer_ends_by_its_deadline_also_after_an_outage() {
    let (mut millrace, commands) = under_way_at_an_outage();
    // Only the stock's partition has no leader any more.
    let partition = |key: &str| partition_of(key.as_bytes(), 4);
    millrace.log.withhold(vec![TopicPartition::new("stock.followups", partition("cup"))]);
    start_all(&mut millrace);
    millrace.run_until_idle();
    assert!(millrace.stages().into_values().all(|stage| stage == "placed"));
    millrace.advance(Duration::from_secs(30));
    millrace.run_until_idle();
    let orders = (100..).map(|number| Uuid::from_u128(number).to_string());
    let (waiting, ended): (Vec<_>, Vec<_>) =
        commands.into_iter().zip(orders).partition(|(_, id)| partition(id) == partition("cup"));
    assert!(!waiting.is_empty() && !ended.is_empty());
    for (command, _) in ended {
        assert_eq!(millrace.outcome_of(command), "deadline");
    }
    // The task that can't read the stock's partition knows that no reply was possible.
    millrace.log.withhold(Vec::new());
    millrace.run_until_idle();
    for (command, _) in waiting {
        assert_eq!(millrace.outcome_of(command), "accepted");
    }
    assert_eq!(millrace.held(), millrace.wanted());
}

#[test]
fn of_fifty_orders_for_ten_pieces_ten_are_confirmed() {
    let mut millrace = Millrace::new();
    millrace.product(1, "cup", 10);
    millrace.run_until_idle();
    let commands: Vec<_> = (100..150)
        .map(|number| millrace.order(number, place(number, &[("cup", 1)]), Uuid::from_u128(number)))
        .collect();
    // Half way through, all workers are killed and restarted.
    for _ in 0..40 {
        for worker in 0..WORKERS {
            let _ = millrace.processors[1].step(worker);
        }
    }
    for worker in 0..WORKERS {
        millrace.processors[1].kill(worker);
        millrace.processors[1].start(worker);
    }
    millrace.run_until_idle();

    let ends: Vec<_> = commands.iter().map(|command| millrace.outcome_of(*command)).collect();
    assert_eq!(ends.iter().filter(|end| *end == "accepted").count(), 10);
    assert_eq!(ends.iter().filter(|end| *end == "out_of_stock").count(), 40);
    assert_eq!(millrace.figures()["cup"], (10, 0, 10));
    assert_eq!(millrace.held(), millrace.wanted());
    millrace.notifications_match();
}
