//! Removes rows and documents whose retention has passed, in batches. Their age is measured against
//! the time of the latest record, never against the clock alone.

use std::time::Duration;

use schemas::chain;

use super::turn::{Projector, REMOVE_EVERY};
use crate::{
    clock::now_ms,
    projection::{REMOVE_MAX, Retention},
};

/// How much longer than the processors the stores keep what has ended. A projection may be this far
/// behind the log: beyond that, the row of an event could already be removed.
const KEPT_LONGER: Duration = Duration::from_secs(30 * 24 * 3600);

/// The wait after nothing was found, which costs a store without an index of the times a look at
/// everything. Far shorter than any retention.
const LOOK_EVERY: Duration = Duration::from_secs(3600);

impl Projector<'_> {
    /// Removes one batch.
    pub(super) fn remove_old(&mut self) {
        let projection = self.projection.name();
        let kept_ms = (self.resources.retention + KEPT_LONGER).as_millis();
        let kept_ms = i64::try_from(kept_ms).unwrap_or(i64::MAX);
        // A record from a broker whose clock is ahead removes nothing early.
        let retention = Retention { now_ms: self.latest_ms.min(now_ms()), kept_ms };
        let removed = self.resources.runtime.block_on(self.projection.remove(retention));
        if !removed.as_ref().is_ok_and(|count| *count >= REMOVE_MAX) {
            self.remove.every = match removed {
                Ok(0) => LOOK_EVERY,
                _ => REMOVE_EVERY,
            };
            self.remove.restart();
        }
        match removed {
            Ok(0) => {}
            Ok(count) => tracing::info!(projection, count, "removed what ended long ago"),
            Err(error) => {
                self.resources.metrics.failed(projection, error.kind());
                tracing::warn!(projection, error = chain(&error), "removing later");
            }
        }
    }
}
