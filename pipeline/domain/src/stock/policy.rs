//! Replies to the order that asked for a reservation.

use schemas::{
    order::{self, RecordReservation},
    stock::{Event, ReserveStock, Shortage, State, state::Reservation},
};

use super::Stock;
use crate::{
    Out,
    decider::{InputInfo, Reaction},
    policy::Policy,
    refusals,
};

impl Policy for Stock {
    fn react(_state: Option<&State>, event: &Event, _info: &InputInfo<'_>) -> Vec<Reaction<Out>> {
        match event {
            Event::StockReserved(reserved) => vec![grant(&Reservation {
                sku: reserved.sku.clone(),
                order_id: reserved.order_id,
                quantity: reserved.quantity,
                unit_price: reserved.unit_price.clone(),
                placed_at: reserved.placed_at,
            })],
            Event::StockRefused(refused) => {
                let (sku, order_id) = (refused.sku.clone(), refused.order_id);
                let quantity = refused.quantity;
                let placed_at = refused.placed_at;
                let request = ReserveStock { sku, order_id, quantity, placed_at };
                vec![refusal(&request, refused.reason)]
            }
            Event::ProductAdded(_) | Event::StockReceived(_) | Event::StockReleased(_) => {
                Vec::new()
            }
        }
    }
}

/// Tells an order that the stock holds a reservation for it.
pub(super) fn grant(held: &Reservation) -> Reaction<Out> {
    reply(RecordReservation {
        order_id: held.order_id,
        sku: held.sku.clone(),
        reserved: true,
        quantity: held.quantity,
        unit_price: Some(held.unit_price.clone()),
        reason: None,
        placed_at: held.placed_at,
    })
}

/// Tells an order that the stock holds no reservation for it.
pub(super) fn refusal(request: &ReserveStock, shortage: Shortage) -> Reaction<Out> {
    let reason = match shortage {
        Shortage::UnknownSku => refusals::UNKNOWN_PRODUCT,
        Shortage::Insufficient => refusals::OUT_OF_STOCK,
    };
    reply(RecordReservation {
        order_id: request.order_id,
        sku: request.sku.clone(),
        reserved: false,
        quantity: request.quantity,
        unit_price: None,
        reason: Some(reason.to_owned()),
        placed_at: request.placed_at,
    })
}

fn reply(reply: RecordReservation) -> Reaction<Out> {
    Reaction::send(reply.order_id, order::FollowUp::from(reply))
}
