//! The projections as the gateway reads them, behind one trait that route tests fake. It never
//! writes anything.

use std::pin::Pin;

use futures_util::{future::BoxFuture, stream::BoxStream};
use schemas::Outcome;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::watch;
use uuid::Uuid;

use crate::{
    auth::Role,
    desk::DeskReads,
    health::Health,
    record_place::RecordPlace,
    statistics::{By, Statistics},
};

pub use crate::answers::{Page, Read, ReadError};
pub use projections::{
    postgres::{TraceEntry, TraceView},
    progress::{Applied, Since},
    views::Cursor,
};

/// Ends when a command's outcome is stored, with the outcome if the notice contains it. It may
/// never end, even if there is an outcome.
pub type Notice = Pin<Box<dyn Future<Output = Option<Outcome>> + Send + Sync>>;

/// A subscription to the versions of an aggregate. For a version, returns a future that ends when
/// the read model holds it. It may never end, even if it does.
pub type ViewNotice = Box<dyn FnOnce(i64) -> BoxFuture<'static, ()> + Send + Sync>;

/// A user.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct User {
    /// The user's id.
    pub id: Uuid,
    /// The e-mail address.
    pub email: String,
    /// The name.
    pub name: String,
    /// The user's role.
    pub role: Role,
    /// The aggregate's version.
    pub version: i64,
}

/// What a password is verified against.
#[derive(Clone, Debug, PartialEq)]
pub struct Credential {
    /// The user.
    pub user_id: Uuid,
    /// The user's role.
    pub role: Role,
    /// The password's hash, as a PHC string.
    pub password_hash: String,
    /// The number of the user's password, from 1.
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
    /// When it was placed.
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

/// Which events a client of the live stream may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamScope {
    /// Those of one user.
    Own(Uuid),
    /// All, with personal fields masked.
    All,
}

/// An item of the live stream.
#[derive(Clone, Debug, PartialEq)]
pub enum StreamItem {
    /// The position where a new stream begins, so that a client that is cut off before its first
    /// event misses none.
    Begin {
        /// The position.
        position: String,
    },
    /// An event.
    Event {
        /// The position after the event.
        position: String,
        /// The event's name.
        kind: String,
        /// The event's fields and headers.
        data: Value,
    },
    /// Events are missing here: the client must read again what it shows.
    Reset {
        /// The position after the gap.
        position: String,
    },
}

/// The read models.
pub trait Reads: DeskReads + Send + Sync {
    /// A user; `None` also for a deactivated one.
    fn user(&self, id: Uuid) -> Read<'_, Option<User>>;
    /// When a living session began, in milliseconds.
    fn session_began(&self, session_id: Uuid) -> Read<'_, Option<i64>>;
    /// The credential of the user with this address.
    fn credential_by_email<'a>(
        &'a self,
        email_fingerprint: &'a str,
    ) -> Read<'a, Option<Credential>>;
    /// The credential of this user.
    fn credential(&self, user_id: Uuid) -> Read<'_, Option<Credential>>;
    /// The outcome of a command.
    fn outcome(&self, command: Uuid) -> Read<'_, Option<Outcome>>;
    /// The records that commands caused, and the commands.
    fn trace(&self, commands: Vec<Uuid>) -> Read<'_, TraceView>;
    /// The command that caused a record, directly or not; `None` if the record is not traced.
    fn cause<'a>(&'a self, place: &'a RecordPlace) -> Read<'a, Option<Uuid>>;
    /// For each entry of a trace, which projections have applied its record, and when.
    fn applied<'a>(&'a self, entries: &'a [TraceEntry]) -> Read<'a, Vec<Vec<Applied>>>;
    /// Subscribes to the notice of a command's outcome.
    fn notice(&self, command: Uuid) -> Notice;
    /// Subscribes to the versions of an aggregate that its read model holds; `None` when no notice
    /// would come.
    fn view_notice(&self, aggregate: &str, id: &str) -> Option<ViewNotice>;
    /// The version of an aggregate that its read model holds.
    fn version<'a>(&'a self, aggregate: &'a str, id: &'a str) -> Read<'a, Option<i64>>;
    /// Products by SKU, those after `after`.
    fn products<'a>(&'a self, after: Option<&'a str>, limit: usize) -> Read<'a, Page<Product>>;
    /// A product.
    fn product<'a>(&'a self, sku: &'a str) -> Read<'a, Option<Product>>;
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
    /// The live stream after `position`, or from now on.
    fn stream(
        &self,
        scope: StreamScope,
        position: Option<String>,
    ) -> Read<'_, BoxStream<'static, StreamItem>>;
    /// The statistics that are kept now.
    fn statistics(&self, by: By) -> Read<'_, Statistics>;
    /// Changes when the statistics may have changed. A change may be missed.
    fn statistics_changes(&self) -> watch::Receiver<u64>;
    /// Whether the stores answer, and why not.
    fn health(&self) -> BoxFuture<'_, Health>;
}
