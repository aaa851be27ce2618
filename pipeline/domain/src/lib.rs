//! The domain: what may happen to users, addresses, stock, orders and notifications, and what
//! follows from it.
//!
//! - [`decider`]: what an aggregate is
//! - [`user`], [`email`], [`stock`], [`order`], [`notification`]: one folder each with `decider`
//!   (decide and evolve) and `policy` (what follows from an event)
//! - [`out`]: what policies send to other keys
//! - [`refusals`]: the words with which commands are refused
//! - [`rules`]: the bounds of texts and numbers
//!
//! **Nothing here can block, reads a clock or draws a random number: state and input in, decision
//! out.**
#![forbid(unsafe_code)]

pub mod decider;
pub mod email;
pub mod notification;
pub mod order;
pub mod out;
pub mod refusals;
pub mod rules;
pub mod stock;
pub mod user;

pub use out::Out;
