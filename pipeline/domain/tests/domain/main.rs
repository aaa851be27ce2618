//! What the domain promises, told as given / when / then. No log, no clock and no store takes part.
#![allow(clippy::unwrap_used)]

mod aggregate;
mod email;
mod notification;
mod order;
mod order_properties;
mod sessions;
mod stock;
mod stock_properties;
mod user;
