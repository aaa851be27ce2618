//! Asks the stocks of an order's products for reservations, releases them, and sets the deadline.
//!
//! Releases go to every product of the order except one whose stock has refused, also to those
//! whose stock has not replied yet. A stock without a reservation ignores a release, and the
//! decider releases a grant that arrives after the order's end.

use schemas::{
    bounds::ORDER_DEADLINE_MS,
    order::{Event, Line, OrderPlaced, OrderRejected, State},
    stock::{self, ReleaseStock, ReserveStock},
};
use uuid::Uuid;

use super::Order;
use crate::{
    Out,
    decider::{InputInfo, Reaction, Refusal},
    policy::Policy,
    refusals,
};

/// The name of the deadline's timer.
const DEADLINE: &str = "deadline";

impl Policy for Order {
    fn react(state: Option<&State>, event: &Event, info: &InputInfo<'_>) -> Vec<Reaction<Out>> {
        match event {
            Event::OrderPlaced(placed) => reserve_all(placed, info),
            Event::ReservationRecorded(_) => Vec::new(),
            Event::OrderConfirmed(_) => {
                vec![Reaction::cancel_timer(DEADLINE), Reaction::Conclude(Ok(()))]
            }
            Event::OrderRejected(rejected) => {
                // The stock that refused holds nothing.
                let held = lines_of(state)
                    .into_iter()
                    .filter(|line| Some(&line.sku) != rejected.sku.as_ref());
                end(refusal_of(rejected), rejected.order_id, placed_at(state), held)
            }
            Event::OrderCancelled(cancelled) => {
                let detail = "the order was cancelled before it was decided";
                let refusal = Refusal::new(refusals::CANCELLED, detail);
                end(refusal, cancelled.order_id, placed_at(state), lines_of(state))
            }
        }
    }
}

/// Releases what the order that was placed at `placed_at` holds of a product.
pub(super) fn release(order_id: Uuid, sku: &str, placed_at: Option<i64>) -> Reaction<Out> {
    let release = ReleaseStock { sku: sku.to_owned(), order_id, placed_at };
    Reaction::send(sku, stock::FollowUp::from(release))
}

/// The lines of an order at any stage.
pub(super) fn lines_of(state: Option<&State>) -> Vec<Line> {
    let line = |sku: &str, quantity| Line { sku: sku.to_owned(), quantity };
    match state {
        Some(State::Placed(placed)) => {
            placed.lines.iter().map(|l| line(&l.sku, l.quantity)).collect()
        }
        Some(State::Confirmed(confirmed)) => {
            confirmed.lines.iter().map(|l| line(&l.sku, l.quantity)).collect()
        }
        Some(State::Rejected(rejected)) => rejected.lines.clone(),
        Some(State::Cancelled(cancelled)) => cancelled.lines.clone(),
        None => Vec::new(),
    }
}

/// When an order at any stage was placed, which tells it from an earlier one of its id. `None`
/// without an order, and if an older version has ended it.
pub(super) fn placed_at(state: Option<&State>) -> Option<i64> {
    match state? {
        State::Placed(placed) => Some(placed.placed_at),
        State::Confirmed(confirmed) => Some(confirmed.placed_at),
        State::Rejected(rejected) => rejected.placed_at,
        State::Cancelled(cancelled) => cancelled.placed_at,
    }
}

fn reserve_all(placed: &OrderPlaced, info: &InputInfo<'_>) -> Vec<Reaction<Out>> {
    let reserve = |line: &Line| {
        let Line { sku, quantity } = line.clone();
        let placed_at = Some(placed.placed_at);
        let reserve = ReserveStock { sku, order_id: placed.order_id, quantity, placed_at };
        Reaction::send(&line.sku, stock::FollowUp::from(reserve))
    };
    let deadline = Reaction::set_timer(DEADLINE, info.at_ms + ORDER_DEADLINE_MS);
    placed.lines.iter().map(reserve).chain([deadline]).collect()
}

/// Ends an order without a delivery: refuses its pending command, and releases `held`.
fn end(
    refusal: Refusal,
    order_id: Uuid,
    placed_at: Option<i64>,
    held: impl IntoIterator<Item = Line>,
) -> Vec<Reaction<Out>> {
    let conclusion = [Reaction::cancel_timer(DEADLINE), Reaction::Conclude(Err(refusal))];
    let releases = held.into_iter().map(|line| release(order_id, &line.sku, placed_at));
    conclusion.into_iter().chain(releases).collect()
}

/// The refusal of the command that placed a rejected order.
fn refusal_of(rejected: &OrderRejected) -> Refusal {
    let detail = match (rejected.reason.as_str(), &rejected.sku) {
        (refusals::OUT_OF_STOCK, Some(sku)) => format!("there is not enough of {sku}"),
        (refusals::UNKNOWN_PRODUCT, Some(sku)) => format!("there is no product {sku}"),
        (refusals::MIXED_CURRENCIES, _) => {
            "the products have prices in different currencies".to_owned()
        }
        (refusals::TOTAL_OVERFLOW, _) => "the total is more than can be counted".to_owned(),
        _ => "the order could not be decided in time".to_owned(),
    };
    Refusal::new(code_of(&rejected.reason), detail)
}

/// The refusal code of a reason in an event.
fn code_of(reason: &str) -> &'static str {
    [
        refusals::OUT_OF_STOCK,
        refusals::UNKNOWN_PRODUCT,
        refusals::MIXED_CURRENCIES,
        refusals::TOTAL_OVERFLOW,
    ]
    .into_iter()
    .find(|code| *code == reason)
    .unwrap_or(refusals::DEADLINE)
}
