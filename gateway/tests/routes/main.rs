//! The gateway's routes without a broker and without stores.

#![allow(clippy::unwrap_used)]

mod accounts;
mod commands;
mod conditions;
mod documents;
mod limits;
mod problems;
mod shop;
mod stream;
mod support;
