//! The read models: the services write them from the log, and the gateway reads them.
//!
//! - [`postgres`], [`mongo`], [`redis`]: one folder for each store, with a `Model` trait that says
//!   how a projection into that store is written, one file for each projection, and `Reads` for the
//!   gateway
//! - [`catalog`]: the table of all projections and of the services that run them
//! - [`views`]: what a reader gets, as plain data
//! - [`projector`]: the loop that brings records from the log into a store
//! - [`projection`]: what a projection and its store must implement for that loop
//! - `event`: reads the events of a batch; `paging`: pages of lists
//! - [`progress`]: what the projectors have applied, and when, for traces
//! - [`metrics`]: the names of all metrics
//! - [`settings`]: how every program reaches the brokers, the registry and the stores
//! - [`clock`]: the time of day
//!
//! **A position is in the store beside the data and moves by compare-and-set.** Nothing here
//! decides anything about the domain, writes to the log, or commits an offset to the broker.

#![forbid(unsafe_code)]

pub mod catalog;
pub mod clock;
mod deadline;
mod error;
mod event;
pub mod metrics;
pub mod mongo;
mod paging;
pub mod postgres;
mod products;
pub mod progress;
pub mod projection;
pub mod projector;
pub mod redis;
pub mod settings;
mod uuid_text;
pub mod views;

pub use error::{Cause, StoreError};
pub use metrics::Metrics;
pub use projection::Projection;
pub use settings::Stores;
