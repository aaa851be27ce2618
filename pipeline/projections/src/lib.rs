//! The read models: what the services write from the log, and what the gateway reads.
//!
//! - [`postgres`], [`mongo`], [`redis`]: one store each, with its `Reads` for the gateway and its projections
//! - [`views`]: what a reader gets, as plain data
//! - [`sets`]: which projections each service runs
//!
//! **The position lives in the store beside the data and moves by compare-and-set.** Nothing here decides
//! anything about the domain, writes to the log, or commits an offset to the broker.

#![forbid(unsafe_code)]

mod error;
pub mod mongo;
pub mod postgres;
pub mod redis;
pub mod sets;
mod text;
pub mod views;

pub use error::StoreError;
