//! Millrace's HTTP gateway: it authenticates, validates, writes commands to topics, and reads
//! projections. It decides no rule of the domain, and stores nothing but counters and claims of
//! idempotency keys, which expire.
//!
//! - [`routes`]: the table of all routes, with the handlers in one file for each resource
//! - [`call`]: one request; [`submit`]: a command from the request to its outcome
//! - [`read_after`]: read-your-writes consistency; `conditions`: `If-Match` and `If-None-Match`
//! - [`problem`]: failures; [`outcome`]: the HTTP statuses of refusals
//! - [`cache`]: responses of public reads, for a moment
//! - [`hub`]: what is read once for all clients of a stream; [`statistics`]: the shop's statistics
//! - [`pipeline`]: the pipeline's own figures, from Prometheus
//! - [`trace`]: the records that a command caused, as a tree; [`record_place`]: where one is;
//!   [`schema_versions`]: which version of its subject a schema is, from the registry
//! - [`desk`]: dead letters, parked keys, and what operators have done
//! - [`auth`]: tokens and passwords; [`client`]: which address a request comes from
//! - [`limit`]: requests of one address in a quarter of an hour; [`load`]: requests in flight
//! - [`commands`] and [`reads`]: the log and the projections as traits, so that tests need neither;
//!   [`broker`] and [`stores`] implement them; [`answers`]: what a read gives, or why it failed
//! - [`state`]: the parts that all requests share; [`health`]: whether they work
//! - [`server`]: connections, timeouts, graceful shutdown

#![forbid(unsafe_code)]

pub mod admin;
pub mod answers;
pub mod auth;
pub mod broker;
pub mod cache;
pub mod call;
pub mod client;
pub mod commands;
mod conditions;
pub mod config;
pub mod counters;
pub mod desk;
mod headers;
pub mod health;
pub mod hub;
pub mod ids;
pub mod input;
pub mod json;
pub mod limit;
pub mod load;
pub mod metrics;
pub mod outcome;
mod path;
pub mod pipeline;
mod preferences;
pub mod problem;
pub mod read_after;
pub mod reads;
pub mod record_place;
pub mod routes;
pub mod schema_versions;
pub mod secret;
pub mod server;
pub mod state;
pub mod statistics;
pub mod stores;
pub mod streams;
pub mod submit;
mod time;
pub mod trace;
pub mod waits;
