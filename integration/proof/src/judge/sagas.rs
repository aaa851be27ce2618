//! Invariant A, for what commands lead to: replies to follow-ups, and notifications.

use std::collections::BTreeMap;

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
    use schemas::stock::ReserveStock;

    use super::*;
    use crate::ledger::testing::Log;

    fn reserve() -> ReserveStock {
        let order_id = Uuid::nil();
        ReserveStock { sku: "tea".to_owned(), order_id, quantity: 1, placed_at: None }
    }

    /// What the violations are, in order.
    fn letters(broken: &[Violation]) -> Vec<(char, Damage)> {
        broken.iter().map(|one| (one.invariant, one.damage)).collect()
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
