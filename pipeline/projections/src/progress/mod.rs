//! What the projectors of a process have applied, and when. Traces show it. It is an observation
//! beside the projections: nothing depends on it, and what is lost of it is only unknown.
//!
//! - this file: steps in memory, one for each partition and tenth of a second
//! - `pack`: rows of packed steps, one for each process and second
//! - `reads`: which projections have applied the records of a trace
//!
//! Projectors call [`Progress::applied`] after each commit. A task of the process writes a row to
//! PostgreSQL each second in which anything was applied (`postgres/progress.rs`).

mod pack;
mod reads;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use redpanda::log::TopicPartition;

pub use reads::{Applied, Since, WhoApplied};

pub(crate) use pack::{pack, unpack};

/// The commits of a partition within this time are one step.
const STEP_MS: i64 = 100;
/// The most steps in memory, about half a minute under load. While PostgreSQL does not answer, more
/// replace the last ones: their times are then later than they were.
const STEPS_MAX: usize = 20_000;

/// Whether traces and OpenTelemetry spans show when a projection has applied a record: not the
/// projections that store traces.
pub(crate) fn is_shown(projection: &str) -> bool {
    !projection.ends_with("-trace")
}

/// By this time, a projection had applied all records of a partition below this offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// The time in milliseconds since 1970.
    pub(crate) at_ms: i64,
    /// The next offset.
    pub(crate) next: i64,
}

/// The steps of partitions, each in its order.
pub(crate) type Steps = BTreeMap<(String, TopicPartition), Vec<Step>>;

/// What the projectors of a process have applied since it was last written. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    kept: Arc<Mutex<Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    steps: Steps,
    count: usize,
}

impl Progress {
    /// A projection has committed all records of a partition below `next`.
    pub(crate) fn applied(
        &self,
        projection: &str,
        partition: &TopicPartition,
        next: i64,
        at_ms: i64,
    ) {
        if !is_shown(projection) {
            return;
        }
        let mut kept = self.lock();
        let is_full = kept.count >= STEPS_MAX;
        let place = (projection.to_owned(), partition.clone());
        let steps = kept.steps.entry(place).or_default();
        let step = Step { at_ms, next };
        match steps.last_mut() {
            // A later time holds for all records before it too.
            Some(last) if is_full || last.at_ms / STEP_MS == at_ms / STEP_MS => *last = step,
            _ => {
                steps.push(step);
                kept.count += 1;
            }
        }
    }

    /// Takes what was applied since the last call.
    pub(crate) fn take(&self) -> Steps {
        std::mem::take(&mut *self.lock()).steps
    }

    /// Gives back what could not be written, before what was applied since.
    pub(crate) fn give_back(&self, steps: Steps) {
        let since = self.take();
        {
            let mut kept = self.lock();
            kept.count = steps.values().map(Vec::len).sum();
            kept.steps = steps;
        }
        for ((projection, partition), steps) in since {
            for Step { at_ms, next } in steps {
                self.applied(&projection, &partition, next, at_ms);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // A step is written as a whole: a panic elsewhere leaves nothing half done.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
