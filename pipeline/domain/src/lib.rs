//! The domain: what may happen to users, addresses, stock, orders and notifications, and what
//! follows from it.
//!
//! - [`decider`]: what an aggregate is
//! - [`user`], [`email`], [`stock`], [`order`], [`notification`]: one folder each with `decider`
//!   (decide and evolve) and `policy` (what follows from an event)
//! - [`out`]: what policies send to other keys
//! - [`refusals`]: the codes of refused commands, shared with the gateway
//! - [`rules`]: the bounds of texts and numbers, as refusals
//!
//! **Nothing here can block, reads a clock or draws a random number: state and input in, decision
//! out.**
#![forbid(unsafe_code)]

pub mod decider;
pub mod email;
pub mod notification;
pub mod order;
pub mod out;
pub mod rules;
pub mod stock;
pub mod user;

pub use out::Out;
pub use schemas::refusals;
