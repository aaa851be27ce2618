//! The fault suite: it breaks the running system in every listed way, and judges it from the topics
//! and the stores.
//!
//! - [`faults`]: what is done to the system; [`system`]: whether that is the native stack or
//!   containers; [`proxy`] disturbs connections, [`world`] starts, kills and repairs parts
//! - [`load`]: the stream of commands under which a fault happens, with a history of what was
//!   acknowledged; [`reader`]: clients that read all the time
//! - [`ledger`]: what the topics hold, folded by the domain's rules; [`judge`], [`stores`] and
//!   [`threads`]: the invariants
//! - [`suite`]: runs one fault after the other, and prints the table
#![forbid(unsafe_code)]

pub mod faults;
pub mod judge;
pub mod ledger;
pub mod load;
pub mod proxied;
pub mod proxy;
pub mod reader;
pub mod stores;
pub mod suite;
pub mod system;
pub mod threads;
pub mod world;
