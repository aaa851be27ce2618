//! A product and its stock. After every event received = free + held.

mod decider;
mod policy;

/// The stock of one product. The key is its SKU. Its children are the reservations of single
/// orders, keyed by order id.
#[derive(Debug)]
pub struct Stock;
