//! The claim on an e-mail address: at most one user holds it.
//!
//! [`Email`] replies to a claim in the decision itself, because a repeated claim gets a reply but
//! causes no event.

mod decider;
mod policy;

/// An e-mail address. The key is the fingerprint of the address.
#[derive(Debug)]
pub struct Email;
