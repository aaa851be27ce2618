//! MongoDB: orders with their history, products, notifications and recipients of mail. Each
//! document takes only its next version; the position moves after it. It uses nothing that a small
//! server lacks: no transaction over several documents, no updates by pipeline, no `bulkWrite`.
//!
//! A projection is one file here that implements `model::Model`, holds its view and its reads, and
//! has a row in [`crate::catalog`].

mod client;
mod errors;
mod folding;
mod model;
mod notifications;
mod orders;
mod positions;
mod products;
mod projected;
mod reads;
mod recipients;
mod updates;

pub(crate) use notifications::Notifications;
pub(crate) use orders::Orders;
pub(crate) use products::Products;
pub(crate) use recipients::RecipientDocuments;

pub use client::{DATABASE, Mongo};
pub use notifications::Notification;
pub use orders::{HistoryEntry, Line, Order};
pub use reads::Reads;
pub use recipients::{Recipient, Recipients};
