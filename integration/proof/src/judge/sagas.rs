//! Invariant A, for what commands lead to: replies to follow-ups, and notifications.

use std::collections::{BTreeMap, HashSet};

use schemas::{notification, order};
use uuid::Uuid;

use crate::ledger::{Damage, Ledger, Violation};

/// A: nothing is parked. No fault makes an event or a follow-up fail, and the suite sends no
/// operator's command, so there is nothing to tell operators.
pub(super) fn parked(ledger: &Ledger) -> Vec<Violation> {
    let violation = |(key, at): &(String, String)| {
        Violation::new('A', Damage::Torn, format!("{at}: a record of the key {key:?} was parked"))
    };
    ledger.parked.iter().map(violation).collect()
}

/// A: every request of a saga for stock or an address is answered. The deadline of the saga would
/// end it without an answer too, so the end of an order does not prove one.
pub(super) fn unanswered(ledger: &Ledger) -> Vec<Violation> {
    // A reply follows from the request, or from the event that the request has caused.
    let cause = |id: &Uuid| ledger.event_causes.get(id).copied().unwrap_or(*id);
    let answered: HashSet<Uuid> = ledger.replied.iter().map(cause).collect();
    let unanswered = ledger.requests.iter().filter(|(id, _)| !answered.contains(*id));
    let violation = |(id, at): (&Uuid, &String)| {
        Violation::new('A', Damage::Lost, format!("{at}: the request {id} was never answered"))
    };
    unanswered.map(violation).collect()
}

/// A, for consequences of commands: the customer is notified of each end of an order once.
pub(super) fn notified_once(ledger: &Ledger) -> Vec<Violation> {
    let mut notified: BTreeMap<(Option<Uuid>, &str), usize> = BTreeMap::new();
    for event in ledger.folds.notifications.events.values().flatten() {
        if let notification::Event::NotificationRaised(raised) = event
            && raised.order_id.is_some()
        {
            *notified.entry((raised.order_id, raised.kind.as_str())).or_default() += 1;
        }
    }
    let mut broken = Vec::new();
    for (what, times) in notified.iter().filter(|(_, times)| **times > 1) {
        broken.push(Violation::new(
            'A',
            Damage::Doubled,
            format!("{what:?} was notified {times} times"),
        ));
    }
    for event in ledger.folds.orders.events.values().flatten() {
        let (id, kind) = match event {
            order::Event::OrderConfirmed(event) => (event.order_id, "ORDER_CONFIRMED"),
            order::Event::OrderRejected(event) => (event.order_id, "ORDER_REJECTED"),
            order::Event::OrderCancelled(event) => (event.order_id, "ORDER_CANCELLED"),
            _ => continue,
        };
        if !notified.contains_key(&(Some(id), kind)) {
            broken.push(Violation::new(
                'A',
                Damage::Lost,
                format!("{kind} of {id} was not notified"),
            ));
        }
    }
    broken
}

#[cfg(test)]
mod tests {
    use schemas::{
        order::RecordReservation,
        stock::{ReserveStock, Shortage, StockRefused},
    };

    use super::*;
    use crate::ledger::testing::Log;

    fn reserve() -> ReserveStock {
        let order_id = Uuid::nil();
        ReserveStock { sku: "tea".to_owned(), order_id, quantity: 1, placed_at: None }
    }

    fn reply() -> RecordReservation {
        RecordReservation {
            order_id: Uuid::nil(),
            sku: "tea".to_owned(),
            reserved: false,
            quantity: 1,
            unit_price: None,
            reason: Some("out_of_stock".to_owned()),
        }
    }

    /// What the violations are, in order.
    fn letters(broken: &[Violation]) -> Vec<(char, Damage)> {
        broken.iter().map(|one| (one.invariant, one.damage)).collect()
    }

    #[test]
    fn request_without_a_reply_is_lost() {
        let mut log = Log::default();
        log.follow_up("stock.followups", "tea", 1, 10, &reserve());
        assert_eq!(letters(&unanswered(&log.ledger)), [('A', Damage::Lost)]);
        // The stock refuses by an event, from which the reply follows.
        let refused = StockRefused {
            sku: "tea".to_owned(),
            order_id: Uuid::nil(),
            quantity: 1,
            reason: Shortage::Insufficient,
            received: 0,
            free: 0,
            held: 0,
        };
        log.event("stock.events", "tea", 1, 2, 1, &refused);
        assert_eq!(letters(&unanswered(&log.ledger)), [('A', Damage::Lost)]);
        log.follow_up("order.followups", "order", 3, 2, &reply());
        assert_eq!(unanswered(&log.ledger), []);

        // It answers without an event if there is no such product.
        log.follow_up("stock.followups", "tea", 4, 10, &reserve());
        assert_eq!(letters(&unanswered(&log.ledger)), [('A', Damage::Lost)]);
        log.follow_up("order.followups", "order", 5, 4, &reply());
        assert_eq!(unanswered(&log.ledger), []);
    }

    #[test]
    fn record_for_operators_is_torn() {
        let mut log = Log::default();
        log.follow_up("stock.followups", "tea", 1, 2, &reserve());
        assert_eq!(parked(&log.ledger), []);
        // Whatever it says.
        log.follow_up("order.operations", "tea", 3, 1, &reserve());
        assert_eq!(letters(&parked(&log.ledger)), [('A', Damage::Torn)]);
    }
}
