//! Bounds a task's memory: forgets commands older than the dedupe horizon, and aggregates and
//! children whose retention has passed. It never forgets a pending command or a parked record.

use domain::decider::RETENTION;
use schemas::chain;

use super::{
    Bounds, Task,
    resend::{LETTER_AGE_MAX_MS, is_letter},
};
use crate::{aggregate::RowKind, output::Output};

impl Task {
    /// Forgets up to `max` commands older than the horizon. The margin covers repeats that were
    /// sent just before the horizon.
    pub(super) fn forget_commands(&mut self, max: usize) {
        let Bounds { horizon_ms, .. } = self.bounds;
        let before_ms = self.stream_ms - horizon_ms - horizon_ms / 24;
        for _ in 0..max {
            let Some((at_ms, id)) = self.expiry.pop_front_if(|(at_ms, _)| *at_ms < before_ms)
            else {
                break;
            };
            let kept_ms = if is_letter(&id) { LETTER_AGE_MAX_MS } else { 0 };
            match self.dedup.get(&id) {
                Some(entry)
                    if entry.outcome.is_some() && entry.received_at < before_ms - kept_ms =>
                {
                    self.dedup.put(&id, None);
                }
                // The command of an unfinished saga and a dead letter that could be sent twice
                // stay, and are checked again later.
                Some(_) => self.expire_at(self.stream_ms.max(at_ms), id),
                None => {}
            }
        }
    }

    /// Searches `max` slots of each table for aggregates and children whose retention has passed,
    /// and forgets them. A key with a pending command or a parked follow-up keeps its state.
    pub(super) fn forget_aggregates(&mut self, max: usize, output: &mut Output) {
        let Bounds { retention_ms, .. } = self.bounds;
        let at_ms = self.stream_ms;
        for index in 0..self.aggregates.len() {
            for (kind, key) in self.aggregates[index].expired(at_ms, retention_ms, max) {
                match kind {
                    RowKind::Child => self.aggregates[index].forget(kind, &key),
                    RowKind::State => self.forget_aggregate(index, &key, at_ms, output),
                }
            }
        }
    }

    /// Asks a finished aggregate for its last events, and forgets it.
    fn forget_aggregate(&mut self, index: usize, key: &str, at_ms: i64, output: &mut Output) {
        let context = self.topology.aggregates[index].context;
        if self.pending_commands.get(&format!("{context}/{key}")).is_some()
            || self.is_parked(&format!("{context}.followups"), key)
        {
            return;
        }
        let before = self.input_savepoint(output);
        match self.fire_at(index, key, RETENTION, at_ms, output) {
            Ok(_) => self.aggregates[index].forget(RowKind::State, key),
            Err(error) => {
                self.undo(before, output);
                self.metrics.failed_timers.inc();
                let error = chain(&error);
                tracing::error!(context, key, error, "a finished aggregate can't be forgotten");
            }
        }
    }
}
