//! The live stream: one capped Redis stream for each partition, with the events of every context as
//! people may see them.
//!
//! - `writer`: the projections that fill it; `visible`: what of an event people may see
//! - `reader`: reads from any position; `entry`: what a reader gets; `positions`: its position
//! - `streams`: which service shows which topics, and the names of keys and entries

mod entry;
mod positions;
mod reader;
mod streams;
mod visible;
mod writer;

pub(crate) use streams::LiveStream;

pub use entry::Entry;
pub use positions::{NotAPosition, Positions};
pub use reader::{Entries, Live};
