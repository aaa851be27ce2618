//! The whole system on real servers, as its users see it: over HTTP and through the topics, also
//! while processes are killed. Run under a stack, one test after the other (`integration/test`, or
//! `stack run -- cargo test -p integration --test journey -- --ignored --test-threads=1`). Every
//! test has its own users and products, waits for conditions and never for a fixed time, and leaves
//! a system in which everything runs.

mod browser;
mod commands;
mod independence;
mod isolation;
mod limits;
mod log;
mod mail;
mod openapi;
mod orders;
mod outages;
mod overload;
mod poison;
mod spans;
mod stream;
mod support;
mod survival;
mod terminal;
mod trace;
mod users;
mod whole;
