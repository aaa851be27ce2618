//! The rules of the domain as given / when / then. There is no log, clock or store in here.
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
