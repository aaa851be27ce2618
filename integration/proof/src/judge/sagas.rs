//! Invariant A, for what commands lead to: replies to follow-ups, and notifications.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use schemas::{
    notification::{self, Kind},
    order, user,
};
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
    let events = ledger.caused.iter().filter(|caused| caused.is_event);
    let causes: HashMap<Uuid, Uuid> = events.map(|event| (event.id, event.cause)).collect();
    let cause = |id: &Uuid| causes.get(id).copied().unwrap_or(*id);
    let answered: HashSet<Uuid> = ledger.replied.iter().map(cause).collect();
    let unanswered = ledger.requests.iter().filter(|(id, _)| !answered.contains(*id));
    let violation = |(id, at): (&Uuid, &String)| {
        Violation::new('A', Damage::Lost, format!("{at}: the request {id} was never answered"))
    };
    unanswered.map(violation).collect()
}

/// A, for consequences of commands: a user is notified of the registration, and of each end of an
/// order, once, and of nothing else.
pub(super) fn notified_once(ledger: &Ledger) -> Vec<Violation> {
    let mut notified: BTreeMap<Notice, usize> = BTreeMap::new();
    for event in ledger.folds.notifications.events.values().flatten() {
        if let notification::Event::NotificationRaised(raised) = event {
            let notice = (raised.user_id, raised.kind.as_str(), raised.order_id);
            *notified.entry(notice).or_default() += 1;
        }
    }
    let wanted = notices(ledger);
    let mut broken = Vec::new();
    for (notice, times) in &notified {
        if *times > 1 {
            let what = format!("{notice:?} was notified {times} times");
            broken.push(Violation::new('A', Damage::Doubled, what));
        }
        if !wanted.contains(notice) {
            let what = format!("{notice:?} was notified, and no event is its reason");
            broken.push(Violation::new('A', Damage::Torn, what));
        }
    }
    for notice in wanted.iter().filter(|notice| !notified.contains_key(notice)) {
        let what = format!("{notice:?} was not notified");
        broken.push(Violation::new('A', Damage::Lost, what));
    }
    broken
}

/// A notification: the user, its kind, and the order that it is about.
type Notice = (Uuid, &'static str, Option<Uuid>);

/// The notifications that events are reasons for.
fn notices(ledger: &Ledger) -> BTreeSet<Notice> {
    let users = ledger.folds.users.events.values().flatten().filter_map(|event| match event {
        user::Event::UserRegistered(event) => Some((event.user_id, Kind::Welcome.as_str(), None)),
        _ => None,
    });
    let orders = ledger.folds.orders.events.values().flatten().filter_map(|event| {
        let (user, order, kind) = match event {
            order::Event::OrderConfirmed(event) => {
                (event.user_id, event.order_id, Kind::OrderConfirmed)
            }
            order::Event::OrderRejected(event) => {
                (event.user_id, event.order_id, Kind::OrderRejected)
            }
            order::Event::OrderCancelled(event) => {
                (event.user_id, event.order_id, Kind::OrderCancelled)
            }
            order::Event::OrderPlaced(_) | order::Event::ReservationRecorded(_) => return None,
        };
        Some((user, kind.as_str(), Some(order)))
    });
    users.chain(orders).collect()
}

#[cfg(test)]
mod tests {
    use schemas::{
        notification::NotificationRaised,
        order::{OrderRejected, RecordReservation},
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
            placed_at: None,
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
            placed_at: None,
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
    fn user_is_notified_of_what_has_happened_once_and_of_nothing_else() {
        let (user_id, order_id) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let raised = |user_id, kind, number| NotificationRaised {
            notification_id: Uuid::from_u128(number),
            user_id,
            kind,
            title: String::new(),
            body: String::new(),
            order_id: Some(order_id),
            raised_at: 0,
        };
        let rejected = OrderRejected {
            order_id,
            user_id,
            reason: "deadline".to_owned(),
            sku: None,
            rejected_at: 0,
        };
        let mut log = Log::default();
        log.event("order.events", &order_id.to_string(), 1, 10, 9, &rejected);
        assert_eq!(letters(&notified_once(&log.ledger)), [('A', Damage::Lost)]);

        let mut raise = |raised: &NotificationRaised, id| {
            let key = raised.notification_id.to_string();
            log.event("notification.events", &key, 1, id, 10, raised);
            letters(&notified_once(&log.ledger))
        };
        let right = Kind::OrderRejected;
        // To another user, and then to the right one.
        let torn = [('A', Damage::Torn), ('A', Damage::Lost)];
        assert_eq!(raise(&raised(Uuid::nil(), right, 20), 30), torn);
        assert_eq!(raise(&raised(user_id, right, 21), 31), torn[..1]);
        let confirmed = raise(&raised(user_id, Kind::OrderConfirmed, 22), 32);
        assert_eq!(confirmed.len(), 2, "it was not confirmed");
        assert!(raise(&raised(user_id, right, 23), 33).contains(&('A', Damage::Doubled)));
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
