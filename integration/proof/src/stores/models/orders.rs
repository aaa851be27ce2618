//! Orders in MongoDB, each with its history.

use domain::{decider::Decider as _, order::Order};
use schemas::{
    Message as _, Money,
    order::{Event, State},
};
use serde_json::{Value, json};

use super::{Fields, Rows, fields};
use crate::ledger::Ledger;

/// The documents that the events give, as [`flat`] leaves them.
pub(super) fn folded(ledger: &Ledger) -> Rows {
    let orders = ledger.folds.orders.events.iter();
    orders.filter_map(|(id, events)| Some((id.clone(), order(ledger, id, events)?))).collect()
}

/// Makes each entry of the histories a field of its own, so that a violation shows which differ.
pub(super) fn flat(mut orders: Rows) -> Rows {
    for order in orders.values_mut() {
        if let Some(Value::Array(history)) = order.remove("history") {
            let entries = (1_i64..).zip(history);
            order.extend(entries.map(|(number, entry)| (format!("history {number}"), entry)));
        }
    }
    orders
}

/// The document of one order; `None` if its first event does not place it.
fn order(ledger: &Ledger, id: &str, events: &[Event]) -> Option<Fields> {
    // A later state lacks what an earlier one had: when the order was placed, prices, the total.
    let (mut state, mut placed, mut confirmed) = (None, None, None);
    let (mut status, mut reason, mut changed_at) = ("placed", None, 0);
    let mut history = Fields::new();
    for (version, event) in (1_i64..).zip(events) {
        state = Order::evolve(state, event);
        match &state {
            Some(State::Placed(it)) => placed = Some(it.clone()),
            Some(State::Confirmed(it)) => (status, confirmed) = ("confirmed", Some(it.clone())),
            Some(State::Rejected(it)) => (status, reason) = ("rejected", Some(it.reason.clone())),
            Some(State::Cancelled(_)) => status = "cancelled",
            None => {}
        }
        // The state of a cancelled order has no reason.
        if let Event::OrderCancelled(cancelled) = event {
            reason = Some(cancelled.reason.clone());
        }
        let record = ledger.event_record("order", id, version)?;
        changed_at = record.at_ms;
        let entry = json!({
            "version": version, "type": event.name().rsplit('.').next(), "at": record.at_ms,
            "command": record.command, "data": event,
        });
        history.insert(format!("history {version}"), entry);
    }
    let (version, placed) = (ledger.folds.version("order", id)?, placed?);
    let lines: Vec<Value> = match &confirmed {
        Some(confirmed) => {
            let lines = confirmed.lines.iter();
            lines.map(|it| line(&it.sku, it.quantity, Some(&it.unit_price))).collect()
        }
        None => {
            let lines = placed.lines.iter();
            lines.map(|it| line(&it.sku, it.quantity, it.unit_price.as_ref())).collect()
        }
    };
    let total = confirmed.as_ref().map(|confirmed| &confirmed.total);
    let mut order = fields(json!({
        "_id": id, "user_id": placed.user_id, "status": status, "lines": lines,
        "total_minor": total.map(|total| total.amount_minor),
        "currency": total.map(|total| &total.currency), "reason": reason,
        "placed_at": placed.placed_at, "changed_at": changed_at, "version": version,
    }));
    order.extend(history);
    Some(order)
}

fn line(sku: &str, quantity: i32, unit_price: Option<&Money>) -> Value {
    let unit_price_minor = unit_price.map(|price| price.amount_minor);
    json!({ "sku": sku, "quantity": quantity, "unit_price_minor": unit_price_minor })
}

#[cfg(test)]
mod tests {
    use schemas::order::{
        Line, OrderCancelled, OrderConfirmed, OrderPlaced, OrderRejected, PricedLine,
        ReservationRecorded,
    };
    use uuid::Uuid;

    use super::*;
    use crate::{
        ledger::testing::Log,
        stores::models::{differences, one_row},
    };

    const ORDER: Uuid = Uuid::from_u128(1);
    const USER: Uuid = Uuid::from_u128(2);
    const COMMAND: Uuid = Uuid::from_u128(9);

    fn price() -> Money {
        Money { amount_minor: 450, currency: "EUR".to_owned() }
    }

    fn event(log: &mut Log, version: i64, message: impl Into<Event>) {
        log.now_ms = 100 + version;
        let (key, id) = (ORDER.to_string(), 100 + version.unsigned_abs());
        let message: Event = message.into();
        log.event("order.events", &key, version, id.into(), COMMAND.as_u128(), &message);
    }

    /// An order of two lines, one of which is reserved.
    fn half_reserved() -> Log {
        let mut log = Log::default();
        let line = |sku: &str| Line { sku: sku.to_owned(), quantity: 2 };
        let lines = vec![line("coffee"), line("tea")];
        let placed = OrderPlaced { order_id: ORDER, user_id: USER, lines, placed_at: 100 };
        event(&mut log, 1, placed);
        let (sku, unit_price) = ("tea".to_owned(), price());
        let recorded =
            ReservationRecorded { order_id: ORDER, user_id: USER, sku, quantity: 2, unit_price };
        event(&mut log, 2, recorded);
        log
    }

    fn rejected() -> OrderRejected {
        OrderRejected {
            order_id: ORDER,
            user_id: USER,
            reason: "out_of_stock".to_owned(),
            sku: Some("coffee".to_owned()),
            rejected_at: 103,
        }
    }

    fn stored() -> Value {
        let (order, user) = (ORDER.to_string(), USER.to_string());
        let entry = |version: i64, kind: &str, data: Value| {
            let (at, command) = (100 + version, COMMAND.to_string());
            json!({ "version": version, "type": kind, "at": at, "command": command, "data": data })
        };
        let lines = json!([{ "sku": "coffee", "quantity": 2 }, { "sku": "tea", "quantity": 2 }]);
        let placed =
            json!({ "order_id": order, "user_id": user, "lines": lines, "placed_at": 100 });
        let price = json!({ "amount_minor": 450, "currency": "EUR" });
        let recorded = json!({
            "order_id": order, "user_id": user, "sku": "tea", "quantity": 2, "unit_price": price,
        });
        let rejected = json!({
            "order_id": order, "user_id": user, "reason": "out_of_stock", "sku": "coffee",
            "rejected_at": 103,
        });
        json!({
            "_id": order, "user_id": user, "status": "rejected",
            "lines": [
                { "sku": "coffee", "quantity": 2, "unit_price_minor": null },
                { "sku": "tea", "quantity": 2, "unit_price_minor": 450 },
            ],
            "total_minor": null, "currency": null, "reason": "out_of_stock",
            "placed_at": 100, "changed_at": 103, "version": 3,
            "history": [
                entry(1, "OrderPlaced", placed),
                entry(2, "ReservationRecorded", recorded),
                entry(3, "OrderRejected", rejected),
            ],
        })
    }

    #[test]
    fn rejected_order_keeps_the_prices_of_its_lines_and_its_history() {
        let mut log = half_reserved();
        event(&mut log, 3, rejected());
        let found = |stored: Value| {
            let stored = flat(one_row(&ORDER.to_string(), stored));
            differences("order", "MongoDB", &stored, &folded(&log.ledger))
        };
        assert_eq!(found(stored()), []);

        let mut repriced = stored();
        repriced["lines"][1]["unit_price_minor"] = json!(451);
        assert_eq!(found(repriced).len(), 1);
        let mut shorter = stored();
        shorter["history"].as_array_mut().expect("a history").pop();
        let found = found(shorter);
        assert!(found[0].what.contains("has no history 3"), "{}", found[0].what);
    }

    #[test]
    fn cancelled_order_keeps_its_total() {
        let mut log = half_reserved();
        let line = |sku: &str| PricedLine { sku: sku.to_owned(), quantity: 2, unit_price: price() };
        let lines = vec![line("coffee"), line("tea")];
        let total = Money { amount_minor: 1800, currency: "EUR".to_owned() };
        let (order_id, user_id) = (ORDER, USER);
        let confirmed = OrderConfirmed { order_id, user_id, lines, total, confirmed_at: 103 };
        event(&mut log, 3, confirmed);
        let reason = "by_customer".to_owned();
        event(&mut log, 4, OrderCancelled { order_id, user_id, reason, cancelled_at: 104 });
        let order = folded(&log.ledger).remove(&ORDER.to_string()).expect("an order");
        let wanted = [
            ("status", json!("cancelled")),
            ("total_minor", json!(1800)),
            ("currency", json!("EUR")),
            ("reason", json!("by_customer")),
            ("placed_at", json!(100)),
            ("changed_at", json!(104)),
            ("version", json!(4)),
        ];
        for (name, value) in wanted {
            assert_eq!(order.get(name), Some(&value), "{name}");
        }
        assert_eq!(order["lines"][0]["unit_price_minor"], 450);
    }
}
