//! The metric of spans. Nothing here decides when to count.

use prometheus::{IntCounter, IntCounterVec, Opts, Registry};

/// What became of the spans of this process. Clones share their counters.
#[derive(Clone, Debug)]
pub(super) struct Metrics {
    total: IntCounterVec,
    /// Spans that the collector has taken.
    pub(super) exported: IntCounter,
    /// Spans that the collector did not take before the deadline, or has refused.
    pub(super) failed: IntCounter,
    /// Spans that found no room in the queue.
    pub(super) dropped: IntCounter,
}

impl Metrics {
    pub(super) fn new() -> prometheus::Result<Self> {
        let help = "OpenTelemetry spans by result: exported, failed (the collector did not take \
                    them), dropped (the queue was full).";
        let total = IntCounterVec::new(Opts::new("millrace_spans_total", help), &["result"])?;
        let [exported, failed, dropped] =
            ["exported", "failed", "dropped"].map(|result| total.with_label_values(&[result]));
        Ok(Self { total, exported, failed, dropped })
    }

    /// Registers the metric.
    ///
    /// # Errors
    /// If a metric of its name is registered already.
    pub(super) fn register(&self, registry: &Registry) -> prometheus::Result<()> {
        registry.register(Box::new(self.total.clone()))
    }
}
