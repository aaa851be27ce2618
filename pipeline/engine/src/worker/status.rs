//! The status of a worker for other threads: the worker writes it after each turn, and readiness
//! checks read it. Reading never waits for the worker.

use std::{
    cell::Cell,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use prometheus::IntGauge;
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

        let (metrics, shares) = (&self.metrics, &self.shares);
        let tasks = |stage| metrics.tasks.with_label_values(&[stage]);
        shares.active.publish(&tasks("active"), self.active.len());
        shares.restoring.publish(&tasks("restoring"), self.restoring.len());
        shares.stuck.publish(&tasks("stuck"), self.stuck.len());
        shares.rows.publish(&metrics.rows, self.active.values().map(Task::rows).sum());
        shares.parked.publish(&metrics.parked_now, self.active.values().map(Task::parked).sum());
    }

    /// Sets the gauges of records that are not polled yet, and tells tasks which of their inputs
    /// are read to their ends.
    pub(super) fn measure_lag(&mut self, session: &mut dyn Session) {
        let Some(lags) = session.lag() else { return };
        for (input, lag) in &lags {
            if self.active.contains_key(&input.partition) {
                let labels = [&*input.topic, &input.partition.to_string()];
                self.metrics.lag.with_label_values(&labels).set(*lag);
            }
        }
        self.active.values_mut().for_each(|task| task.measured(&lags));
    }

    /// Removes the lag of a partition that this worker does not process any more, and sets what it
    /// has to restore to zero: another process may publish both now.
    pub(super) fn forget_progress(&self, partition: i32) {
        self.metrics.restore_remaining.with_label_values(&[&partition.to_string()]).set(0);
        for topic in self.topology.inputs() {
            // It has none if it was never measured.
            drop(self.metrics.lag.remove_label_values(&[&*topic, &partition.to_string()]));
        }
    }
}

/// What a worker has added to the gauges that all workers of a process share.
#[derive(Debug, Default)]
pub(super) struct Shares {
    active: Share,
    restoring: Share,
    stuck: Share,
    rows: Share,
    parked: Share,
}

/// What a worker has added to one gauge.
#[derive(Debug, Default)]
struct Share(Cell<i64>);

impl Share {
    /// Replaces what was added before by `own`.
    fn publish(&self, gauge: &IntGauge, own: usize) {
        let own = i64::try_from(own).unwrap_or(i64::MAX);
        gauge.add(own - self.0.replace(own));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gauge_is_the_sum_of_what_the_workers_have() {
        let gauge = IntGauge::new("records", "Records.").expect("a gauge");
        let (first, second) = (Share::default(), Share::default());
        first.publish(&gauge, 3);
        second.publish(&gauge, 0);
        assert_eq!(gauge.get(), 3, "a worker without any hides none of another");
        second.publish(&gauge, 2);
        first.publish(&gauge, 1);
        assert_eq!(gauge.get(), 3);
    }
}
