//! The services: each is a processor on the engine, its projections, and an internal listener.
//!
//! - [`topology`]: one file for each service, and the table of all
//! - [`service`]: what a service is made of
//! - [`config`]: the settings of a service
//! - `run`: starts and ends a service
//! - `threads`: workers and projectors, none of which may end by itself
//! - [`internal`]: metrics and health
//! - [`mail`]: sends mail, for the notification service alone
//! - `metrics`: the names of the metrics that are the services' own
//!
//! **A service serves nobody from outside: it reads topics, writes topics, and fills read models.**
#![forbid(unsafe_code)]

pub mod config;
pub mod internal;
pub mod mail;
mod metrics;
mod run;
pub mod service;
mod threads;
pub mod topology;

pub use run::run;
pub use service::Service;
