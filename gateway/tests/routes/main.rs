//! The gateway's routes over a simulated log and simulated stores.

#![allow(clippy::unwrap_used)]

mod accounts;
mod backoff;
mod cache;
mod commands;
mod conditions;
mod desk;
mod documents;
mod failing_stores;
mod limits;
mod load;
mod pipeline;
mod problems;
mod repeats;
mod schema_versions;
mod sessions;
mod shop;
mod shutdown;
mod statistics;
mod strangers;
mod stream;
mod support;
mod trace;
mod waits;
