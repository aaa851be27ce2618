//! Invariant F: the quantities of products.

use std::collections::HashMap;

use schemas::{Verdict, order, stock};

use crate::ledger::{Damage, Ledger, Violation};

/// F: received = free + held by confirmed orders, nothing below zero, and every saga has ended.
pub(super) fn sums(ledger: &Ledger) -> Vec<Violation> {
    let mut broken = Vec::new();
    let mut held: HashMap<&str, i64> = HashMap::new();
    for (key, (_, state)) in &ledger.folds.orders.aggregates {
        match state {
            Some(order::State::Confirmed(confirmed)) => {
                for line in &confirmed.lines {
                    *held.entry(&line.sku).or_default() += i64::from(line.quantity);
                }
            }
            Some(order::State::Placed(_)) => {
                broken.push(Violation::new(
                    'A',
                    Damage::Lost,
                    format!("order {key} was neither confirmed nor rejected"),
                ));
            }
            _ => {}
        }
    }
    for (sku, (_, state)) in &ledger.folds.stock.aggregates {
        let Some(stock::State::Product(product)) = state else { continue };
        let received: i64 =
            ledger.folds.stock.events.get(sku).into_iter().flatten().map(received).sum();
        let sold = held.get(sku.as_str()).copied().unwrap_or(0);
        let seen = (product.received, product.free + product.held, product.held);
        if seen != (received, received, sold) || product.free < 0 {
            let what =
                format!("{sku}: {product:?}; received {received}, confirmed orders hold {sold}");
            broken.push(Violation::new('F', Damage::Torn, what));
        }
    }
    broken
}

/// F, at every moment: no event has left less than nothing free.
pub(super) fn oversold(ledger: &Ledger) -> Vec<Violation> {
    let events = ledger.folds.stock.events.iter();
    let events = events.flat_map(|(sku, events)| events.iter().map(move |event| (sku, event)));
    let oversold = events.filter(|(_, event)| free(event).is_some_and(|free| free < 0));
    let violation = |(sku, event): (&String, &stock::Event)| {
        Violation::new('F', Damage::Torn, format!("{sku} was oversold: {event:?}"))
    };
    oversold.map(violation).collect()
}

/// What is free after an event.
fn free(event: &stock::Event) -> Option<i64> {
    match event {
        stock::Event::StockReceived(event) => Some(event.free),
        stock::Event::StockReserved(event) => Some(event.free),
        stock::Event::StockRefused(event) => Some(event.free),
        stock::Event::StockReleased(event) => Some(event.free),
        stock::Event::ProductAdded(_) => None,
    }
}

fn received(event: &stock::Event) -> i64 {
    match event {
        stock::Event::StockReceived(received) => i64::from(received.quantity),
        _ => 0,
    }
}

/// A: a product has received what the accepted commands say, by the sum of their quantities.
pub(super) fn receipts(ledger: &Ledger) -> Vec<Violation> {
    let mut accepted: HashMap<&str, i64> = HashMap::new();
    for (id, sent) in &ledger.commands {
        let outcome = ledger.outcomes.get(id).and_then(|seen| seen.outcomes.first());
        if let (Some(quantity), Some(outcome)) = (sent.received, outcome)
            && outcome.verdict == Verdict::Accepted
        {
            *accepted.entry(&outcome.aggregate_id).or_default() += i64::from(quantity);
        }
    }
    let mut broken = Vec::new();
    for (sku, events) in &ledger.folds.stock.events {
        let received: i64 = events.iter().map(received).sum();
        let accepted = accepted.get(sku.as_str()).copied().unwrap_or(0);
        if received != accepted {
            let damage = if received > accepted { Damage::Doubled } else { Damage::Lost };
            let what = format!("{sku}: {accepted} were accepted, and {received} received");
            broken.push(Violation::new('A', damage, what));
        }
    }
    broken
}

#[cfg(test)]
mod tests {
    use schemas::{
        Record as _,
        stock::{ReceiveStock, StockReceived},
    };

    use super::*;
    use crate::ledger::testing::{Log, accepted};

    fn three(received: i64) -> StockReceived {
        StockReceived { sku: "tea".to_owned(), quantity: 3, received, free: received, held: 0 }
    }

    #[test]
    fn stock_that_was_received_more_or_less_often_than_accepted_is_doubled_or_lost() {
        let mut log = Log::default();
        let receive = ReceiveStock { sku: "tea".to_owned(), quantity: 3 };
        // A repeat is the same command.
        for _ in 0..2 {
            log.command("stock.commands", "tea", 1, &receive);
            log.outcome("order.outcomes", &accepted(1, ReceiveStock::SCHEMA.name, "tea", 1));
        }
        log.event("stock.events", "tea", 1, 11, 1, &three(3));
        assert_eq!(receipts(&log.ledger), []);

        log.event("stock.events", "tea", 2, 12, 1, &three(6));
        assert_eq!(receipts(&log.ledger)[0].damage, Damage::Doubled);

        for id in [2, 3] {
            log.command("stock.commands", "tea", id, &receive);
            log.outcome("order.outcomes", &accepted(id, ReceiveStock::SCHEMA.name, "tea", 3));
        }
        let lost = &receipts(&log.ledger)[0];
        assert_eq!((lost.invariant, lost.damage), ('A', Damage::Lost));
    }

    #[test]
    fn product_that_was_oversold_for_a_moment_is_torn() {
        let mut log = Log::default();
        log.event("stock.events", "tea", 1, 11, 1, &three(0));
        assert_eq!(oversold(&log.ledger), []);
        log.event("stock.events", "tea", 2, 12, 2, &three(-1));
        log.event("stock.events", "tea", 3, 13, 3, &three(2));
        let found = oversold(&log.ledger);
        assert_eq!((found.len(), found[0].invariant), (1, 'F'), "{found:?}");
    }
}
