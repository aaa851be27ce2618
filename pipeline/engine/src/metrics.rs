//! The names of all metrics of the engine. Nothing here decides when to count.

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry,
};
use redpanda::log::Topic;
use schemas::{Outcome, Use, Verdict};

use crate::topology::Topology;

/// The metrics of one processor. Clones share their counters.
#[derive(Clone, Debug)]
pub struct Metrics {
    records_in: IntCounterVec,
    input_age: HistogramVec,
    pub(crate) records_out: IntCounter,
    pub(crate) begun: IntCounter,
    pub(crate) committed: IntCounter,
    pub(crate) aborted: IntCounterVec,
    pub(crate) seconds: Histogram,
    outcomes: IntCounterVec,
    pub(crate) repeats: IntCounter,
    dead_letters: IntCounterVec,
    pub(crate) parked: IntCounter,
    pub(crate) parked_now: IntGauge,
    pub(crate) failed_timers: IntCounter,
    pub(crate) tasks: IntGaugeVec,
    pub(crate) rows: IntGauge,
    pub(crate) restored: IntCounter,
    pub(crate) restore_remaining: IntGaugeVec,
    pub(crate) lag: IntGaugeVec,
    pub(crate) rebuilds: IntCounter,
    deprecated: IntCounterVec,
}

impl Metrics {
    /// Registers the metrics of a processor with `registry`.
    ///
    /// # Errors
    /// Fails if a metric of the same name is registered already.
    pub fn register(topology: &Topology, registry: &Registry) -> Result<Self, prometheus::Error> {
        let opts = |name: &str, help: &str| {
            Opts::new(format!("millrace_engine_{name}"), help)
                .const_label("processor", topology.processor())
        };
        let counter = |name: &str, help: &str| -> Result<IntCounter, prometheus::Error> {
            let counter = IntCounter::with_opts(opts(name, help))?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        let counters =
            |name: &str, help: &str, labels: &[&str]| -> Result<IntCounterVec, prometheus::Error> {
                let counters = IntCounterVec::new(opts(name, help), labels)?;
                registry.register(Box::new(counters.clone()))?;
                Ok(counters)
            };
        let gauge = |name: &str, help: &str| -> Result<IntGauge, prometheus::Error> {
            let gauge = IntGauge::with_opts(opts(name, help))?;
            registry.register(Box::new(gauge.clone()))?;
            Ok(gauge)
        };
        let gauges =
            |name: &str, help: &str, labels: &[&str]| -> Result<IntGaugeVec, prometheus::Error> {
                let gauges = IntGaugeVec::new(opts(name, help), labels)?;
                registry.register(Box::new(gauges.clone()))?;
                Ok(gauges)
            };
        let seconds = HistogramVec::new(
            HistogramOpts::from(opts(
                "transaction_seconds",
                "Time from handing a transaction over to the answer to its commit.",
            ))
            .buckets(vec![0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0]),
            &[],
        )?;
        registry.register(Box::new(seconds.clone()))?;
        let input_age = HistogramVec::new(
            HistogramOpts::from(opts(
                "input_age_seconds",
                "Age of a record when it is decided, from the broker's timestamp, by input topic.",
            ))
            .buckets(vec![
                0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 60.0, 600.0,
            ]),
            &["topic"],
        )?;
        registry.register(Box::new(input_age.clone()))?;
        let metrics = Self {
            records_in: counters(
                "records_in_total",
                "Records decided, by input topic.",
                &["topic"],
            )?,
            input_age,
            records_out: counter(
                "records_out_total",
                "Records handed over in transactions, with those of the changelog.",
            )?,
            begun: counter("transactions_begun_total", "Transactions handed over.")?,
            committed: counter(
                "transactions_committed_total",
                "Transactions that were committed.",
            )?,
            aborted: counters(
                "transactions_aborted_total",
                "Transactions that were aborted or fenced, or whose end is unknown.",
                &["reason"],
            )?,
            seconds: seconds.with_label_values::<&str>(&[]),
            outcomes: counters(
                "outcomes_total",
                "Commands concluded (aborted transactions included), by type and verdict.",
                &["command", "verdict"],
            )?,
            repeats: counter(
                "commands_repeated_total",
                "Repeated commands, which were not decided again.",
            )?,
            dead_letters: counters(
                "dead_letters_total",
                "Records that became dead letters, by topic.",
                &["topic"],
            )?,
            parked: counter(
                "records_parked_total",
                "Records parked: failed, or behind a failed record of the same key.",
            )?,
            parked_now: gauge(
                "records_parked",
                "Records parked now, until their key is re-driven.",
            )?,
            failed_timers: counter("timers_failed_total", "Timers that failed and were dropped.")?,
            tasks: gauges("tasks", "Tasks of this process, by stage.", &["stage"])?,
            rows: gauge("rows", "States, children and commands in memory.")?,
            restored: counter(
                "restored_records_total",
                "Changelog records that restores have read.",
            )?,
            restore_remaining: gauges(
                "restore_remaining_records",
                "Offsets of the changelog that a restore has still to read.",
                &["partition"],
            )?,
            lag: gauges(
                "lag_records",
                "Committed records that are not polled yet, as of some seconds ago.",
                &["topic", "partition"],
            )?,
            rebuilds: counter(
                "rebuilds_total",
                "Sessions that were discarded and rebuilt from the log.",
            )?,
            deprecated: counters(
                "deprecated_records_total",
                "Records of deprecated schemas that the service has written or read.",
                &["schema", "use"],
            )?,
        };
        metrics.initialize(&topology.inputs());
        Ok(metrics)
    }

    /// Sets the counters of failures to zero, because Prometheus sees no increase in a series that
    /// begins at one.
    fn initialize(&self, inputs: &[Topic]) {
        for topic in inputs {
            self.dead_letters.with_label_values(&[&**topic]);
        }
        for reason in ["aborted", "fenced", "unknown"] {
            self.aborted.with_label_values(&[reason]);
        }
    }

    pub(crate) fn outcome(&self, outcome: &Outcome) {
        let verdict = match outcome.verdict {
            Verdict::Accepted => "accepted",
            Verdict::Refused => "refused",
            Verdict::Failed => "failed",
        };
        // The type of an undecodable command comes from its header: only known names become labels.
        let known = schemas::all().iter().any(|schema| schema.name == outcome.command_type);
        let command = if known { outcome.command_type.as_str() } else { "other" };
        self.outcomes.with_label_values(&[command, verdict]).inc();
    }

    /// The metrics of an input topic.
    pub(crate) fn input(&self, topic: &Topic) -> InputMetrics {
        InputMetrics {
            topic: topic.clone(),
            records: self.records_in.with_label_values(&[&**topic]),
            age: self.input_age.with_label_values(&[&**topic]),
        }
    }

    /// Counts a record of a deprecated schema.
    pub fn deprecated(&self, schema: &str, what: Use) {
        let what = match what {
            Use::Written => "written",
            Use::Read => "read",
        };
        self.deprecated.with_label_values(&[schema, what]).inc();
    }

    pub(crate) fn dead_letter(&self, topic: &str) {
        self.dead_letters.with_label_values(&[topic]).inc();
    }
}

/// The metrics of one input topic.
pub(crate) struct InputMetrics {
    pub(crate) topic: Topic,
    records: IntCounter,
    age: Histogram,
}

impl InputMetrics {
    /// Counts a record that is decided at `now_ms`. The broker's clock may be ahead of that of the
    /// service.
    pub(crate) fn decided(&self, timestamp_ms: i64, now_ms: i64) {
        self.records.inc();
        self.age.observe(now_ms.saturating_sub(timestamp_ms).max(0) as f64 / 1000.0);
    }
}

#[cfg(test)]
mod tests {
    use domain::{order::Order, stock::Stock};
    use prometheus::TextEncoder;

    use super::*;

    #[test]
    fn age_of_a_decided_record_is_never_negative() {
        let topology = Topology::new("order", |_| Some(1)).aggregate::<Order>();
        let metrics = Metrics::register(&topology, &Registry::new()).expect("metrics");
        let input = metrics.input(&"order.commands".into());
        input.decided(1_000, 3_500);
        input.decided(4_000, 3_500);

        let age = metrics.input_age.with_label_values(&["order.commands"]);
        assert_eq!((2, 2.5), (age.get_sample_count(), age.get_sample_sum()));
        assert_eq!(2, input.records.get());
    }

    #[test]
    fn failure_counters_are_zero_before_the_first_failure() {
        let topology =
            Topology::new("order", |_| Some(1)).aggregate::<Order>().aggregate::<Stock>();
        let registry = Registry::new();
        let metrics = Metrics::register(&topology, &registry).expect("metrics");
        metrics.dead_letter("order.commands");

        let text = TextEncoder::new().encode_to_string(&registry.gather()).expect("text");
        for line in [
            r#"dead_letters_total{processor="order",topic="order.commands"} 1"#,
            r#"dead_letters_total{processor="order",topic="order.followups"} 0"#,
            r#"dead_letters_total{processor="order",topic="stock.commands"} 0"#,
            r#"dead_letters_total{processor="order",topic="stock.followups"} 0"#,
            r#"transactions_aborted_total{processor="order",reason="aborted"} 0"#,
            r#"transactions_aborted_total{processor="order",reason="fenced"} 0"#,
            r#"transactions_aborted_total{processor="order",reason="unknown"} 0"#,
        ] {
            assert!(
                text.contains(&format!("\nmillrace_engine_{line}\n")),
                "{line} is not in {text}"
            );
        }
    }
}
