//! The names of the metrics that a service has beside those of its engine and its projections. It
//! measures nothing.

use prometheus::{GaugeVec, Opts};

/// The age of the turn of each thread, in seconds.
///
/// # Errors
/// When the name or a label is not valid.
pub(crate) fn thread_turn_ages() -> Result<GaugeVec, prometheus::Error> {
    let help = "Seconds since a worker or projector has begun its last turn of work.";
    GaugeVec::new(Opts::new("millrace_thread_turn_age_seconds", help), &["thread"])
}
