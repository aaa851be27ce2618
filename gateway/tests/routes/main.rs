//! The gateway's routes over a simulated log and simulated stores.

#![allow(clippy::unwrap_used)]

mod accounts;
mod cache;
mod commands;
mod conditions;
mod desk;
mod documents;
mod limits;
mod load;
mod pipeline;
mod problems;
mod schema_versions;
mod sessions;
mod shop;
mod statistics;
mod stream;
mod support;
mod trace;
mod waits;
