//! Orders, each with its history: one document, so that what is and how it came about never differ.

use mongodb::bson::{Document, doc};
use schemas::{
    Money,
    order::{self, PricedLine},
};
use serde::{Deserialize, Serialize};

use super::{ORDERS, folded::Fold};
use crate::{
    projection::{Event, short},
    views::{Happened, Line, Order},
};

/// The fold.
pub(super) struct Orders;

/// An order with its history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct OrderDocument {
    #[serde(flatten)]
    order: Order,
    history: Vec<Happened>,
}

impl Fold for Orders {
    const NAME: &'static str = "orders";
    const TOPICS: &'static [&'static str] = &["order.events"];
    const COLLECTION: &'static str = ORDERS;
    type Event = order::Event;
    type Document = OrderDocument;

    fn version(document: &OrderDocument) -> i64 {
        document.order.version
    }

    fn ended(before_ms: i64) -> Option<Document> {
        Some(doc! { "changed_at": { "$lt": before_ms }, "status": { "$ne": "placed" } })
    }

    fn begins_anew(document: &OrderDocument, event: &Event<'_, order::Event>) -> bool {
        let order::Event::OrderPlaced(placed) = &event.message else { return false };
        event.version == 1 && placed.placed_at > document.order.changed_at
    }

    fn fold(
        document: Option<OrderDocument>,
        event: &Event<'_, order::Event>,
    ) -> Option<OrderDocument> {
        use order::Event as E;
        let (order, mut history) = document.map_or((None, Vec::new()), |document| {
            let OrderDocument { order, history } = document;
            (Some(order), history)
        });
        let mut order = match (&event.message, order) {
            (E::OrderPlaced(placed), _) => Order {
                id: placed.order_id,
                user_id: placed.user_id,
                status: "placed".to_owned(),
                lines: placed.lines.iter().map(|line| unpriced(&line.sku, line.quantity)).collect(),
                total_minor: None,
                currency: None,
                reason: None,
                placed_at: placed.placed_at,
                changed_at: event.at,
                version: event.version,
            },
            (_, Some(order)) => order,
            (_, None) => return None,
        };
        match &event.message {
            E::OrderPlaced(_) => {}
            E::ReservationRecorded(recorded) => {
                if let Some(line) = order.lines.iter_mut().find(|line| line.sku == recorded.sku) {
                    line.unit_price_minor = Some(recorded.unit_price.amount_minor);
                }
            }
            E::OrderConfirmed(confirmed) => {
                let Money { amount_minor, currency } = confirmed.total.clone();
                order.status = "confirmed".to_owned();
                order.lines = confirmed.lines.iter().map(priced).collect();
                (order.total_minor, order.currency) = (Some(amount_minor), Some(currency));
            }
            E::OrderRejected(rejected) => {
                order.status = "rejected".to_owned();
                order.reason = Some(rejected.reason.clone());
            }
            E::OrderCancelled(cancelled) => {
                order.status = "cancelled".to_owned();
                order.reason = Some(cancelled.reason.clone());
            }
        }
        (order.version, order.changed_at) = (event.version, event.at);
        history.push(Happened {
            version: event.version,
            kind: short(schemas::Message::name(&event.message)).to_owned(),
            at: event.at,
            // What serde has read as a record it can write as one.
            data: serde_json::to_value(&event.message).ok()?,
        });
        Some(OrderDocument { order, history })
    }
}

fn unpriced(sku: &str, quantity: i32) -> Line {
    Line { sku: sku.to_owned(), quantity, unit_price_minor: None }
}

fn priced(line: &PricedLine) -> Line {
    Line {
        sku: line.sku.clone(),
        quantity: line.quantity,
        unit_price_minor: Some(line.unit_price.amount_minor),
    }
}

#[cfg(test)]
mod tests {
    use schemas::order::{OrderCancelled, OrderConfirmed, OrderPlaced};
    use uuid::Uuid;

    use super::*;

    const ORDER: Uuid = Uuid::from_u128(1);
    const USER: Uuid = Uuid::from_u128(2);

    fn event(version: i64, message: impl Into<order::Event>) -> Event<'static, order::Event> {
        Event { key: "1", version, at: 100 + version, message: message.into() }
    }

    fn placed() -> OrderPlaced {
        let lines = vec![order::Line { sku: "tea".to_owned(), quantity: 2 }];
        OrderPlaced { order_id: ORDER, user_id: USER, lines, placed_at: 100 }
    }

    #[test]
    fn an_order_has_its_prices_and_total_once_confirmed_and_keeps_its_history() {
        // given
        let document = Orders::fold(None, &event(1, placed()));
        // when
        let unit_price = Money { amount_minor: 450, currency: "EUR".to_owned() };
        let confirmed = OrderConfirmed {
            order_id: ORDER,
            user_id: USER,
            lines: vec![PricedLine { sku: "tea".to_owned(), quantity: 2, unit_price }],
            total: Money { amount_minor: 900, currency: "EUR".to_owned() },
            confirmed_at: 102,
        };
        let document = Orders::fold(document, &event(2, confirmed));
        let reason = "by_customer".to_owned();
        let cancelled =
            OrderCancelled { order_id: ORDER, user_id: USER, reason, cancelled_at: 103 };
        let document = Orders::fold(document, &event(3, cancelled)).expect("an order");
        // then
        let order = &document.order;
        assert_eq!((&*order.status, order.total_minor, order.version), ("cancelled", Some(900), 3));
        assert_eq!(order.lines[0].unit_price_minor, Some(450));
        let kinds: Vec<_> = document.history.iter().map(|happened| &*happened.kind).collect();
        assert_eq!(kinds, ["OrderPlaced", "OrderConfirmed", "OrderCancelled"]);
        assert_eq!(document.history[1].data["total"]["amount_minor"], 900);
    }

    #[test]
    fn nothing_but_placing_comes_first() {
        let reason = "by_customer".to_owned();
        let cancelled =
            OrderCancelled { order_id: ORDER, user_id: USER, reason, cancelled_at: 103 };
        assert_eq!(Orders::fold(None, &event(1, cancelled)), None);
    }

    #[test]
    fn a_document_is_read_back_from_bson() {
        let document = Orders::fold(None, &event(1, placed())).expect("an order");
        let bson = mongodb::bson::to_document(&document).expect("BSON");
        assert_eq!(bson.get_str("_id"), Ok(&*ORDER.to_string()));
        assert_eq!(bson.get_i64("version"), Ok(1));
        assert_eq!(
            mongodb::bson::from_document::<OrderDocument>(bson).expect("a document"),
            document
        );
        let bytes = mongodb::bson::to_vec(&document).expect("BSON");
        assert_eq!(
            mongodb::bson::from_slice::<OrderDocument>(&bytes).expect("a document"),
            document
        );
    }
}
