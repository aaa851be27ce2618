//! An order: a conversation with the stocks of its products that ends confirmed, rejected or
//! cancelled.

mod decider;
mod policy;

pub use decider::Order;
