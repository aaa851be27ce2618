//! What may happen to an order.

use std::collections::BTreeMap;

use schemas::{
    Money, Never,
    order::{
        CancelOrder, Command, Event, FollowUp, Line, OpenLine, OrderCancelled, OrderConfirmed,
        OrderPlaced, OrderRejected, PlaceOrder, PricedLine, RecordReservation, ReservationRecorded,
        State,
        state::{Cancelled, Confirmed, Placed, Rejected},
    },
};

use super::policy;
use crate::{
    Out,
    decider::{Context, Decider, Decision, Input, Reaction},
    refusals, rules,
};

/// An order, keyed by its id.
#[derive(Debug)]
pub struct Order;

impl Decider for Order {
    const CONTEXT: &'static str = "order";
    type Command = Command;
    type FollowUp = FollowUp;
    type Event = Event;
    type State = State;
    type Member = Never;
    type Out = Out;

    fn decide(
        state: Option<&State>,
        _member: Option<&Never>,
        input: &Input<Command, FollowUp>,
        context: &Context<'_>,
    ) -> Decision<Event, Out> {
        match input {
            Input::Command(Command::PlaceOrder(place)) => place_order(state, place, context),
            Input::Command(Command::CancelOrder(cancel)) => cancel_order(state, cancel, context),
            Input::FollowUp(FollowUp::RecordReservation(answer)) => record(state, answer, context),
            Input::Timer(_) => match state {
                Some(State::Placed(placed)) => {
                    Decision::accept([rejected(placed, refusals::DEADLINE, None, context)])
                }
                _ => Decision::nothing(),
            },
        }
    }

    fn evolve(state: Option<State>, event: &Event) -> Option<State> {
        Some(match (event.clone(), state) {
            (Event::OrderPlaced(OrderPlaced { order_id, user_id, lines, placed_at }), _) => {
                let open = |Line { sku, quantity }| OpenLine { sku, quantity, unit_price: None };
                Placed {
                    order_id,
                    user_id,
                    lines: lines.into_iter().map(open).collect(),
                    placed_at,
                }
                .into()
            }
            (Event::ReservationRecorded(recorded), Some(State::Placed(mut placed))) => {
                if let Some(line) = placed.lines.iter_mut().find(|line| line.sku == recorded.sku) {
                    line.unit_price = Some(recorded.unit_price);
                }
                placed.into()
            }
            (Event::OrderConfirmed(event), Some(State::Placed(placed))) => Confirmed {
                order_id: event.order_id,
                user_id: event.user_id,
                lines: event.lines,
                total: event.total,
                placed_at: placed.placed_at,
                confirmed_at: event.confirmed_at,
            }
            .into(),
            (Event::OrderRejected(event), state) => Rejected {
                order_id: event.order_id,
                user_id: event.user_id,
                lines: lines_of(state.as_ref()),
                reason: event.reason,
                rejected_at: event.rejected_at,
            }
            .into(),
            (Event::OrderCancelled(event), state) => Cancelled {
                order_id: event.order_id,
                user_id: event.user_id,
                lines: lines_of(state.as_ref()),
                cancelled_at: event.cancelled_at,
            }
            .into(),
            (Event::ReservationRecorded(_) | Event::OrderConfirmed(_), state) => return state,
        })
    }

    fn is_finished(state: &State) -> bool {
        match state {
            State::Placed(_) => false,
            // A confirmed order can be cancelled as long as it is remembered, and not afterwards.
            State::Confirmed(_) | State::Rejected(_) | State::Cancelled(_) => true,
        }
    }

    fn react(state: Option<&State>, event: &Event, context: &Context<'_>) -> Vec<Reaction<Out>> {
        policy::react(state, event, context)
    }
}

fn place_order(
    state: Option<&State>,
    place: &PlaceOrder,
    context: &Context<'_>,
) -> Decision<Event, Out> {
    if let Err(refusal) = rules::key("order_id", &place.order_id.to_string(), context.key) {
        return Decision::refuse(refusal.code, refusal.detail);
    }
    if state.is_some() {
        return Decision::refuse(
            refusals::ALREADY_EXISTS,
            "there is an order with this id already",
        );
    }
    // Lines are merged by SKU, and stand in its order.
    let mut merged = BTreeMap::<&str, i32>::new();
    for line in &place.lines {
        if let Err(refusal) = rules::sku(&line.sku).and(rules::quantity(line.quantity)) {
            return Decision::refuse(refusal.code, refusal.detail);
        }
        let quantity = merged.entry(&line.sku).or_default();
        *quantity = quantity.saturating_add(line.quantity);
        if let Err(refusal) = rules::quantity(*quantity) {
            return Decision::refuse(refusal.code, refusal.detail);
        }
    }
    if place.lines.is_empty() || place.lines.len() > rules::LINES_MAX {
        return Decision::refuse(
            refusals::INVALID,
            format!("lines: expected 1 to {}", rules::LINES_MAX),
        );
    }
    let line = |(sku, quantity): (&str, i32)| Line { sku: sku.to_owned(), quantity };
    Decision::pending([OrderPlaced {
        order_id: place.order_id,
        user_id: place.user_id,
        lines: merged.into_iter().map(line).collect(),
        placed_at: context.at_ms,
    }
    .into()])
}

fn cancel_order(
    state: Option<&State>,
    cancel: &CancelOrder,
    context: &Context<'_>,
) -> Decision<Event, Out> {
    if let Err(refusal) = rules::key("order_id", &cancel.order_id.to_string(), context.key) {
        return Decision::refuse(refusal.code, refusal.detail);
    }
    let owner = match state {
        Some(State::Placed(placed)) => Some(placed.user_id),
        Some(State::Confirmed(confirmed)) => Some(confirmed.user_id),
        Some(State::Rejected(rejected)) => Some(rejected.user_id),
        Some(State::Cancelled(cancelled)) => Some(cancelled.user_id),
        None => None,
    };
    // Another's order is as good as none.
    if owner != Some(cancel.user_id) {
        return Decision::refuse(refusals::NOT_FOUND, "there is no such order");
    }
    if cancel.expected_version.is_some_and(|expected| expected != context.version) {
        return Decision::refuse(
            refusals::VERSION_MISMATCH,
            format!("the order has version {}", context.version),
        );
    }
    match state {
        Some(State::Placed(_) | State::Confirmed(_)) => Decision::accept([OrderCancelled {
            order_id: cancel.order_id,
            user_id: cancel.user_id,
            reason: "by_customer".to_owned(),
            cancelled_at: context.at_ms,
        }
        .into()]),
        Some(State::Cancelled(_)) => {
            Decision::refuse(refusals::WRONG_STAGE, "the order is cancelled already")
        }
        _ => Decision::refuse(
            refusals::WRONG_STAGE,
            "the order was rejected: there is nothing to cancel",
        ),
    }
}

fn record(
    state: Option<&State>,
    answer: &RecordReservation,
    context: &Context<'_>,
) -> Decision<Event, Out> {
    let line_of = |placed: &Placed| placed.lines.iter().position(|line| line.sku == answer.sku);
    match state {
        Some(State::Placed(placed)) if !answer.reserved => {
            let reason = answer.reason.as_deref().unwrap_or(refusals::OUT_OF_STOCK);
            match line_of(placed).is_some() {
                true => Decision::accept([rejected(placed, reason, Some(&answer.sku), context)]),
                false => Decision::nothing(),
            }
        }
        Some(State::Placed(placed)) => match (line_of(placed), &answer.unit_price) {
            (Some(line), Some(price)) if placed.lines[line].unit_price.is_none() => {
                let mut placed = placed.clone();
                placed.lines[line].unit_price = Some(price.clone());
                let recorded = ReservationRecorded {
                    order_id: placed.order_id,
                    user_id: placed.user_id,
                    sku: answer.sku.clone(),
                    quantity: placed.lines[line].quantity,
                    unit_price: price.clone(),
                };
                let mut events = vec![recorded.into()];
                events.extend(concluded(&placed, context));
                Decision::accept(events)
            }
            // Answered twice.
            (Some(_), _) => Decision::nothing(),
            (None, _) => Decision::nothing().with(policy::release(answer.order_id, &answer.sku)),
        },
        // Held already, and still wanted.
        Some(State::Confirmed(_)) => Decision::nothing(),
        // Too late: nobody wants it any more.
        Some(State::Rejected(_) | State::Cancelled(_)) | None if answer.reserved => {
            Decision::nothing().with(policy::release(answer.order_id, &answer.sku))
        }
        Some(State::Rejected(_) | State::Cancelled(_)) | None => Decision::nothing(),
    }
}

/// How an order ends whose stocks have all answered.
fn concluded(placed: &Placed, context: &Context<'_>) -> Option<Event> {
    let priced = |line: &OpenLine| {
        let OpenLine { sku, quantity, unit_price } = line.clone();
        unit_price.map(|unit_price| PricedLine { sku, quantity, unit_price })
    };
    let lines: Vec<PricedLine> = placed.lines.iter().map(priced).collect::<Option<_>>()?;
    let currency = &lines.first()?.unit_price.currency;
    if lines.iter().any(|line| line.unit_price.currency != *currency) {
        return Some(rejected(placed, refusals::MIXED_CURRENCIES, None, context));
    }
    let total = lines.iter().try_fold(0_i64, |total, line| {
        line.unit_price.amount_minor.checked_mul(line.quantity.into())?.checked_add(total)
    });
    let Some(amount_minor) = total else {
        return Some(rejected(placed, refusals::TOTAL_OVERFLOW, None, context));
    };
    let total = Money { amount_minor, currency: currency.clone() };
    let Placed { order_id, user_id, .. } = *placed;
    Some(OrderConfirmed { order_id, user_id, lines, total, confirmed_at: context.at_ms }.into())
}

fn rejected(placed: &Placed, reason: &str, sku: Option<&str>, context: &Context<'_>) -> Event {
    OrderRejected {
        order_id: placed.order_id,
        user_id: placed.user_id,
        reason: reason.to_owned(),
        sku: sku.map(str::to_owned),
        rejected_at: context.at_ms,
    }
    .into()
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
