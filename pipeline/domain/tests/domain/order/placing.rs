//! Placing an order: its bounds, the reservations and the deadline.

use super::*;

#[test]
fn placed_order_reserves_each_product_once_and_sets_a_deadline() {
    let mut order = Aggregate::<Order>::new(ORDER);
    let then = order.command(place(&[("pot", 1), ("cup", 1), ("cup", 1)]));

    let lines = vec![line("cup", 2), line("pot", 1)];
    let event = OrderPlaced { order_id: ORDER, user_id: ANN, lines, placed_at: START_MS };
    assert_eq!(then.events, [Event::from(event)]);
    assert_eq!(then.status, CommandStatus::Pending);
    let ask = |sku: &str, quantity| {
        let placed_at = Some(START_MS);
        let ask = ReserveStock { sku: sku.into(), order_id: ORDER, quantity, placed_at };
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
fn replayed_events_give_the_same_state() {
    let mut order = placed();
    let mut events = order.follow_up(granted("cup", 2, euros(250))).events;
    events.extend(order.follow_up(granted("pot", 1, euros(1_000))).events);
    events.extend(order.command(cancel()).events);
    let replayed = events.iter().fold(placed().state, Order::evolve);
    assert_eq!(replayed, order.state);
}
