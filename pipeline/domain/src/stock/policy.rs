//! What follows from what happens to stock: the order that asked is answered.

use schemas::{
    order::{self, RecordReservation},
    stock::{Event, ReserveStock, Shortage, state::Reservation},
};

use crate::{Out, decider::Reaction, refusals};

/// What follows from `event`.
pub(super) fn react(event: &Event) -> Vec<Reaction<Out>> {
    match event {
        Event::StockReserved(reserved) => vec![grant(&Reservation {
            sku: reserved.sku.clone(),
            order_id: reserved.order_id,
            quantity: reserved.quantity,
            unit_price: reserved.unit_price.clone(),
        })],
        Event::StockRefused(refused) => vec![refusal(
            &ReserveStock {
                sku: refused.sku.clone(),
                order_id: refused.order_id,
                quantity: refused.quantity,
            },
            refused.reason,
        )],
        Event::ProductAdded(_) | Event::StockReceived(_) | Event::StockReleased(_) => Vec::new(),
    }
}

/// Tells an order what is held for it.
pub(super) fn grant(held: &Reservation) -> Reaction<Out> {
    answer(RecordReservation {
        order_id: held.order_id,
        sku: held.sku.clone(),
        reserved: true,
        quantity: held.quantity,
        unit_price: Some(held.unit_price.clone()),
        reason: None,
    })
}

/// Tells an order that nothing is held for it.
pub(super) fn refusal(asked: &ReserveStock, shortage: Shortage) -> Reaction<Out> {
    let reason = match shortage {
        Shortage::UnknownSku => refusals::UNKNOWN_PRODUCT,
        Shortage::Insufficient => refusals::OUT_OF_STOCK,
    };
    answer(RecordReservation {
        order_id: asked.order_id,
        sku: asked.sku.clone(),
        reserved: false,
        quantity: asked.quantity,
        unit_price: None,
        reason: Some(reason.to_owned()),
    })
}

fn answer(answer: RecordReservation) -> Reaction<Out> {
    Reaction::Send {
        topic: "order.followups",
        key: answer.order_id.to_string(),
        message: Some(Out::Order(order::FollowUp::from(answer))),
    }
}
