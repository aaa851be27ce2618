//! The sagas: one owner for each address, and no piece of stock sold twice.

use std::collections::BTreeMap;

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
