//! The names of all metrics of the gateway. Labels are route templates and words, never ids or
//! addresses.

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
};

/// From one millisecond to thirty seconds.
const SECONDS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// What the gateway counts.
#[derive(Clone)]
pub struct Metrics {
    /// Requests by route, method and status.
    pub requests: IntCounterVec,
    /// From a request's first byte to its answer's head, by route and method.
    pub request_seconds: HistogramVec,
    /// Requests being answered.
    pub in_flight: IntGauge,
    /// Commands by type and what became of the writing: written, failed.
    pub commands: IntCounterVec,
    /// Commands written with a deprecated schema, by schema.
    pub deprecated: IntCounterVec,
    /// How long the log took for a command.
    pub write_seconds: Histogram,
    /// Outcomes that a request waited for, by command type and verdict: accepted, refused, failed,
    /// none.
    pub outcomes: IntCounterVec,
    /// From writing a command to its outcome.
    pub wait_outcome_seconds: Histogram,
    /// From its outcome to the read model that holds it.
    pub wait_view_seconds: Histogram,
    /// Reads with `Read-After` by result: held, stale.
    pub read_after: IntCounterVec,
    /// Requests turned away because their address had sent too many.
    pub rate_limited: IntCounter,
    /// Requests turned away because their account's password is being guessed.
    pub held_back: IntCounter,
    /// Requests that were let through uncounted, because Redis did not answer.
    pub counters_unavailable: IntCounter,
    /// Log-ins by result: accepted, wrong, refused, none.
    pub log_ins: IntCounterVec,
    /// Clients of the live stream.
    pub stream_clients: IntGauge,
    /// Events sent to clients of the live stream.
    pub stream_events: IntCounter,
    /// Clients that were let go because they read too slowly.
    pub stream_slow: IntCounter,
    /// Open connections.
    pub connections: IntGauge,
    /// 1 while the gateway is ready.
    pub ready: IntGauge,
}

impl Metrics {
    /// All of them, registered with `registry`.
    ///
    /// # Errors
    /// When one is registered already.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        fn kept<M: prometheus::core::Collector + Clone + 'static>(
            registry: &Registry,
            metric: prometheus::Result<M>,
        ) -> prometheus::Result<M> {
            let metric = metric?;
            registry.register(Box::new(metric.clone()))?;
            Ok(metric)
        }
        let counters = |name: &str, help: &str, labels: &[&str]| {
            kept(registry, IntCounterVec::new(Opts::new(name, help), labels))
        };
        let counter = |name: &str, help: &str| kept(registry, IntCounter::new(name, help));
        let gauge = |name: &str, help: &str| kept(registry, IntGauge::new(name, help));
        let opts =
            |name: &str, help: &str| HistogramOpts::new(name, help).buckets(SECONDS.to_vec());
        let seconds =
            |name: &str, help: &str| kept(registry, Histogram::with_opts(opts(name, help)));
        Ok(Self {
            requests: counters(
                "millrace_gateway_http_requests_total",
                "HTTP requests by route template, method and status.",
                &["route", "method", "status"],
            )?,
            request_seconds: kept(
                registry,
                HistogramVec::new(
                    opts(
                        "millrace_gateway_http_request_seconds",
                        "Time from a request to its answer's head, by route template and method.",
                    ),
                    &["route", "method"],
                ),
            )?,
            in_flight: gauge(
                "millrace_gateway_http_requests_in_flight",
                "HTTP requests being answered.",
            )?,
            commands: counters(
                "millrace_gateway_commands_total",
                "Commands by type and what became of the writing.",
                &["type", "result"],
            )?,
            deprecated: counters(
                "millrace_gateway_deprecated_records_total",
                "Commands written with a deprecated schema, by schema.",
                &["schema"],
            )?,
            write_seconds: seconds(
                "millrace_gateway_command_write_seconds",
                "Time the log took for a command.",
            )?,
            outcomes: counters(
                "millrace_gateway_command_outcomes_total",
                "Outcomes that requests waited for, by command type and verdict; none where the wait ended first.",
                &["type", "outcome"],
            )?,
            wait_outcome_seconds: seconds(
                "millrace_gateway_outcome_wait_seconds",
                "Time from a command's writing to its outcome.",
            )?,
            wait_view_seconds: seconds(
                "millrace_gateway_view_wait_seconds",
                "Time from an outcome to the read model that holds it.",
            )?,
            read_after: counters(
                "millrace_gateway_read_after_total",
                "Reads with Read-After by result.",
                &["result"],
            )?,
            rate_limited: counter(
                "millrace_gateway_rate_limited_total",
                "Requests turned away because their address had sent too many.",
            )?,
            held_back: counter(
                "millrace_gateway_log_ins_held_back_total",
                "Requests turned away because wrong passwords were given for their account.",
            )?,
            counters_unavailable: counter(
                "millrace_gateway_counters_unavailable_total",
                "Requests let through uncounted because Redis did not answer.",
            )?,
            log_ins: counters("millrace_gateway_log_ins_total", "Log-ins by result.", &["result"])?,
            stream_clients: gauge(
                "millrace_gateway_stream_clients",
                "Clients of the live stream.",
            )?,
            stream_events: counter(
                "millrace_gateway_stream_events_total",
                "Events sent on the live stream.",
            )?,
            stream_slow: counter(
                "millrace_gateway_stream_slow_clients_total",
                "Clients of the live stream that were let go because they read too slowly.",
            )?,
            connections: gauge("millrace_gateway_connections", "Open connections.")?,
            ready: gauge("millrace_gateway_ready", "1 while the gateway is ready.")?,
        })
    }
}
