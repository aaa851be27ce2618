//! The status of a worker for other threads: the worker writes it after each turn, and readiness
//! checks read it. Reading never waits for the worker.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use redpanda::log::Session;

use super::Worker;
use crate::{error::Missing, task::Task};

/// A session that has not heard from a broker for this long counts as cut off. It equals the
/// session timeout, after which the group's other members get its partitions.
pub const SILENCE_MAX: Duration = Duration::from_secs(10);

/// The status of a worker.
#[derive(Debug, Default)]
pub struct Status {
    open: AtomicBool,
    /// Whether the group has assigned partitions to the session, possibly none.
    assigned: AtomicBool,
    tasks: AtomicUsize,
    restoring: AtomicUsize,
    stuck: Mutex<Vec<String>>,
    /// When the session last heard from a broker.
    heard: Mutex<Option<Instant>>,
}

impl Status {
    /// Whether the worker has a session that hears from the broker, has an assignment (possibly of
    /// no partitions), and has restored all its tasks.
    pub fn is_ready(&self) -> bool {
        self.open.load(Ordering::Relaxed)
            && self.assigned.load(Ordering::Relaxed)
            && self.restoring.load(Ordering::Relaxed) == 0
            && self.is_in_contact()
    }

    /// Whether the session has heard from a broker within [`SILENCE_MAX`]. A worker that is blocked
    /// for longer counts as cut off too.
    pub fn is_in_contact(&self) -> bool {
        let heard = *self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.is_none_or(|heard| heard.elapsed() < SILENCE_MAX)
    }

    /// The number of tasks that are being restored or will be.
    pub fn restoring(&self) -> usize {
        self.restoring.load(Ordering::Relaxed)
    }

    /// Why tasks are stuck or wait for a schema. Empty if none is.
    pub fn stuck(&self) -> Vec<String> {
        self.stuck.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The number of tasks that process records.
    pub fn tasks(&self) -> usize {
        self.tasks.load(Ordering::Relaxed)
    }
}

impl Worker {
    /// Publishes the status and the gauges.
    pub(super) fn publish(&self) {
        let status = &self.status;
        status.open.store(self.session.is_some(), Ordering::Relaxed);
        status.assigned.store(self.assigned, Ordering::Relaxed);
        if let Some(session) = &self.session {
            let heard = Instant::now().checked_sub(session.silence());
            *status.heard.lock().unwrap_or_else(PoisonError::into_inner) = heard;
        }
        let awaiting = self.awaiting.iter().filter_map(|(partition, missing)| {
            // A dead letter is not waited for any longer than its deadline.
            let Missing::Schema(unknown) = missing else { return None };
            let (id, error) = (unknown.0, self.learner.error(unknown.0)?);
            Some(format!("task {partition}: waits for schema {id} of the registry: {error}"))
        });
        let stuck =
            self.stuck.iter().map(|(partition, reason)| format!("task {partition}: {reason}"));
        *status.stuck.lock().unwrap_or_else(PoisonError::into_inner) =
            stuck.chain(awaiting).collect();
        status.tasks.store(self.active.len(), Ordering::Relaxed);
        status.restoring.store(self.restoring.len() + self.unread.len(), Ordering::Relaxed);

        let metrics = &self.metrics;
        metrics.tasks.with_label_values(&["active"]).set(self.active.len() as i64);
        metrics.tasks.with_label_values(&["restoring"]).set(self.restoring.len() as i64);
        metrics.tasks.with_label_values(&["stuck"]).set(self.stuck.len() as i64);
        metrics.rows.set(self.active.values().map(Task::rows).sum::<usize>() as i64);
        metrics.parked_now.set(self.active.values().map(Task::parked).sum::<usize>() as i64);
    }

    /// Sets the gauges of records that are not polled yet.
    pub(super) fn measure_lag(&self, session: &mut dyn Session) {
        for (input, lag) in session.lag() {
            if self.active.contains_key(&input.partition) {
                let labels = [&*input.topic, &input.partition.to_string()];
                self.metrics.lag.with_label_values(&labels).set(lag);
            }
        }
    }
}
