//! The names of all metrics of the projections.

use std::time::{SystemTime, UNIX_EPOCH};

use prometheus::{GaugeVec, IntCounterVec, IntGaugeVec, Opts, Registry};

use redpanda::log::TopicPartition;

/// The metrics of all projections of a process. Cheap to clone: clones count together.
#[derive(Clone, Debug)]
pub struct Metrics {
    applied: IntCounterVec,
    delay: GaugeVec,
    position: IntGaugeVec,
    waiting: IntGaugeVec,
    errors: IntCounterVec,
    dead_letters: IntCounterVec,
}

impl Metrics {
    /// The metrics, registered with `registry`.
    ///
    /// # Errors
    /// When a metric of the same name is registered already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let opts = |name: &str, help: &str| Opts::new(format!("millrace_projection_{name}"), help);
        let place = ["projection", "topic", "partition"];
        let metrics = Self {
            applied: IntCounterVec::new(
                opts("records_applied_total", "Records that a projection has applied."),
                &["projection"],
            )?,
            delay: GaugeVec::new(
                opts(
                    "delay_seconds",
                    "From when the last applied record was written until it was applied.",
                ),
                &["projection"],
            )?,
            position: IntGaugeVec::new(
                opts("position", "The next offset that a projection applies."),
                &place,
            )?,
            waiting: IntGaugeVec::new(
                opts(
                    "partitions_waiting",
                    "Partitions that a projection can't go on with: see errors and the log.",
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
        registry.register(Box::new(metrics.position.clone()))?;
        registry.register(Box::new(metrics.waiting.clone()))?;
        registry.register(Box::new(metrics.errors.clone()))?;
        registry.register(Box::new(metrics.dead_letters.clone()))?;
        Ok(metrics)
    }

    /// Makes the metrics of a projection show before anything has happened.
    pub(crate) fn begin(&self, projection: &str) {
        self.applied.with_label_values(&[projection]);
        self.waiting.with_label_values(&[projection]);
        self.dead_letters.with_label_values(&[projection]);
        for kind in ["store", "gap", "record", "lost", "log"] {
            self.errors.with_label_values(&[projection, kind]);
        }
    }

    /// Records have been applied, the last one written at `written_ms`.
    pub(crate) fn applied(
        &self,
        projection: &str,
        place: &TopicPartition,
        count: usize,
        next: i64,
        written_ms: i64,
    ) {
        self.applied.with_label_values(&[projection]).inc_by(count as u64);
        let delay_ms = now_ms().saturating_sub(written_ms).max(0);
        self.delay.with_label_values(&[projection]).set(delay_ms as f64 / 1000.0);
        self.claimed(projection, place, next);
    }

    /// A partition has been claimed, or has moved on.
    pub(crate) fn claimed(&self, projection: &str, place: &TopicPartition, next: i64) {
        let partition = place.partition.to_string();
        self.position.with_label_values(&[projection, &place.topic, &partition]).set(next);
    }

    /// A partition is someone else's now.
    pub(crate) fn released(&self, projection: &str, place: &TopicPartition) {
        // It may never have been claimed.
        let _ = self.position.remove_label_values(&[
            projection,
            &place.topic,
            &place.partition.to_string(),
        ]);
    }

    /// So many partitions wait for a new try.
    pub(crate) fn waiting(&self, projection: &str, count: usize) {
        self.waiting.with_label_values(&[projection]).set(count as i64);
    }

    /// A record became a dead letter.
    pub(crate) fn buried(&self, projection: &str) {
        self.dead_letters.with_label_values(&[projection]).inc();
    }

    /// Something went wrong.
    pub(crate) fn failed(&self, projection: &str, kind: &str) {
        self.errors.with_label_values(&[projection, kind]).inc();
    }
}

/// The time of day, in milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}
