//! Places where a process can be made to die, for those who prove that nothing is lost then.
//!
//! `MILLRACE_FAULT=after-begin:3` ends the process, as `kill -9` does, at the third time that it comes to the place
//! `after-begin`. Without the variable a place costs one load.

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
pub(crate) fn place(name: &str) {
    let ordered = ordered();
    if let Some((place, left)) = ordered
        && place == name
        && left.fetch_sub(1, Ordering::Relaxed) == 1
    {
        eprintln!("MILLRACE_FAULT: dying at {name}");
        std::process::abort();
    }
}
