//! The time of day. Only code that measures delays or waits for timers may ask for it; what a
//! projection stores comes from records alone. A trace asks which records are too old to be kept.

use std::time::{SystemTime, UNIX_EPOCH};

/// The time of day in milliseconds since 1970.
pub fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}
