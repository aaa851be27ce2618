//! The projections as the gateway reads them, behind one trait that route tests fake. It never
//! writes anything. The trait has a part for each topic: [`AccountReads`], [`ShopReads`],
//! [`TraceReads`], and [`DeskReads`] for operators.

mod accounts;
mod shop;
mod traces;

use std::pin::Pin;

use futures_util::{future::BoxFuture, stream::BoxStream};
use schemas::Outcome;
use serde_json::Value;
use tokio::sync::watch;
use uuid::Uuid;

use crate::{
    desk::DeskReads,
    health::Health,
    statistics::{By, Statistics},
};

pub use crate::answers::{Page, Read, ReadError};
pub use accounts::{AccountReads, Credential, User};
pub use projections::{
    postgres::{TraceEntry, TraceView},
    progress::{Applied, Since},
    views::Cursor,
};
pub use shop::{HistoryEntry, Line, Notification, Order, Product, ProductSource, ShopReads};
pub use traces::TraceReads;

/// Ends when a command's outcome is stored, with the outcome if the notice contains it. It may
/// never end, even if there is an outcome.
pub type Notice = Pin<Box<dyn Future<Output = Option<Outcome>> + Send + Sync>>;

/// A subscription to the versions of an aggregate. For a version, returns a future that ends when
/// the read model holds it. It may never end, even if it does.
pub type ViewNotice = Box<dyn FnOnce(i64) -> BoxFuture<'static, ()> + Send + Sync>;

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
    /// A position without an event: where a new stream begins, so that a client that is cut off
    /// before its first event misses none, or how far it has come without events of the client.
    Position {
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

/// Whether an aggregate of this type has a read model with versions. Operators' commands may be
/// about one that has none.
pub fn has_versions(aggregate: &str) -> bool {
    VERSIONED.contains(&aggregate)
}

/// The types of aggregates whose read models have versions.
pub const VERSIONED: [&str; 4] = ["user", "order", "stock", "notification"];

/// The read models.
pub trait Reads: AccountReads + ShopReads + TraceReads + DeskReads {
    /// The outcome of a command.
    fn outcome(&self, command: Uuid) -> Read<'_, Option<Outcome>>;
    /// Subscribes to the notice of a command's outcome.
    fn notice(&self, command: Uuid) -> Notice;
    /// Subscribes to the versions of an aggregate that its read model holds; `None` when no notice
    /// would come.
    fn view_notice(&self, aggregate: &str, id: &str) -> Option<ViewNotice>;
    /// The version of an aggregate that its read model holds.
    fn version<'a>(&'a self, aggregate: &'a str, id: &'a str) -> Read<'a, Option<i64>>;
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
