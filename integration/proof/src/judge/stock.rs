//! Invariant F: the quantities of products.

use std::collections::HashMap;

use schemas::{order, stock};

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

fn received(event: &stock::Event) -> i64 {
    match event {
        stock::Event::StockReceived(received) => i64::from(received.quantity),
        _ => 0,
    }
}
