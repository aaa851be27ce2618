//! A user: registration, sessions, name, address and password.

mod decider;
mod policy;
mod sessions;

pub use decider::User;
pub use sessions::{GRACE_MS, SESSIONS_MAX};
