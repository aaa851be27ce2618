//! Decides on an order's commands and on the replies of the stocks. It never reserves anything
//! itself.

use std::collections::BTreeMap;

use schemas::{
    Money, Never,
    bounds::TOTAL_MINOR_MAX,
    order::{
        CancelOrder, Command, Event, FollowUp, Line, OpenLine, OrderCancelled, OrderConfirmed,
        OrderPlaced, OrderRejected, PlaceOrder, PricedLine, RecordReservation, ReservationRecorded,
        State,
        state::{Cancelled, Confirmed, Placed, Rejected},
    },
};

use super::{
    Order,
    policy::{self, lines_of},
};
use crate::{
    Out,
    decider::{Decider, Decision, DecisionResult, Input, InputInfo, Refusal},
    refusals, rules,
};

impl Decider for Order {
    const CONTEXT: &'static str = "order";
    type Command = Command;
    type FollowUp = FollowUp;
    type Event = Event;
    type State = State;
    type Child = Never;
    type Out = Out;

    fn decide(
        state: Option<&State>,
        _child: Option<&Never>,
        input: &Input<Command, FollowUp>,
        info: &InputInfo<'_>,
    ) -> DecisionResult<Self> {
        match input {
            Input::Command(Command::PlaceOrder(place)) => place_order(state, place, info),
            Input::Command(Command::CancelOrder(cancel)) => cancel_order(state, cancel, info),
            Input::FollowUp(FollowUp::RecordReservation(reply)) => Ok(record(state, reply, info)),
            // The deadline has passed.
            Input::Timer(_) => Ok(match state {
                Some(State::Placed(placed)) => {
                    Decision::event(rejected(placed, refusals::DEADLINE, None, info))
                }
                _ => Decision::nothing(),
            }),
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
                placed_at: policy::placed_at(state.as_ref()),
            }
            .into(),
            (Event::OrderCancelled(event), state) => Cancelled {
                order_id: event.order_id,
                user_id: event.user_id,
                lines: lines_of(state.as_ref()),
                cancelled_at: event.cancelled_at,
                placed_at: policy::placed_at(state.as_ref()),
            }
            .into(),
            (Event::ReservationRecorded(_) | Event::OrderConfirmed(_), state) => return state,
        })
    }

    fn is_finished(state: &State) -> bool {
        match state {
            State::Placed(_) => false,
            // A confirmed order can be cancelled until the engine forgets it.
            State::Confirmed(_) | State::Rejected(_) | State::Cancelled(_) => true,
        }
    }
}

fn place_order(
    state: Option<&State>,
    place: &PlaceOrder,
    info: &InputInfo<'_>,
) -> DecisionResult<Order> {
    rules::key("order_id", &place.order_id.to_string(), info.key)?;
    if state.is_some() {
        let detail = "there is an order with this id already";
        return Err(Refusal::new(refusals::ALREADY_EXISTS, detail));
    }
    // Lines are merged by SKU, and sorted by it.
    let mut merged = BTreeMap::<&str, i32>::new();
    for line in &place.lines {
        rules::sku(&line.sku)?;
        rules::quantity(line.quantity)?;
        let quantity = merged.entry(&line.sku).or_default();
        *quantity = quantity.saturating_add(line.quantity);
        rules::quantity(*quantity)?;
    }
    if place.lines.is_empty() || place.lines.len() > rules::LINES_MAX {
        let detail = format!("lines: expected 1 to {}", rules::LINES_MAX);
        return Err(Refusal::new(refusals::INVALID, detail));
    }
    let line = |(sku, quantity): (&str, i32)| Line { sku: sku.to_owned(), quantity };
    Ok(Decision::pending(OrderPlaced {
        order_id: place.order_id,
        user_id: place.user_id,
        lines: merged.into_iter().map(line).collect(),
        placed_at: info.at_ms,
    }))
}

fn cancel_order(
    state: Option<&State>,
    cancel: &CancelOrder,
    info: &InputInfo<'_>,
) -> DecisionResult<Order> {
    rules::key("order_id", &cancel.order_id.to_string(), info.key)?;
    let owner = match state {
        Some(State::Placed(placed)) => Some(placed.user_id),
        Some(State::Confirmed(confirmed)) => Some(confirmed.user_id),
        Some(State::Rejected(rejected)) => Some(rejected.user_id),
        Some(State::Cancelled(cancelled)) => Some(cancelled.user_id),
        None => None,
    };
    // Another user's order is not found, like an order that does not exist.
    if owner != Some(cancel.user_id) {
        return Err(Refusal::new(refusals::NOT_FOUND, "there is no such order"));
    }
    info.require_version(cancel.expected_version, "order")?;
    match state {
        Some(State::Placed(_) | State::Confirmed(_)) => Ok(Decision::event(OrderCancelled {
            order_id: cancel.order_id,
            user_id: cancel.user_id,
            reason: "by_customer".to_owned(),
            cancelled_at: info.at_ms,
        })),
        Some(State::Cancelled(_)) => {
            Err(Refusal::new(refusals::WRONG_STAGE, "the order is cancelled already"))
        }
        _ => Err(Refusal::new(
            refusals::WRONG_STAGE,
            "the order was rejected: there is nothing to cancel",
        )),
    }
}

/// Records a stock's reply.
fn record(
    state: Option<&State>,
    reply: &RecordReservation,
    info: &InputInfo<'_>,
) -> Decision<Event, Out> {
    // An earlier order of this id has released what it did not keep. Its goods may be sold.
    if is_of_another(policy::placed_at(state), reply.placed_at) {
        return Decision::nothing();
    }
    let release = || {
        let RecordReservation { order_id, ref sku, placed_at, .. } = *reply;
        // A grant of an older version does not say for which order it is.
        let placed_at = placed_at.or(policy::placed_at(state));
        Decision::nothing().with(policy::release(order_id, sku, placed_at))
    };
    match state {
        Some(State::Placed(placed)) => {
            match (placed.lines.iter().position(|line| line.sku == reply.sku), reply.reserved) {
                (Some(_), false) => {
                    let reason = reply.reason.as_deref().unwrap_or(refusals::OUT_OF_STOCK);
                    Decision::event(rejected(placed, reason, Some(&reply.sku), info))
                }
                (None, false) => Decision::nothing(),
                (Some(line), true) => record_grant(placed, line, reply, info),
                // The order has no such line.
                (None, true) => release(),
            }
        }
        // A repeated grant: the order holds the goods already, and keeps them.
        Some(State::Confirmed(_)) => Decision::nothing(),
        // The grant comes after the order's end.
        Some(State::Rejected(_) | State::Cancelled(_)) | None if reply.reserved => release(),
        Some(State::Rejected(_) | State::Cancelled(_)) | None => Decision::nothing(),
    }
}

/// Whether a reply is for another order of this id. Records of older versions do not say.
fn is_of_another(own: Option<i64>, asked: Option<i64>) -> bool {
    own.zip(asked).is_some_and(|(own, asked)| own != asked)
}

/// Records the price of a line, and ends the order with its last line. A repeated grant is ignored.
fn record_grant(
    placed: &Placed,
    line: usize,
    reply: &RecordReservation,
    info: &InputInfo<'_>,
) -> Decision<Event, Out> {
    let Some(price) = reply.unit_price.as_ref().filter(|_| placed.lines[line].unit_price.is_none())
    else {
        return Decision::nothing();
    };
    let mut placed = placed.clone();
    placed.lines[line].unit_price = Some(price.clone());
    let recorded = ReservationRecorded {
        order_id: placed.order_id,
        user_id: placed.user_id,
        sku: reply.sku.clone(),
        quantity: placed.lines[line].quantity,
        unit_price: price.clone(),
    };
    let mut events = vec![recorded.into()];
    events.extend(concluded(&placed, info));
    Decision::events(events)
}

/// The event that ends an order; `None` while a stock has not replied yet.
fn concluded(placed: &Placed, info: &InputInfo<'_>) -> Option<Event> {
    let priced = |line: &OpenLine| {
        let OpenLine { sku, quantity, unit_price } = line.clone();
        unit_price.map(|unit_price| PricedLine { sku, quantity, unit_price })
    };
    let lines: Vec<PricedLine> = placed.lines.iter().map(priced).collect::<Option<_>>()?;
    let currency = &lines.first()?.unit_price.currency;
    if lines.iter().any(|line| line.unit_price.currency != *currency) {
        return Some(rejected(placed, refusals::MIXED_CURRENCIES, None, info));
    }
    let total = lines.iter().try_fold(0_i64, |total, line| {
        line.unit_price.amount_minor.checked_mul(line.quantity.into())?.checked_add(total)
    });
    let Some(amount_minor) = total.filter(|total| *total <= TOTAL_MINOR_MAX) else {
        return Some(rejected(placed, refusals::TOTAL_OVERFLOW, None, info));
    };
    let total = Money { amount_minor, currency: currency.clone() };
    let Placed { order_id, user_id, .. } = *placed;
    Some(OrderConfirmed { order_id, user_id, lines, total, confirmed_at: info.at_ms }.into())
}

fn rejected(placed: &Placed, reason: &str, sku: Option<&str>, info: &InputInfo<'_>) -> Event {
    OrderRejected {
        order_id: placed.order_id,
        user_id: placed.user_id,
        reason: reason.to_owned(),
        sku: sku.map(str::to_owned),
        rejected_at: info.at_ms,
    }
    .into()
}
