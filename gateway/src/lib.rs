//! Millrace's HTTP gateway: it authenticates, validates, writes commands to topics, and reads
//! projections. It decides nothing, keeps nothing, and writes nothing else but counters that
//! expire.
//!
//! - [`routes`]: every route, handlers in one file for each resource; [`call`] is one request,
//!   [`submit`] the way of a command from there to its outcome.
//! - [`read_after`]: reading one's own writes.
//! - `conditions`: entity tags, and what they are compared with.
//! - [`problem`]: how every failure looks; [`outcome`]: what a refusal means over HTTP.
//! - [`auth`]: tokens, passwords; [`limit`]: how much one address may ask; [`client`]: which
//!   address that is.
//! - [`commands`] and [`reads`]: the log and the projections, as traits, so that routes are tested
//!   without either; [`broker`] and [`stores`] are the real ones.
//! - [`server`]: connections, timeouts, and the graceful end.

#![forbid(unsafe_code)]

pub mod admin;
pub mod auth;
pub mod broker;
pub mod call;
pub mod client;
pub mod commands;
mod conditions;
pub mod config;
pub mod counters;
mod headers;
pub mod ids;
pub mod input;
pub mod json;
pub mod limit;
pub mod metrics;
pub mod outcome;
mod path;
mod preferences;
pub mod problem;
pub mod read_after;
pub mod reads;
pub mod routes;
pub mod secret;
pub mod server;
pub mod state;
pub mod stores;
pub mod streams;
pub mod submit;
mod time;
