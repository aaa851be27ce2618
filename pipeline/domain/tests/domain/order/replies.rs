//! Replies of the stocks, and the deadline.

use schemas::bounds::TOTAL_MINOR_MAX;

use super::*;

#[test]
fn last_grant_confirms_the_order() {
    let mut order = placed();
    let first = order.follow_up(granted("pot", 1, euros(1_000)));
    assert_eq!((first.events.len(), first.concluded, first.sent.len()), (1, None, 0));

    let then = order.follow_up(granted("cup", 2, euros(250)));
    let (order_id, user_id) = (ORDER, ANN);
    let priced =
        |sku: &str, quantity, unit_price| PricedLine { sku: sku.into(), quantity, unit_price };
    let expected: [Event; 2] = [
        ReservationRecorded {
            order_id,
            user_id,
            sku: "cup".into(),
            quantity: 2,
            unit_price: euros(250),
        }
        .into(),
        OrderConfirmed {
            order_id,
            user_id,
            lines: vec![priced("cup", 2, euros(250)), priced("pot", 1, euros(1_000))],
            total: euros(1_500),
            confirmed_at: START_MS,
        }
        .into(),
    ];
    assert_eq!(then.events, expected);
    assert_eq!((then.concluded, then.sent.len()), (Some(Ok(())), 0));
    assert!(order.timers.is_empty());
}

#[test]
fn repeated_reply_of_a_stock_changes_nothing() {
    let mut order = placed();
    order.follow_up(granted("cup", 2, euros(250)));
    order.follow_up(granted("cup", 2, euros(250))).nothing();
    order.follow_up(granted("pot", 1, euros(1_000)));
    order.follow_up(granted("pot", 1, euros(1_000))).nothing();
    order.follow_up(denied("pot", refusals::OUT_OF_STOCK)).nothing();
    assert!(matches!(order.state, Some(State::Confirmed(_))));
}

#[test]
fn one_refusal_rejects_the_order_and_releases_its_other_products() {
    for reason in [refusals::OUT_OF_STOCK, refusals::UNKNOWN_PRODUCT] {
        let mut order = placed();
        order.follow_up(granted("cup", 2, euros(250)));
        let then = order.follow_up(denied("pot", reason));
        assert_eq!(then.events, [rejected(reason, Some("pot"), START_MS)]);
        assert_eq!(then.concluded_refused(), reason);
        assert_eq!(then.messages(), [release("cup")]);
        assert!(order.timers.is_empty());
    }
}

#[test]
fn grant_after_the_end_is_released() {
    let mut order = placed();
    order.follow_up(denied("pot", refusals::OUT_OF_STOCK));
    let then = order.follow_up(granted("cup", 2, euros(250)));
    assert_eq!((then.events.len(), then.messages()), (0, vec![release("cup")]));
    order.follow_up(denied("cup", refusals::OUT_OF_STOCK)).nothing();
}

#[test]
fn grant_without_a_request_is_released() {
    let then = placed().follow_up(granted("jug", 1, euros(1)));
    assert_eq!((then.events.len(), then.messages()), (0, vec![release("jug")]));
    placed().follow_up(denied("jug", refusals::OUT_OF_STOCK)).nothing();
    let then = Aggregate::<Order>::new(ORDER).follow_up(granted("cup", 2, euros(250)));
    assert_eq!((then.events.len(), then.messages()), (0, vec![release("cup")]));
}

#[test]
fn reply_to_an_earlier_order_of_the_id_changes_and_releases_nothing() {
    let earlier = Some(START_MS - 1);
    let grant = || RecordReservation { placed_at: earlier, ..granted("cup", 2, euros(250)) };
    let denial =
        || RecordReservation { placed_at: earlier, ..denied("pot", refusals::OUT_OF_STOCK) };
    let mut order = placed();
    order.follow_up(grant()).nothing();
    order.follow_up(denial()).nothing();
    order.fire();
    order.follow_up(grant()).nothing();
    let mut order = placed();
    order.command(cancel());
    order.follow_up(grant()).nothing();
    // A reply of an older version does not say to which order it is.
    let mut order = placed();
    order.follow_up(RecordReservation { placed_at: None, ..granted("cup", 2, euros(250)) });
    order.follow_up(RecordReservation { placed_at: None, ..granted("pot", 1, euros(1_000)) });
    assert!(matches!(order.state, Some(State::Confirmed(_))));
}

#[test]
fn late_grant_that_names_no_order_is_released_for_this_one() {
    let mut order = placed();
    order.command(cancel());
    let grant = RecordReservation { placed_at: None, ..granted("cup", 2, euros(250)) };
    // A release that names no order would also release what a later one of this id holds.
    assert_eq!(order.follow_up(grant).messages(), [release("cup")]);
}

#[test]
fn deadline_rejects_the_order_and_releases_every_product() {
    let mut order = placed();
    order.follow_up(granted("cup", 2, euros(250)));
    let then = order.fire();
    assert_eq!(then.events, [rejected(refusals::DEADLINE, None, START_MS + 30_000)]);
    assert_eq!(then.concluded_refused(), refusals::DEADLINE);
    assert_eq!(then.messages(), [release("cup"), release("pot")]);
}

#[test]
fn deadline_after_the_end_changes_nothing() {
    let ended = |end: fn(&mut Aggregate<Order>) -> Then<Event>| {
        let mut order = placed();
        end(&mut order);
        order.timer("deadline").nothing();
    };
    ended(|order| order.command(cancel()));
    ended(|order| order.follow_up(denied("cup", refusals::OUT_OF_STOCK)));
    ended(|order| {
        order.follow_up(granted("cup", 2, euros(250)));
        order.follow_up(granted("pot", 1, euros(1_000)))
    });
    Aggregate::<Order>::new(ORDER).timer("deadline").nothing();
}

#[test]
fn prices_in_two_currencies_reject_the_order() {
    let mut order = placed();
    order.follow_up(granted("cup", 2, euros(250)));
    let dollars = Money { amount_minor: 1, currency: "USD".into() };
    let then = order.follow_up(granted("pot", 1, dollars));
    assert_eq!(then.events[1], rejected(refusals::MIXED_CURRENCIES, None, START_MS));
    assert_eq!(then.concluded_refused(), refusals::MIXED_CURRENCIES);
    assert_eq!(then.messages(), [release("cup"), release("pot")]);
}

#[test]
fn total_that_json_can_not_show_exactly_rejects_the_order() {
    let half = TOTAL_MINOR_MAX / 2;
    let mut order = placed();
    order.follow_up(granted("cup", 2, euros(half)));
    let then = order.follow_up(granted("pot", 1, euros(TOTAL_MINOR_MAX - 2 * half)));
    assert_eq!(then.concluded, Some(Ok(())), "the largest total");
    let above = [(half, TOTAL_MINOR_MAX - 2 * half + 1), (1, TOTAL_MINOR_MAX - 1)];
    for (cup, pot) in [(i64::MAX, 1), (i64::MAX / 2, i64::MAX / 2)].into_iter().chain(above) {
        let mut order = placed();
        order.follow_up(granted("cup", 2, euros(cup)));
        let then = order.follow_up(granted("pot", 1, euros(pot)));
        assert_eq!(then.concluded_refused(), refusals::TOTAL_OVERFLOW);
        assert_eq!(then.messages(), [release("cup"), release("pot")]);
    }
}
