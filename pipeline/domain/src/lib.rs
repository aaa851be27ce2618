//! The domain: the rules of users, e-mail addresses, stock, orders and notifications.
//!
//! - [`decider`]: what an aggregate is; [`decision`]: what a decider returns
//! - [`policy`]: what derives follow-ups from events
//! - [`user`], [`email`], [`stock`], [`order`], [`notification`]: one folder for each aggregate,
//!   with `decider` (decide and evolve) and `policy` (reactions to events)
//! - [`aggregates!`]: the list of all aggregates
//! - [`out`]: the messages of reactions, and their topics
//! - [`refusals`]: the codes of refused commands, shared with the gateway
//! - [`rules`]: the bounds of texts and numbers, as refusals
//!
//! **Nothing here can block, reads a clock or draws a random number: state and input in, decision
//! out.**
#![forbid(unsafe_code)]

pub mod decider;
pub mod decision;
pub mod email;
pub mod notification;
pub mod order;
pub mod out;
pub mod policy;
pub mod rules;
pub mod stock;
pub mod user;

pub use out::Out;
pub use schemas::refusals;

/// Calls the macro `$then` with a name and the type of every aggregate. This is the one list of
/// them for code that does the same with each.
#[macro_export]
macro_rules! aggregates {
    ($then:ident) => {
        $then! {
            users: $crate::user::User,
            emails: $crate::email::Email,
            orders: $crate::order::Order,
            stock: $crate::stock::Stock,
            notifications: $crate::notification::Notification,
        }
    };
}
