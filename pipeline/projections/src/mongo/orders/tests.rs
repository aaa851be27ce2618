//! Tests of the fold of orders.

use schemas::order::{OrderCancelled, OrderConfirmed, OrderPlaced};
use uuid::Uuid;

use super::*;

const ORDER: Uuid = Uuid::from_u128(1);
const USER: Uuid = Uuid::from_u128(2);

fn event(version: i64, message: impl Into<order::Event>) -> Event<'static, order::Event> {
    let command = Some(Uuid::from_u128(100));
    Event { key: "1", version, at: 100 + version, command, message: message.into() }
}

fn placed() -> OrderPlaced {
    let lines = vec![order::Line { sku: "tea".to_owned(), quantity: 2 }];
    OrderPlaced { order_id: ORDER, user_id: USER, lines, placed_at: 100 }
}

#[test]
fn confirmed_order_has_prices_and_total_and_keeps_its_history() {
    // given
    let document = Orders::fold(None, &event(1, placed()));
    // when
    let unit_price = Money { amount_minor: 450, currency: "EUR".to_owned() };
    let confirmed = OrderConfirmed {
        order_id: ORDER,
        user_id: USER,
        lines: vec![PricedLine { sku: "tea".to_owned(), quantity: 2, unit_price }],
        total: Money { amount_minor: 900, currency: "EUR".to_owned() },
        confirmed_at: 102,
    };
    let document = Orders::fold(document, &event(2, confirmed));
    let reason = "by_customer".to_owned();
    let cancelled = OrderCancelled { order_id: ORDER, user_id: USER, reason, cancelled_at: 103 };
    let document = Orders::fold(document, &event(3, cancelled)).expect("an order");
    // then
    let order = &document.order;
    assert_eq!((&*order.status, order.total_minor, order.version), ("cancelled", Some(900), 3));
    assert_eq!(order.lines[0].unit_price_minor, Some(450));
    let kinds: Vec<_> = document.history.iter().map(|entry| &*entry.kind).collect();
    assert_eq!(kinds, ["OrderPlaced", "OrderConfirmed", "OrderCancelled"]);
    assert_eq!(document.history[1].data["total"]["amount_minor"], 900);
    assert_eq!(document.history[1].command, Some(Uuid::from_u128(100)));
}

#[test]
fn event_other_than_placing_can_not_come_first() {
    let reason = "by_customer".to_owned();
    let cancelled = OrderCancelled { order_id: ORDER, user_id: USER, reason, cancelled_at: 103 };
    assert_eq!(Orders::fold(None, &event(1, cancelled)), None);
}

#[test]
fn document_is_read_back_from_bson() {
    let document = Orders::fold(None, &event(1, placed())).expect("an order");
    let mut bson = mongodb::bson::to_document(&document).expect("BSON");
    assert_eq!(bson.get_str("_id"), Ok(&*ORDER.to_string()));
    assert_eq!(bson.get_i64("version"), Ok(1));
    let read = mongodb::bson::from_document::<OrderDocument>(bson.clone());
    assert_eq!(read.expect("a document"), document);
    let bytes = mongodb::bson::to_vec(&document).expect("BSON");
    assert_eq!(mongodb::bson::from_slice::<OrderDocument>(&bytes).expect("a document"), document);
    // An entry that was written before it had its command is read too.
    let entry = &mut bson.get_array_mut("history").expect("a history")[0];
    entry.as_document_mut().expect("an entry").remove("command").expect("the command");
    let older = mongodb::bson::from_document::<OrderDocument>(bson).expect("a document");
    assert_eq!(older.history[0].command, None);
}
