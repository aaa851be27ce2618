//! The read models: what the services write from the log, and what the gateway reads.
//!
//! - [`postgres`], [`mongo`], [`redis`]: one store each, with its `Reads` for the gateway and its
//!   projections
//! - [`views`]: what a reader gets, as plain data
//! - [`projector`]: the one loop that brings records from the log into a store
//! - [`projection`]: what the loop asks of a projection
//! - [`metrics`]: all names of metrics
//! - [`settings`]: where the stores are, for every program
//! - [`sets`]: which projections each service runs
//!
//! **The position lives in the store beside the data and moves by compare-and-set.** Nothing here
//! decides anything about the domain, writes to the log, or commits an offset to the broker.

#![forbid(unsafe_code)]

mod deadline;
mod error;
pub mod metrics;
pub mod mongo;
pub mod postgres;
mod products;
pub mod projection;
pub mod projector;
pub mod redis;
pub mod sets;
pub mod settings;
mod text;
pub mod views;

pub use error::StoreError;
pub use metrics::Metrics;
pub use projection::Projection;
pub use sets::{notification, order, user};
