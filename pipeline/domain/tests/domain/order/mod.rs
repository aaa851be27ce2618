//! Orders: the saga with the stocks of its products. This file holds the helpers of the tests.

mod cancelling;
mod placing;
mod replies;

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
    let placed_at = Some(START_MS);
    RecordReservation {
        order_id: ORDER,
        sku,
        reserved: true,
        quantity,
        unit_price,
        reason: None,
        placed_at,
    }
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
        placed_at: Some(START_MS),
    }
}

fn release(sku: &str) -> Out {
    let placed_at = Some(START_MS);
    Out::Stock(stock::FollowUp::from(ReleaseStock { sku: sku.into(), order_id: ORDER, placed_at }))
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
