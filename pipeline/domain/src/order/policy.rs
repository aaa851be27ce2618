//! What follows from what happens to an order: its stocks are asked, or let go; its deadline is
//! set.
//!
//! Releases go to every product of the order, also to those that have not answered yet: what is not
//! held can't be released, and an answer that comes too late is released when it comes.

use schemas::{
    order::{Event, OrderPlaced, State},
    stock::{self, ReleaseStock, ReserveStock},
};
use uuid::Uuid;

use super::decider::lines_of;
use crate::{
    Out,
    decider::{Context, Reaction, Refusal, Verdict},
    refusals,
};

/// How long the stocks may take together, in milliseconds.
pub(super) const DEADLINE_MS: i64 = 30_000;
/// The name of the deadline's timer.
const DEADLINE: &str = "deadline";

/// What follows from `event`, after which the order is in `state`.
pub(super) fn react(
    state: Option<&State>,
    event: &Event,
    context: &Context<'_>,
) -> Vec<Reaction<Out>> {
    let stop = || Reaction::CancelTimer { name: DEADLINE.to_owned() };
    match event {
        Event::OrderPlaced(OrderPlaced { order_id, lines, .. }) => {
            let ask = |sku: &str, quantity| {
                let ask = ReserveStock { sku: sku.to_owned(), order_id: *order_id, quantity };
                to_stock(sku, ask.into())
            };
            let timer = Reaction::SetTimer {
                name: DEADLINE.to_owned(),
                due_ms: context.at_ms + DEADLINE_MS,
            };
            lines.iter().map(|line| ask(&line.sku, line.quantity)).chain([timer]).collect()
        }
        Event::ReservationRecorded(_) => Vec::new(),
        Event::OrderConfirmed(_) => vec![stop(), Reaction::Conclude(Verdict::Accepted)],
        Event::OrderRejected(rejected) => {
            let detail = match (rejected.reason.as_str(), &rejected.sku) {
                (refusals::OUT_OF_STOCK, Some(sku)) => format!("there is not enough of {sku}"),
                (refusals::UNKNOWN_PRODUCT, Some(sku)) => format!("there is no product {sku}"),
                (refusals::MIXED_CURRENCIES, _) => {
                    "the products have prices in different currencies".to_owned()
                }
                (refusals::TOTAL_OVERFLOW, _) => "the total is more than can be counted".to_owned(),
                _ => "the order could not be decided in time".to_owned(),
            };
            let refusal = Refusal::new(code(&rejected.reason), detail);
            let mut reactions = vec![stop(), Reaction::Conclude(Verdict::Refused(refusal))];
            // The one that refused holds nothing.
            let held =
                lines_of(state).into_iter().filter(|line| Some(&line.sku) != rejected.sku.as_ref());
            reactions.extend(held.map(|line| release(rejected.order_id, &line.sku)));
            reactions
        }
        Event::OrderCancelled(cancelled) => {
            let refusal =
                Refusal::new(refusals::CANCELLED, "the order was cancelled before it was decided");
            let mut reactions = vec![stop(), Reaction::Conclude(Verdict::Refused(refusal))];
            reactions
                .extend(lines_of(state).iter().map(|line| release(cancelled.order_id, &line.sku)));
            reactions
        }
    }
}

/// Lets go what an order holds of a product.
pub(super) fn release(order_id: Uuid, sku: &str) -> Reaction<Out> {
    to_stock(sku, ReleaseStock { sku: sku.to_owned(), order_id }.into())
}

fn to_stock(sku: &str, message: stock::FollowUp) -> Reaction<Out> {
    Reaction::Send {
        topic: "stock.followups",
        key: sku.to_owned(),
        message: Some(Out::Stock(message)),
    }
}

/// The refusal's word of a reason that stands in an event.
fn code(reason: &str) -> &'static str {
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
