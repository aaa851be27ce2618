//! Cancelling an order at each stage.

use super::*;

#[test]
fn cancelling_a_placed_order_ends_both_commands() {
    let mut order = placed();
    order.follow_up(granted("cup", 2, euros(250)));
    let then = order.command(cancel());
    let cancelled = OrderCancelled {
        order_id: ORDER,
        user_id: ANN,
        reason: "by_customer".into(),
        cancelled_at: START_MS,
    };
    assert_eq!(
        (&then.events[..], &then.status),
        (&[Event::from(cancelled)][..], &CommandStatus::Accepted)
    );
    assert_eq!(then.concluded_refused(), refusals::CANCELLED);
    assert_eq!(then.messages(), [release("cup"), release("pot")]);
    assert!(order.timers.is_empty());

    let late = order.follow_up(granted("pot", 1, euros(1_000)));
    assert_eq!((late.events.len(), late.messages()), (0, vec![release("pot")]));
}

#[test]
fn cancelling_a_confirmed_order_releases_every_product() {
    let mut order = confirmed();
    let then = order.command(cancel());
    assert_eq!((then.status.clone(), then.concluded.clone()), (CommandStatus::Accepted, None));
    assert_eq!(then.messages(), [release("cup"), release("pot")]);
}

#[test]
fn rejected_or_cancelled_order_cannot_be_cancelled() {
    let mut order = confirmed();
    order.command(cancel());
    assert_eq!(order.command(cancel()).refused(), refusals::WRONG_STAGE);
    let mut order = placed();
    order.fire();
    assert_eq!(order.command(cancel()).refused(), refusals::WRONG_STAGE);
}

#[test]
fn order_is_cancelled_only_by_its_buyer_and_at_the_expected_version() {
    let bobs = || CancelOrder { user_id: BOB, ..cancel() };
    assert_eq!(placed().command(bobs()).refused(), refusals::NOT_FOUND);
    assert_eq!(confirmed().command(bobs()).refused(), refusals::NOT_FOUND);
    assert_eq!(Aggregate::<Order>::new(ORDER).command(cancel()).refused(), refusals::NOT_FOUND);

    let seen =
        |expected_version| CancelOrder { expected_version: Some(expected_version), ..cancel() };
    assert_eq!(confirmed().version, 4);
    assert_eq!(confirmed().command(seen(3)).refused(), refusals::VERSION_MISMATCH);
    assert_eq!(confirmed().command(seen(4)).status, CommandStatus::Accepted);

    let other = CancelOrder { order_id: Uuid::from_u128(8), ..cancel() };
    assert_eq!(confirmed().command(other).refused(), refusals::INVALID, "not the record's key");
}
