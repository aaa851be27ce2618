//! The claim on an address: at most one user's.

mod decider;
mod policy;

pub use decider::Email;
