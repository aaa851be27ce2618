//! Redis: hot products, counters of unread notifications, the live stream, and notices of outcomes
//! and of new versions in read models.
//! What Redis loses is rebuilt from the log; no reader relies on it. Meanwhile hot products, of
//! which some are of long ago, are not read.
//!
//! A projection is one file here that implements `model::Model`, holds its reads, and has a row in
//! [`crate::catalog`].

mod connection;
mod hot_products;
mod live;
mod model;
mod notices;
mod positions;
mod publish;
mod reads;
mod subscribers;
mod tracking;
mod unread;

pub(crate) use hot_products::HotProducts;
pub(crate) use live::LiveStream;
pub(crate) use publish::{publish_operations, publish_outcomes, publish_statistics, publish_views};
pub(crate) use unread::Unread;

pub use connection::{Connection, Redis, client};
pub use live::{Entries as LiveEntries, Entry as LiveEntry, Live, NotAPosition, Positions};
pub use notices::{Notice, Notices, ViewNotice};
pub use reads::Reads;
pub use tracking::{Tracked, Tracking};
