//! An order: a saga with the stocks of its products that ends confirmed, rejected or cancelled.

mod decider;
mod policy;

/// An order. The key is its id.
#[derive(Debug)]
pub struct Order;
