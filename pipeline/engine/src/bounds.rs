//! The bounds of keys, headers and error texts. What is longer fails its input, or is cut.

/// The longest key that a record may have.
pub(crate) const KEY_BYTES_MAX: usize = 1_024;
/// The longest value of a header that is copied to the records that an input causes.
pub(crate) const HEADER_BYTES_MAX: usize = 1_024;
/// The longest error text in a dead letter, a parked record or an outcome.
const REASON_BYTES_MAX: usize = 2_000;

/// `reason`, cut to the longest that a dead letter, a parked record or an outcome may carry.
pub(crate) fn shortened(reason: &str) -> &str {
    &reason[..reason.floor_char_boundary(REASON_BYTES_MAX)]
}
