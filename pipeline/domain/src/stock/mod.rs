//! A product and its stock: received = free + held, at every step.

mod decider;
mod policy;

pub use decider::Stock;
