//! The proof: the running system is broken in every way that is listed, and judged from the topics
//! and the stores.
//!
//! - [`faults`]: what is done to it; [`proxy`] does it to connections, [`world`] starts, kills and
//!   mends
//! - [`load`]: commands amid which it happens, with a history of what was acknowledged; [`mail`]
//!   takes mail; [`reader`]: who reads all the time
//! - [`ledger`]: what the topics say, folded by the domain's rules; [`judge`], [`stores`] and
//!   [`threads`]: the invariants
//! - [`suite`]: one fault after the other, and the table
#![forbid(unsafe_code)]

pub mod faults;
pub mod judge;
pub mod ledger;
pub mod load;
pub mod mail;
pub mod proxy;
pub mod reader;
pub mod stores;
pub mod suite;
pub mod threads;
pub mod world;
