//! The names of all metrics of the projections. It counts, and never reads a metric back.

use prometheus::{GaugeVec, IntCounterVec, IntGaugeVec, Opts, Registry};
use redpanda::log::TopicPartition;

use crate::clock::now_ms;

/// The values of the label `kind` of errors.
const KINDS: [&str; 5] = ["store", "gap", "record", "lost", "log"];

/// The metrics of all projections of a process. Clones share the counters.
#[derive(Clone, Debug)]
pub struct Metrics {
    applied: IntCounterVec,
    delay: GaugeVec,
    lag: GaugeVec,
    position: IntGaugeVec,
    waiting: IntGaugeVec,
    errors: IntCounterVec,
    dead_letters: IntCounterVec,
}

impl Metrics {
    /// Creates the metrics and registers them with `registry`.
    ///
    /// # Errors
    /// When a metric of the same name is registered already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let opts = |name: &str, help: &str| Opts::new(format!("millrace_projection_{name}"), help);
        let partition = ["projection", "topic", "partition"];
        let metrics = Self {
            applied: IntCounterVec::new(
                opts("records_applied_total", "Records that a projection has applied."),
                &["projection"],
            )?,
            delay: GaugeVec::new(
                opts(
                    "delay_seconds",
                    "Time from when the last applied record was written until it was applied.",
                ),
                &["projection"],
            )?,
            lag: GaugeVec::new(
                opts(
                    "lag_seconds",
                    "Age of the oldest record that a projection has not applied, at most; it grows \
                     while the projection stands still.",
                ),
                &["projection"],
            )?,
            position: IntGaugeVec::new(
                opts("position", "The next offset that a projection applies."),
                &partition,
            )?,
            waiting: IntGaugeVec::new(
                opts(
                    "partitions_waiting",
                    "Partitions of a projection that are stopped until a retry: see errors and the \
                     output of the service.",
                ),
                &["projection"],
            )?,
            errors: IntCounterVec::new(
                opts(
                    "errors_total",
                    "Failures to apply records, by kind: store, gap, record, lost, log.",
                ),
                &["projection", "kind"],
            )?,
            dead_letters: IntCounterVec::new(
                opts(
                    "dead_letters_total",
                    "Records that a projection can't hold and has passed over.",
                ),
                &["projection"],
            )?,
        };
        registry.register(Box::new(metrics.applied.clone()))?;
        registry.register(Box::new(metrics.delay.clone()))?;
        registry.register(Box::new(metrics.lag.clone()))?;
        registry.register(Box::new(metrics.position.clone()))?;
        registry.register(Box::new(metrics.waiting.clone()))?;
        registry.register(Box::new(metrics.errors.clone()))?;
        registry.register(Box::new(metrics.dead_letters.clone()))?;
        Ok(metrics)
    }

    /// Exports the metrics of a projection with zero values.
    pub(crate) fn initialize(&self, projection: &str) {
        self.applied.with_label_values(&[projection]);
        self.waiting.with_label_values(&[projection]);
        self.dead_letters.with_label_values(&[projection]);
        for kind in KINDS {
            self.errors.with_label_values(&[projection, kind]);
        }
    }

    /// Counts applied records, the last one of which was written at `written_ms`.
    pub(crate) fn applied(
        &self,
        projection: &str,
        partition: &TopicPartition,
        count: usize,
        next: i64,
        written_ms: i64,
    ) {
        self.applied.with_label_values(&[projection]).inc_by(count as u64);
        let delay_ms = now_ms().saturating_sub(written_ms).max(0);
        self.delay.with_label_values(&[projection]).set(delay_ms as f64 / 1000.0);
        self.position(projection, partition, next);
    }

    /// Exports the largest lag of this member's partitions.
    pub(crate) fn lag(&self, projection: &str, lag_ms: i64) {
        self.lag.with_label_values(&[projection]).set(lag_ms as f64 / 1000.0);
    }

    /// Exports the position of a partition.
    pub(crate) fn position(&self, projection: &str, partition: &TopicPartition, next: i64) {
        let number = partition.partition.to_string();
        self.position.with_label_values(&[projection, &partition.topic, &number]).set(next);
    }

    /// Removes the position of a partition that this member no longer owns.
    pub(crate) fn released(&self, projection: &str, partition: &TopicPartition) {
        // It may never have been claimed.
        let _ = self.position.remove_label_values(&[
            projection,
            &partition.topic,
            &partition.partition.to_string(),
        ]);
    }

    /// Exports the number of partitions that wait for a retry.
    pub(crate) fn waiting(&self, projection: &str, count: usize) {
        self.waiting.with_label_values(&[projection]).set(count as i64);
    }

    /// Counts a dead letter.
    pub(crate) fn dead_letter(&self, projection: &str) {
        self.dead_letters.with_label_values(&[projection]).inc();
    }

    /// Counts a failure.
    pub(crate) fn failed(&self, projection: &str, kind: &str) {
        self.errors.with_label_values(&[projection, kind]).inc();
    }
}
