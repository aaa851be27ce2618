//! Products, orders and notifications, as the gateway reads and shows them.

use projections::views::Cursor;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::answers::{Page, Read};

/// A product with its stock.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Product {
    /// The stock-keeping unit.
    pub sku: String,
    /// The name.
    pub name: String,
    /// The price in minor units.
    pub price_minor: i64,
    /// The price's currency.
    pub currency: String,
    /// Pieces that can be ordered.
    pub available: i64,
    /// The aggregate's version.
    pub version: i64,
}

/// An order.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Order {
    /// The order's id.
    pub id: Uuid,
    /// The user who placed it; always the reader, so it is not shown.
    #[serde(skip)]
    pub user_id: Uuid,
    /// `placed`, `confirmed`, `rejected` or `cancelled`.
    pub status: String,
    /// The lines.
    pub lines: Vec<Line>,
    /// The total in minor units, once it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_minor: Option<i64>,
    /// The total's currency.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// The reason of a rejection or cancellation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The time at which it was placed.
    pub placed_at: String,
    /// The aggregate's version.
    pub version: i64,
}

/// A line of an order.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Line {
    /// The stock-keeping unit.
    pub sku: String,
    /// The number of pieces.
    pub quantity: i32,
    /// The price of one piece, once it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit_price_minor: Option<i64>,
}

/// An entry in the history of an order.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HistoryEntry {
    /// The order's version after the event.
    pub version: i64,
    /// The event's name.
    #[serde(rename = "type")]
    pub kind: String,
    /// When the event was decided.
    pub at: String,
    /// The command that caused it, directly or not, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<Uuid>,
    /// The event's fields.
    pub data: Value,
}

/// A notification.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Notification {
    /// The notification's id.
    pub id: Uuid,
    /// The user who gets it.
    #[serde(skip)]
    pub user_id: Uuid,
    /// The kind of notification, such as `order_confirmed`.
    pub kind: String,
    /// The title, one line.
    pub title: String,
    /// The text.
    pub body: String,
    /// The order that it concerns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_id: Option<Uuid>,
    /// Whether the user has read it.
    pub read: bool,
    /// When it was raised.
    pub raised_at: String,
    /// The status of the mail, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mail: Option<String>,
    /// The aggregate's version.
    pub version: i64,
}

/// From where a product is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProductSource {
    /// From whichever store answers faster. It may hold an older version than the other one.
    Fastest,
    /// From the store of documents, which is the one that holds a version that was waited for.
    Documents,
}

/// The part of [`super::Reads`] that knows the shop.
pub trait ShopReads: Send + Sync {
    /// Products by SKU, those after `after`.
    fn products<'a>(&'a self, after: Option<&'a str>, limit: usize) -> Read<'a, Page<Product>>;
    /// A product.
    fn product<'a>(&'a self, sku: &'a str, source: ProductSource) -> Read<'a, Option<Product>>;
    /// A user's orders, newest first.
    fn orders(&self, user_id: Uuid, cursor: Option<Cursor>, limit: usize) -> Read<'_, Page<Order>>;
    /// An order.
    fn order(&self, id: Uuid) -> Read<'_, Option<Order>>;
    /// The events of an order, oldest first.
    fn history(&self, order_id: Uuid) -> Read<'_, Vec<HistoryEntry>>;
    /// A user's notifications, newest first.
    fn notifications(
        &self,
        user_id: Uuid,
        cursor: Option<Cursor>,
        limit: usize,
    ) -> Read<'_, Page<Notification>>;
    /// The number of a user's unread notifications; `None` while it is unknown.
    fn unread(&self, user_id: Uuid) -> Read<'_, Option<i64>>;
    /// A notification.
    fn notification(&self, id: Uuid) -> Read<'_, Option<Notification>>;
}
