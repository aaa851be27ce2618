//! Orders: the saga with the stocks of its products.

use domain::{
    Out,
    decider::{CommandStatus, Decider},
    order::Order,
    refusals,
};
use schemas::{
    Money,
    order::{
        CancelOrder, Event, Line, OrderCancelled, OrderConfirmed, OrderPlaced, OrderRejected,
        PlaceOrder, PricedLine, RecordReservation, ReservationRecorded, State,
    },
    stock::{self, ReleaseStock, ReserveStock},
};
use uuid::Uuid;

use crate::aggregate::{Aggregate, START_MS, Then};

const ORDER: Uuid = Uuid::from_u128(7);
const ANN: Uuid = Uuid::from_u128(1);
const BOB: Uuid = Uuid::from_u128(2);

fn line(sku: &str, quantity: i32) -> Line {
    Line { sku: sku.into(), quantity }
}

fn place(lines: &[(&str, i32)]) -> PlaceOrder {
    let lines = lines.iter().map(|(sku, quantity)| line(sku, *quantity)).collect();
    PlaceOrder { order_id: ORDER, user_id: ANN, lines }
}

fn cancel() -> CancelOrder {
    CancelOrder { order_id: ORDER, user_id: ANN, expected_version: None }
}

fn euros(amount_minor: i64) -> Money {
    Money { amount_minor, currency: "EUR".into() }
}

fn granted(sku: &str, quantity: i32, unit_price: Money) -> RecordReservation {
    let (sku, unit_price) = (sku.to_owned(), Some(unit_price));
    RecordReservation { order_id: ORDER, sku, reserved: true, quantity, unit_price, reason: None }
}

fn denied(sku: &str, reason: &str) -> RecordReservation {
    let (sku, reason) = (sku.to_owned(), Some(reason.to_owned()));
    RecordReservation {
        order_id: ORDER,
        sku,
        reserved: false,
        quantity: 1,
        unit_price: None,
        reason,
    }
}

fn release(sku: &str) -> Out {
    Out::Stock(stock::FollowUp::from(ReleaseStock { sku: sku.into(), order_id: ORDER }))
}

/// Two cups and one pot are ordered.
fn placed() -> Aggregate<Order> {
    let mut order = Aggregate::new(ORDER);
    order.command(place(&[("cup", 2), ("pot", 1)]));
    order
}

fn confirmed() -> Aggregate<Order> {
    let mut order = placed();
    order.follow_up(granted("cup", 2, euros(250)));
    order.follow_up(granted("pot", 1, euros(1_000)));
    order
}

fn rejected(reason: &str, sku: Option<&str>, at_ms: i64) -> Event {
    let (reason, sku) = (reason.to_owned(), sku.map(str::to_owned));
    OrderRejected { order_id: ORDER, user_id: ANN, reason, sku, rejected_at: at_ms }.into()
}

#[test]
fn placed_order_reserves_each_product_once_and_sets_a_deadline() {
    let mut order = Aggregate::<Order>::new(ORDER);
    let then = order.command(place(&[("pot", 1), ("cup", 1), ("cup", 1)]));

    let lines = vec![line("cup", 2), line("pot", 1)];
    let event = OrderPlaced { order_id: ORDER, user_id: ANN, lines, placed_at: START_MS };
    assert_eq!(then.events, [Event::from(event)]);
    assert_eq!(then.status, CommandStatus::Pending);
    let ask = |sku: &str, quantity| {
        let ask = ReserveStock { sku: sku.into(), order_id: ORDER, quantity };
        ("stock.followups", sku.to_owned(), Some(Out::Stock(stock::FollowUp::from(ask))))
    };
    assert_eq!(then.sent, [ask("cup", 2), ask("pot", 1)]);
    assert_eq!(order.timers.values().collect::<Vec<_>>(), [&(START_MS + 30_000)]);
}

#[test]
fn order_outside_its_bounds_is_refused() {
    let many: Vec<_> = (0..51).map(|n| format!("sku-{n}")).collect();
    let many: Vec<_> = many.iter().map(|sku| (sku.as_str(), 1)).collect();
    let cases: [&[(&str, i32)]; 8] = [
        &[],
        &many,
        &[("cup", 0)],
        &[("cup", -1)],
        &[("cup", 1_000_001)],
        &[("cup", 1_000_000), ("cup", 1)],
        &[("cup", i32::MAX), ("cup", i32::MAX)],
        &[("a cup", 1)],
    ];
    for lines in cases {
        let mut order = Aggregate::<Order>::new(ORDER);
        let then = order.command(place(lines));
        assert_eq!((then.refused(), order.state), (refusals::INVALID, None), "{lines:?}");
    }
    let mut other = Aggregate::<Order>::new(Uuid::from_u128(8));
    assert_eq!(
        other.command(place(&[("cup", 1)])).refused(),
        refusals::INVALID,
        "not the record's key"
    );
}

#[test]
fn order_with_fifty_lines_is_accepted() {
    let many: Vec<_> = (0..50).map(|n| format!("sku-{n}")).collect();
    let many: Vec<_> = many.iter().map(|sku| (sku.as_str(), 1)).collect();
    assert_eq!(Aggregate::<Order>::new(ORDER).command(place(&many)).sent.len(), 50);
}

#[test]
fn second_order_of_one_id_is_refused() {
    for mut order in [placed(), confirmed()] {
        assert_eq!(order.command(place(&[("cup", 1)])).refused(), refusals::ALREADY_EXISTS);
    }
}

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
fn total_above_64_bits_rejects_the_order() {
    for (cup, pot) in [(i64::MAX, 1), (i64::MAX / 2, i64::MAX / 2)] {
        let mut order = placed();
        order.follow_up(granted("cup", 2, euros(cup)));
        let then = order.follow_up(granted("pot", 1, euros(pot)));
        assert_eq!(then.concluded_refused(), refusals::TOTAL_OVERFLOW);
        assert_eq!(then.messages(), [release("cup"), release("pot")]);
    }
}

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

#[test]
fn replayed_events_give_the_same_state() {
    let mut order = placed();
    let mut events = order.follow_up(granted("cup", 2, euros(250))).events;
    events.extend(order.follow_up(granted("pot", 1, euros(1_000))).events);
    events.extend(order.command(cancel()).events);
    let replayed = events.iter().fold(placed().state, Order::evolve);
    assert_eq!(replayed, order.state);
}
