//! The three services: a processor on the engine, its projections, and an inner listener each.
//!
//! - [`topology`]: what each processor consists of
//! - [`config`]: what a service can be told
//! - [`inner`]: metrics and health
//! - `threads`: workers and projectors, none of which may end by itself
//! - [`mail`]: the worker that sends mail, of the notification service alone
//!
//! **A service serves nobody from outside: it reads topics, writes topics, and fills read models.**
#![forbid(unsafe_code)]

pub mod config;
pub mod inner;
pub mod mail;
mod run;
mod threads;
pub mod topology;

pub use run::{Projections, Service, Stores, run};
