//! The native stack and what runs against it: starting and supervising the real parts without
//! Docker ([`stack`]), one visible journey over HTTP ([`journey`]), a client of the API for tests
//! ([`client`]), what tests do to a cluster ([`cluster`]), and the tests on real parts. Nothing in
//! the system depends on this crate, and it never looks inside a process: it speaks to the system
//! as its users do, over HTTP, topics and signals.
#![forbid(unsafe_code)]

/// Prints a line like `println!`, which panics when the reader of a pipe has left. A program that
/// prints with `say!` goes on: it may still have processes to stop.
#[macro_export]
macro_rules! say {
    ($($line:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout(), $($line)*);
    }};
}

/// Prints a line of warning like `eprintln!`, and goes on when nobody reads it any more.
#[macro_export]
macro_rules! tell {
    ($($line:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), $($line)*);
    }};
}

pub mod client;
pub mod cluster;
pub mod gate;
pub mod journey;
pub mod stack;
