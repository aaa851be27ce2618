//! Invariant A, for what has caused a record: its headers name a record of the log, and the command
//! that this record belongs to. Nothing follows from a command that was refused, and what was
//! reserved for an order is not forgotten.

use std::collections::{HashMap, HashSet};

use schemas::{Outcome, Record as _, Verdict, order, user};
use uuid::Uuid;

use crate::ledger::{Damage, Ledger, Violation};

/// The commands that write events before they are refused: they wait for an answer.
const WAITING: [&str; 3] = [
    order::PlaceOrder::SCHEMA.name,
    user::RegisterUser::SCHEMA.name,
    user::ChangeEmail::SCHEMA.name,
];

/// The refusal that has an event: who sends a used refresh token again ends the session.
const TOKEN_REUSED: &str = "token_reused";

/// A: every event and follow-up belongs to the command to which its cause belongs, and its cause
/// was committed. A timer is no record, so what it causes is known by its principal only.
pub(super) fn chains(ledger: &Ledger) -> Vec<Violation> {
    let broken = ledger.caused.iter().filter_map(|caused| {
        let (at, cause) = (&caused.at, caused.cause);
        let what = match ledger.correlations.get(&cause) {
            Some(correlation) if *correlation == caused.correlation => return None,
            Some(correlation) => format!(
                "{at} belongs to the command {}, and its cause {cause} to {correlation}",
                caused.correlation
            ),
            // Its cause may have been removed before it could be read.
            None if caused.is_of_system || !ledger.removed.is_empty() => return None,
            None => format!("{at} was caused by {cause}, which is not in the log"),
        };
        Some(Violation::new('A', Damage::Torn, what))
    });
    broken.collect()
}

/// A: no event and no follow-up follows from a command that was refused.
pub(super) fn refused(ledger: &Ledger) -> Vec<Violation> {
    let causes: HashSet<Uuid> = ledger.caused.iter().map(|caused| caused.cause).collect();
    let outcomes = ledger.outcomes.values().flat_map(|seen| &seen.outcomes);
    let refused = outcomes.filter(|outcome| {
        outcome.verdict == Verdict::Refused
            && outcome.code.as_deref() != Some(TOKEN_REUSED)
            && !WAITING.contains(&outcome.command_type.as_str())
    });
    let broken = refused.filter(|outcome| causes.contains(&outcome.command_id)).map(|outcome| {
        let what = format!("something follows from a command that was refused: {outcome:?}");
        Violation::new('A', Damage::Torn, what)
    });
    broken.collect()
}

/// A: the event at the version of an accepted order or registration is the one that says so.
pub(super) fn conclusions(ledger: &Ledger) -> Vec<Violation> {
    let outcomes = ledger.outcomes.values().flat_map(|seen| &seen.outcomes);
    let accepted = outcomes.filter(|outcome| outcome.verdict == Verdict::Accepted);
    let broken = accepted.filter(|outcome| match outcome.command_type.as_str() {
        name if name == order::PlaceOrder::SCHEMA.name => {
            let event = event_of(&ledger.folds.orders.events, outcome);
            !matches!(event, Some(order::Event::OrderConfirmed(_)))
        }
        name if name == user::RegisterUser::SCHEMA.name => {
            let event = event_of(&ledger.folds.users.events, outcome);
            !matches!(event, Some(user::Event::UserRegistered(_)))
        }
        _ => false,
    });
    let broken = broken.map(|outcome| {
        let what = format!("another event, or none, has the version of {outcome:?}");
        Violation::new('A', Damage::Torn, what)
    });
    broken.collect()
}

/// The event at the version of an outcome.
fn event_of<'a, E>(events: &'a HashMap<String, Vec<E>>, outcome: &Outcome) -> Option<&'a E> {
    let index = usize::try_from(outcome.version - 1).ok()?;
    events.get(&outcome.aggregate_id)?.get(index)
}

/// A: every reservation that was granted is decided on: an order that waits for it writes an event,
/// and one that has ended releases it. One that is confirmed has all that it needs.
pub(super) fn forgotten_reservations(ledger: &Ledger) -> Vec<Violation> {
    let causes: HashSet<Uuid> = ledger.caused.iter().map(|caused| caused.cause).collect();
    let is_confirmed = |order: &Uuid| {
        let events = ledger.folds.orders.events.get(&order.to_string());
        events.is_some_and(|events| {
            events.iter().any(|event| matches!(event, order::Event::OrderConfirmed(_)))
        })
    };
    let forgotten =
        ledger.reserved.iter().filter(|(id, order)| !causes.contains(*id) && !is_confirmed(order));
    let broken = forgotten.map(|(id, order)| {
        let what = format!("nothing follows from the reservation {id} for the order {order}");
        Violation::new('A', Damage::Lost, what)
    });
    broken.collect()
}

#[cfg(test)]
mod tests {
    use schemas::{
        order::{OrderConfirmed, OrderRejected, RecordReservation},
        stock::StockReceived,
    };

    use super::*;
    use crate::ledger::testing::{Log, accepted};

    const ORDER: Uuid = Uuid::from_u128(7);

    fn received() -> StockReceived {
        StockReceived { sku: "tea".to_owned(), quantity: 1, received: 1, free: 1, held: 0 }
    }

    fn receive() -> schemas::stock::ReceiveStock {
        schemas::stock::ReceiveStock { sku: "tea".to_owned(), quantity: 1 }
    }

    /// The reply to a request for stock.
    fn reply(reserved: bool) -> RecordReservation {
        RecordReservation {
            order_id: ORDER,
            placed_at: None,
            sku: "tea".to_owned(),
            reserved,
            quantity: 1,
            unit_price: None,
            reason: None,
        }
    }

    #[test]
    fn record_of_another_command_than_its_cause_or_without_a_cause_is_torn() {
        let mut log = Log::default();
        log.command("stock.commands", "tea", 1, &receive());
        log.event("stock.events", "tea", 1, 2, 1, &received());
        assert_eq!(chains(&log.ledger), []);
        // The record 2 belongs to the command 1.
        log.event("stock.events", "tea", 2, 3, 2, &received());
        let found = chains(&log.ledger);
        assert!(found.len() == 1 && found[0].what.contains("belongs to"), "{found:?}");
        log.event("stock.events", "tea", 3, 4, 99, &received());
        let found = chains(&log.ledger);
        assert!(found.len() == 2 && found[1].what.contains("not in the log"), "{found:?}");
    }

    #[test]
    fn event_or_followup_of_a_refused_command_is_torn() {
        let mut log = Log::default();
        log.command("stock.commands", "tea", 1, &receive());
        log.event("stock.events", "tea", 1, 2, 1, &received());
        let mut outcome = accepted(1, "millrace.stock.ReceiveStock", "tea", 1);
        outcome.verdict = Verdict::Refused;
        log.outcome("order.outcomes", &outcome);
        assert_eq!(refused(&log.ledger).len(), 1);

        let mut log = Log::default();
        log.follow_up("order.followups", "order", 3, 1, &reply(false));
        log.outcome("order.outcomes", &outcome);
        assert_eq!(refused(&log.ledger).len(), 1, "nor may a follow-up");

        let mut log = Log::default();
        log.event("stock.events", "tea", 1, 2, 1, &received());
        let reused = Outcome { code: Some(TOKEN_REUSED.to_owned()), ..outcome.clone() };
        log.outcome("user.outcomes", &reused);
        assert_eq!(refused(&log.ledger), [], "it ends the session");

        let mut log = Log::default();
        log.event("stock.events", "tea", 1, 2, 1, &received());
        outcome.command_type = order::PlaceOrder::SCHEMA.name.to_owned();
        log.outcome("order.outcomes", &outcome);
        assert_eq!(refused(&log.ledger), [], "it waits for an answer");
    }

    #[test]
    fn accepted_order_whose_event_is_another_is_torn() {
        let order_id = Uuid::from_u128(7);
        let (user_id, reason, sku) = (Uuid::nil(), "deadline".to_owned(), None);
        let rejected = OrderRejected { order_id, user_id, reason, sku, rejected_at: 0 };
        let mut log = Log::default();
        log.event("order.events", &order_id.to_string(), 1, 2, 1, &rejected);
        let mut outcome = accepted(1, order::PlaceOrder::SCHEMA.name, &order_id.to_string(), 1);
        outcome.aggregate = "order".to_owned();
        log.outcome("order.outcomes", &outcome);
        assert_eq!(conclusions(&log.ledger).len(), 1);

        let total = schemas::Money { amount_minor: 1, currency: "EUR".to_owned() };
        let lines = Vec::new();
        let confirmed = OrderConfirmed { order_id, user_id, lines, total, confirmed_at: 0 };
        let mut log = Log::default();
        log.event("order.events", &order_id.to_string(), 1, 2, 1, &confirmed);
        log.outcome("order.outcomes", &outcome);
        assert_eq!(conclusions(&log.ledger), []);
    }

    #[test]
    fn granted_reservation_from_which_nothing_follows_is_lost() {
        let order_id = ORDER;
        let key = order_id.to_string();
        let mut log = Log::default();
        log.follow_up("order.followups", &key, 1, 9, &reply(false));
        assert_eq!(forgotten_reservations(&log.ledger), []);
        log.follow_up("order.followups", &key, 2, 9, &reply(true));
        assert_eq!(forgotten_reservations(&log.ledger).len(), 1);
        let rejected = OrderRejected {
            order_id,
            user_id: Uuid::nil(),
            reason: "deadline".to_owned(),
            sku: None,
            rejected_at: 0,
        };
        log.event("order.events", &key, 1, 3, 2, &rejected);
        assert_eq!(forgotten_reservations(&log.ledger), []);
    }
}
