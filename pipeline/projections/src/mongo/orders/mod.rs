//! Orders, each with its history. Both are one document, so that they never differ.

use mongodb::bson::{Document, doc};
use schemas::{
    Message as _, Money,
    order::{self, PricedLine},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::{
    model::Model,
    reads::{Newest, Reads},
};
use crate::{
    StoreError,
    event::{Event, short_name},
    paging::{Cursor, Page},
    uuid_text,
};

#[cfg(test)]
mod tests;

const COLLECTION: &str = "orders";

/// An order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// The id.
    #[serde(rename = "_id", alias = "id", with = "uuid_text")]
    pub id: Uuid,
    /// The user who placed it.
    #[serde(with = "uuid_text")]
    pub user_id: Uuid,
    /// `placed`, `confirmed`, `rejected` or `cancelled`.
    pub status: String,
    /// The lines.
    pub lines: Vec<Line>,
    /// The total in minor units; `None` until the order is confirmed.
    pub total_minor: Option<i64>,
    /// The currency of the total.
    pub currency: Option<String>,
    /// Why it was rejected or cancelled.
    pub reason: Option<String>,
    /// The time at which it was placed.
    pub placed_at: i64,
    /// When it last changed.
    pub changed_at: i64,
    /// The version.
    pub version: i64,
}

/// A line of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The product.
    pub sku: String,
    /// The number of pieces.
    pub quantity: i32,
    /// The price of one piece in minor units; `None` until its stock is reserved.
    pub unit_price_minor: Option<i64>,
}

/// An event in the history of an order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// The version of the order after the event.
    pub version: i64,
    /// The event's name without its namespace, such as `OrderPlaced`.
    #[serde(rename = "type")]
    pub kind: String,
    /// When the event was written.
    pub at: i64,
    /// The id of the command that caused the event, directly or not; `None` if no header said it,
    /// and for events that were projected before this was kept.
    #[serde(default, with = "uuid_text::option", skip_serializing_if = "Option::is_none")]
    pub command: Option<Uuid>,
    /// The event's fields.
    pub data: Value,
}

/// The projection.
pub(crate) struct Orders;

/// An order with its history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct OrderDocument {
    #[serde(flatten)]
    order: Order,
    history: Vec<HistoryEntry>,
}

impl Model for Orders {
    const NAME: &'static str = "orders";
    const TOPICS: &'static [&'static str] = &["order.events"];
    const COLLECTION: &'static str = COLLECTION;
    const AGGREGATE: Option<&'static str> = Some("order");
    type Event = order::Event;
    type Document = OrderDocument;

    fn indexes() -> Vec<Document> {
        vec![doc! { "user_id": 1, "placed_at": -1, "_id": -1 }, doc! { "changed_at": 1 }]
    }

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
        history.push(HistoryEntry {
            version: event.version,
            kind: short_name(event.message.name()).to_owned(),
            at: event.at,
            command: event.command,
            // serde has decoded the event, so it can encode it.
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

#[derive(Deserialize)]
struct History {
    history: Vec<HistoryEntry>,
}

impl Reads {
    /// An order of any user.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn order(&self, id: Uuid) -> Result<Option<Order>, StoreError> {
        self.one(COLLECTION, &id.to_string(), doc! { "history": 0 }).await
    }

    /// The history of an order, oldest event first; `None` if there is no such order.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn order_history(&self, id: Uuid) -> Result<Option<Vec<HistoryEntry>>, StoreError> {
        let fields = doc! { "history": 1 };
        let found: Option<History> = self.one(COLLECTION, &id.to_string(), fields).await?;
        Ok(found.map(|found| found.history))
    }

    /// A user's orders, newest first, from behind `before`.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn orders(
        &self,
        user_id: Uuid,
        before: Option<Cursor>,
        limit: usize,
    ) -> Result<Page<Order>, StoreError> {
        let page = Newest { collection: COLLECTION, time: "placed_at", user_id, before, limit };
        let orders = self.newest(page).await?;
        Ok(Page::cut(orders, limit, |order: &Order| Cursor { at: order.placed_at, id: order.id }))
    }

    /// The version of an order.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn order_version(&self, id: Uuid) -> Result<Option<i64>, StoreError> {
        self.version(COLLECTION, &id.to_string()).await
    }
}
