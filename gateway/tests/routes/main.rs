//! The gateway's routes over a simulated log and simulated stores.

#![allow(clippy::unwrap_used)]

mod accounts;
mod commands;
mod conditions;
mod documents;
mod limits;
mod load;
mod problems;
mod sessions;
mod shop;
mod stream;
mod support;
