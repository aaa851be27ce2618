//! The native stack and what runs against it: starting and supervising the real parts without Docker ([`stack`]), one visible journey
//! over HTTP ([`journey`]), a client of the API for tests ([`client`]), and the tests on real parts. Nothing in the system depends on this crate, and it never looks inside a
//! process: it speaks to the system as its users do, over HTTP, topics and signals.
#![forbid(unsafe_code)]

pub mod client;
pub mod journey;
pub mod stack;
