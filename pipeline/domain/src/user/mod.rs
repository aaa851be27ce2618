//! A user: registration with the claim on an address, name, password, sessions and deactivation.

mod address;
mod credential;
mod decider;
mod password;
mod policy;
mod sessions;

pub use sessions::{GRACE_MS, SESSIONS_MAX};

/// A user. The key is its id.
#[derive(Debug)]
pub struct User;
