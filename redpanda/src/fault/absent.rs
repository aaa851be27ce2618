//! The fault points of a build without the feature `faults`: they do nothing.

use std::time::Duration;

/// Whether the fault point is to fail at all: never, in this build.
#[inline(always)]
pub(crate) const fn is_planned(_name: &str) -> bool {
    false
}

/// Whether the fault point is to fail now: never, in this build.
#[inline(always)]
pub(crate) const fn is_due(_name: &str) -> bool {
    false
}

/// Does nothing in this build.
#[inline(always)]
pub const fn point(_name: &str) {}

/// Does nothing in this build.
#[inline(always)]
pub(crate) fn point_after(_name: &str, _first: impl FnOnce()) {}

/// Does nothing in this build.
#[inline(always)]
pub const fn panic_about(_key: &str) {}

/// Does nothing in this build.
#[inline(always)]
pub(crate) const fn die_after(_name: &'static str, _wait: Duration) {}
