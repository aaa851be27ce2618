//! The error for a part of the system that has not done in time what a fault waits for.

/// A part of the system that has not done in time what a fault waits for. Only a wait for a part
/// ends with this error: every other error of a fault means that the suite has failed.
#[derive(Debug, thiserror::Error)]
#[error("{part} {what}; it says: {says}")]
pub struct Stalled {
    /// The name of the part.
    pub part: String,
    /// What it was to do.
    pub what: String,
    /// Why it is not ready, in its own words, or that it says nothing.
    pub says: String,
}
