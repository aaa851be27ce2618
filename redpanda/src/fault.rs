//! Places where a process can be made to die, for those who prove that nothing is lost then.
//!
//! `MILLRACE_FAULT=after-begin:3` ends the process, as `kill -9` does, at the third time that it comes to the place
//! `after-begin`; `abort:3` lets the third transaction fail and be aborted. Without the variable a place costs one load.
//!
//! A session's places, in the order of a transaction: `after-poll`, `after-begin`, `after-send`, `after-offsets`,
//! `before-commit`, `abort`, `end-sent` (the wish to commit was sent, its answer is not seen), `after-commit`;
//! beside them `in-rebalance` and `during-restore`; a projector's: `before-store` and `after-store`.

use std::sync::{
    OnceLock,
    atomic::{AtomicI64, Ordering},
};

static ORDERED: OnceLock<Option<(String, AtomicI64)>> = OnceLock::new();

fn ordered() -> Option<&'static (String, AtomicI64)> {
    let read = || {
        let text = std::env::var("MILLRACE_FAULT").ok()?;
        let (place, times) = text.split_once(':').unwrap_or((&text, "1"));
        Some((place.to_owned(), AtomicI64::new(times.parse().ok()?)))
    };
    ORDERED.get_or_init(read).as_ref()
}

/// Whether dying at the place `name` is ordered at all.
pub(crate) fn is_ordered(name: &str) -> bool {
    ordered().is_some_and(|(place, _)| place == name)
}

/// Dies here, if it was ordered.
pub fn place(name: &str) {
    if is_due(name) {
        die(name);
    }
}

/// Whether the fault `name` is to happen now.
pub(crate) fn is_due(name: &str) -> bool {
    ordered().is_some_and(|(place, left)| place == name && left.fetch_sub(1, Ordering::Relaxed) == 1)
}

/// Ends the process at once.
pub(crate) fn die(name: &str) -> ! {
    eprintln!("MILLRACE_FAULT: dying at {name}");
    std::process::abort();
}
