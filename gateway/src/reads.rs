//! What the gateway reads: the projections, behind one trait that route tests fake. Nothing is ever
//! written through it.

use std::collections::BTreeMap;

use futures_util::{future::BoxFuture, stream::BoxStream};
use schemas::Outcome;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::auth::Role;

pub use projections::views::Cursor;

/// A store did not answer, or not with what was expected.
#[derive(Clone, Debug, thiserror::Error)]
#[error("reading {what}: {why}")]
pub struct ReadError {
    /// What was read.
    pub what: &'static str,
    /// What happened.
    pub why: String,
}

/// An answer of a store.
pub type Read<'a, T> = BoxFuture<'a, Result<T, ReadError>>;

/// A user.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct User {
    /// The user's id.
    pub id: Uuid,
    /// The e-mail address.
    pub email: String,
    /// The name.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// Its version.
    pub version: i64,
}

/// What a password is compared with.
#[derive(Clone, Debug, PartialEq)]
pub struct Credential {
    /// Whose it is.
    pub user_id: Uuid,
    /// What they may do.
    pub role: Role,
    /// The password's hash, as a PHC string.
    pub password_hash: String,
    /// Which password of theirs it is.
    pub credential_version: i32,
}

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
    /// Its version.
    pub version: i64,
}

/// An order.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Order {
    /// The order's id.
    pub id: Uuid,
    /// Whose it is; the reader's own, so it is not shown.
    #[serde(skip)]
    pub user_id: Uuid,
    /// placed, confirmed, rejected, cancelled.
    pub status: String,
    /// What is ordered.
    pub lines: Vec<Line>,
    /// What it costs in minor units, once that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_minor: Option<i64>,
    /// The currency of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// Why it was rejected or cancelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it was placed.
    pub placed_at: String,
    /// Its version.
    pub version: i64,
}

/// A line of an order.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Line {
    /// What.
    pub sku: String,
    /// How many.
    pub quantity: i32,
    /// For how much each, once that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit_price_minor: Option<i64>,
}

/// An event in the history of an order.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Happened {
    /// The order's version after it.
    pub version: i64,
    /// The event's name.
    #[serde(rename = "type")]
    pub kind: String,
    /// When.
    pub at: String,
    /// What the event says.
    pub data: Value,
}

/// A notification.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Notification {
    /// Its id.
    pub id: Uuid,
    /// Whose it is.
    #[serde(skip)]
    pub user_id: Uuid,
    /// What it is about: `order_confirmed`.
    pub kind: String,
    /// A line.
    pub title: String,
    /// The text.
    pub body: String,
    /// The order that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_id: Option<Uuid>,
    /// Whether it has been read.
    pub read: bool,
    /// When it was raised.
    pub raised_at: String,
    /// What came of the mail, if one was to be sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mail: Option<String>,
    /// Its version.
    pub version: i64,
}

/// Some of a list, and where the rest begins.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<T> {
    /// The things.
    pub items: Vec<T>,
    /// What to ask for the next ones with.
    pub next: Option<String>,
}

/// Whose events are watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    /// One user's own.
    Own(Uuid),
    /// Everyone's, personal fields masked.
    All,
}

/// What a watcher gets.
#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    /// Where a stream without a position begins, so that a client cut off before its first event
    /// misses none.
    Begin {
        /// The position to go on from.
        position: String,
    },
    /// An event.
    Event {
        /// The position after it, to go on from.
        position: String,
        /// The event's name.
        kind: String,
        /// What it says, with its headers.
        data: Value,
    },
    /// Events are missing from here on: read what you show anew.
    Reset {
        /// The position after the gap.
        position: String,
    },
}

/// A store by its name, and why it does not answer, if it does not.
pub type Health = BTreeMap<&'static str, Result<(), String>>;

/// The read models.
pub trait Reads: Send + Sync {
    /// A user who has not been deactivated.
    fn user(&self, id: Uuid) -> Read<'_, Option<User>>;
    /// The credential of the user with this address.
    fn credential_by_email<'a>(
        &'a self,
        email_fingerprint: &'a str,
    ) -> Read<'a, Option<Credential>>;
    /// The credential of this user.
    fn credential(&self, user_id: Uuid) -> Read<'_, Option<Credential>>;
    /// What became of a command.
    fn outcome(&self, command: Uuid) -> Read<'_, Option<Outcome>>;
    /// Resolves to a future that ends when a command's outcome has come; that may never happen,
    /// even if it has.
    fn notice(&self, command: Uuid) -> BoxFuture<'_, BoxFuture<'static, ()>>;
    /// Which version of an aggregate its read model holds.
    fn version<'a>(&'a self, aggregate: &'a str, id: &'a str) -> Read<'a, Option<i64>>;
    /// Products by SKU, after `after`.
    fn products<'a>(&'a self, after: Option<&'a str>, limit: usize) -> Read<'a, Page<Product>>;
    /// A product.
    fn product<'a>(&'a self, sku: &'a str) -> Read<'a, Option<Product>>;
    /// A user's orders, newest first.
    fn orders(&self, user_id: Uuid, cursor: Option<Cursor>, limit: usize) -> Read<'_, Page<Order>>;
    /// An order.
    fn order(&self, id: Uuid) -> Read<'_, Option<Order>>;
    /// The events of an order, oldest first.
    fn history(&self, order_id: Uuid) -> Read<'_, Vec<Happened>>;
    /// A user's notifications, newest first.
    fn notifications(
        &self,
        user_id: Uuid,
        cursor: Option<Cursor>,
        limit: usize,
    ) -> Read<'_, Page<Notification>>;
    /// How many of them are unread.
    fn unread(&self, user_id: Uuid) -> Read<'_, Option<i64>>;
    /// A notification.
    fn notification(&self, id: Uuid) -> Read<'_, Option<Notification>>;
    /// Events as they happen, from after `position`.
    fn watch(&self, watch: Watch, position: Option<String>) -> Read<'_, BoxStream<'static, Seen>>;
    /// Whether the stores answer.
    fn health(&self) -> BoxFuture<'_, Health>;
}
