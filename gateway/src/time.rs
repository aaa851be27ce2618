//! Timestamps in RFC 3339, UTC, from milliseconds since 1970.

use jiff::Timestamp;

/// The time as text, such as `2026-11-23T10:00:00.125Z`.
pub(crate) fn text(at_ms: i64) -> String {
    Timestamp::from_millisecond(at_ms).map_or_else(|_| at_ms.to_string(), |at| format!("{at:.3}"))
}

/// The current time, in milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    Timestamp::now().as_millisecond()
}
