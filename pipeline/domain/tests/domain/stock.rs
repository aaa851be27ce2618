//! Products and their stock: reservations, receipts and releases.

use domain::{Out, decider::CommandStatus, refusals, stock::Stock};
use schemas::{
    Money,
    order::{self, RecordReservation},
    stock::{
        AddProduct, Child, Event, ProductAdded, ReceiveStock, ReleaseStock, ReserveStock, Shortage,
        State, StockReceived, StockRefused, StockReleased, StockReserved,
    },
};
use uuid::Uuid;

use crate::aggregate::{Aggregate, START_MS};

const ORDER: Uuid = Uuid::from_u128(7);

fn price() -> Money {
    Money { amount_minor: 250, currency: "EUR".into() }
}

fn add() -> AddProduct {
    AddProduct { sku: "cup".into(), name: "A cup".into(), price: price() }
}

fn receive(quantity: i32) -> ReceiveStock {
    ReceiveStock { sku: "cup".into(), quantity }
}

fn reserve(order_id: Uuid, quantity: i32) -> ReserveStock {
    ReserveStock { sku: "cup".into(), order_id, quantity, placed_at: Some(START_MS) }
}

fn release(order_id: Uuid) -> ReleaseStock {
    ReleaseStock { sku: "cup".into(), order_id, placed_at: Some(START_MS) }
}

fn cups(quantity: i32) -> Aggregate<Stock> {
    let mut cup = Aggregate::new("cup");
    cup.command(add());
    cup.command(receive(quantity));
    cup
}

fn granted(quantity: i32) -> (&'static str, String, Option<Out>) {
    granted_to(START_MS, quantity)
}

/// The answer to the order that was placed at this time.
fn granted_to(placed_at: i64, quantity: i32) -> (&'static str, String, Option<Out>) {
    let unit_price = Some(price());
    let answer = RecordReservation {
        order_id: ORDER,
        sku: "cup".into(),
        reserved: true,
        quantity,
        unit_price,
        reason: None,
        placed_at: Some(placed_at),
    };
    ("order.followups", ORDER.to_string(), Some(Out::Order(order::FollowUp::from(answer))))
}

fn denied(quantity: i32, reason: &str) -> (&'static str, String, Option<Out>) {
    let answer = RecordReservation {
        order_id: ORDER,
        sku: "cup".into(),
        reserved: false,
        quantity,
        unit_price: None,
        reason: Some(reason.into()),
        placed_at: Some(START_MS),
    };
    ("order.followups", ORDER.to_string(), Some(Out::Order(order::FollowUp::from(answer))))
}

fn figures(cup: &Aggregate<Stock>) -> (i64, i64, i64) {
    let Some(State::Product(product)) = &cup.state else { panic!("there is a product") };
    (product.received, product.free, product.held)
}

#[test]
fn new_product_has_nothing_in_stock() {
    let mut cup = Aggregate::<Stock>::new("cup");
    let then = cup.command(add());
    let AddProduct { sku, name, price } = add();
    assert_eq!(then.events, [Event::from(ProductAdded { sku, name, price, added_at: START_MS })]);
    assert_eq!(figures(&cup), (0, 0, 0));
}

#[test]
fn product_outside_its_bounds_is_refused() {
    let refused = |change: fn(&mut AddProduct)| {
        let mut cup = Aggregate::<Stock>::new("cup");
        let mut add = add();
        change(&mut add);
        let then = cup.command(add);
        assert!(then.events.is_empty());
        then.refused()
    };
    assert_eq!(refused(|add| add.sku = "mug".into()), refusals::INVALID, "not the record's key");
    assert_eq!(refused(|add| add.sku = "a cup".into()), refusals::INVALID);
    assert_eq!(refused(|add| add.sku = "c".repeat(65)), refusals::INVALID);
    assert_eq!(refused(|add| add.name = String::new()), refusals::INVALID);
    assert_eq!(refused(|add| add.name = " cup".into()), refusals::INVALID);
    assert_eq!(refused(|add| add.name = "c".repeat(101)), refusals::INVALID);
    assert_eq!(refused(|add| add.price.amount_minor = -1), refusals::INVALID);
    assert_eq!(refused(|add| add.price.currency = "eur".into()), refusals::INVALID);
}

#[test]
fn second_product_of_one_sku_is_refused() {
    assert_eq!(cups(1).command(add()).refused(), refusals::ALREADY_EXISTS);
}

#[test]
fn received_pieces_are_free() {
    let then = cups(1).command(receive(4));
    let received = StockReceived { sku: "cup".into(), quantity: 4, received: 5, free: 5, held: 0 };
    assert_eq!((then.events, then.status), (vec![received.into()], CommandStatus::Accepted));
}

#[test]
fn receipt_without_a_product_or_outside_its_bounds_is_refused() {
    assert_eq!(Aggregate::<Stock>::new("cup").command(receive(1)).refused(), refusals::NOT_FOUND);
    for quantity in [i32::MIN, -1, 0, 1_000_001, i32::MAX] {
        assert_eq!(cups(1).command(receive(quantity)).refused(), refusals::INVALID, "{quantity}");
    }
    let other = ReceiveStock { sku: "mug".into(), quantity: 1 };
    assert_eq!(cups(1).command(other).refused(), refusals::INVALID, "not the record's key");
}

#[test]
fn reservation_holds_pieces_and_sends_the_price_to_the_order() {
    let mut cup = cups(5);
    let then = cup.follow_up(reserve(ORDER, 3));
    let reserved = StockReserved {
        sku: "cup".into(),
        order_id: ORDER,
        quantity: 3,
        unit_price: price(),
        received: 5,
        free: 2,
        held: 3,
        placed_at: Some(START_MS),
    };
    assert_eq!(then.events, [Event::from(reserved)]);
    assert_eq!(then.sent, [granted(3)]);
    assert!(matches!(&cup.children[&ORDER.to_string()], Child::Reservation(r) if r.quantity == 3));
}

#[test]
fn order_whose_id_was_used_before_takes_goods_of_its_own() {
    // Given a reservation of an order that is forgotten, when another order has its id
    let mut cup = cups(5);
    cup.follow_up(reserve(ORDER, 2));
    let anew = ReserveStock { placed_at: Some(START_MS + 1), ..reserve(ORDER, 3) };
    // Then it gets its own quantity, and nothing that was sold is free again
    let granted = granted_to(START_MS + 1, 3);
    assert_eq!(cup.follow_up(anew.clone()).sent, std::slice::from_ref(&granted));
    assert_eq!(figures(&cup), (5, 0, 5));
    assert_eq!(cup.follow_up(anew).sent, [granted], "a repeat");
    cup.follow_up(release(ORDER)).nothing();
    cup.follow_up(ReleaseStock { placed_at: Some(START_MS + 1), ..release(ORDER) });
    assert_eq!(figures(&cup), (5, 3, 2));
}

#[test]
fn release_by_another_order_of_the_id_frees_nothing_that_was_sold() {
    // Given what an order that is forgotten has bought, when another one of its id is refused more
    let mut cup = cups(5);
    cup.follow_up(reserve(ORDER, 3));
    let anew = ReserveStock { placed_at: Some(START_MS + 1), ..reserve(ORDER, 3) };
    cup.follow_up(anew);
    // Then its release frees nothing
    let release_anew = ReleaseStock { placed_at: Some(START_MS + 1), ..release(ORDER) };
    cup.follow_up(release_anew).nothing();
    assert_eq!(figures(&cup), (5, 2, 3));
    // And a release of an older version, which does not say which order it is for, still does
    cup.follow_up(ReleaseStock { placed_at: None, ..release(ORDER) });
    assert_eq!(figures(&cup), (5, 5, 0));
}

#[test]
fn repeated_reservation_holds_once_and_is_answered_twice() {
    let mut cup = cups(5);
    cup.follow_up(reserve(ORDER, 3));
    let again = cup.follow_up(reserve(ORDER, 3));
    assert_eq!((again.events, again.sent), (Vec::new(), vec![granted(3)]));
    assert_eq!(figures(&cup), (5, 2, 3));
}

#[test]
fn reservation_of_more_than_is_free_is_refused() {
    let mut cup = cups(2);
    let then = cup.follow_up(reserve(ORDER, 3));
    let refused = StockRefused {
        sku: "cup".into(),
        order_id: ORDER,
        quantity: 3,
        reason: Shortage::Insufficient,
        received: 2,
        free: 2,
        held: 0,
        placed_at: Some(START_MS),
    };
    assert_eq!(then.events, [Event::from(refused)]);
    assert_eq!(then.sent, [denied(3, refusals::OUT_OF_STOCK)]);
    assert!(cup.children.is_empty());
}

#[test]
fn reservation_of_an_unknown_product_is_answered_without_an_event() {
    let mut cup = Aggregate::<Stock>::new("cup");
    let then = cup.follow_up(reserve(ORDER, 1));
    assert_eq!((then.events, then.sent), (Vec::new(), vec![denied(1, refusals::UNKNOWN_PRODUCT)]));
    cup.follow_up(release(ORDER)).nothing();
    cup.timer("any").nothing();
    assert_eq!(cup.state, None);
}

#[test]
fn released_pieces_are_free_again_once() {
    let mut cup = cups(5);
    cup.follow_up(reserve(ORDER, 3));
    let then = cup.follow_up(release(ORDER));
    let released = StockReleased {
        sku: "cup".into(),
        order_id: ORDER,
        quantity: 3,
        received: 5,
        free: 5,
        held: 0,
    };
    assert_eq!(then.events, [Event::from(released)]);
    assert!(cup.children.is_empty());
    cup.follow_up(release(ORDER)).nothing();
    assert_eq!(figures(&cup), (5, 5, 0));
}

#[test]
fn release_by_an_order_without_a_reservation_is_ignored() {
    let mut cup = cups(5);
    cup.follow_up(reserve(ORDER, 3));
    cup.follow_up(release(Uuid::from_u128(8))).nothing();
    assert_eq!(figures(&cup), (5, 2, 3));
}
