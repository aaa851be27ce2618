//! All metrics of the gateway, with their names and help texts. Labels are route templates and
//! fixed words, never ids or addresses.

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry,
};

/// The buckets of durations: one millisecond to thirty seconds.
const SECONDS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// The gateway's metrics.
#[derive(Clone)]
pub struct Metrics {
    /// Requests by route, method and status.
    pub requests: IntCounterVec,
    /// The time from a request to the head of its response, by route and method.
    pub request_seconds: HistogramVec,
    /// Requests in flight.
    pub in_flight: IntGauge,
    /// Requests and undecided commands in flight, by class: commands, reads, log_ins, waits.
    pub class_in_flight: IntGaugeVec,
    /// How many may be in flight now, by class.
    pub class_limit: IntGaugeVec,
    /// Requests refused because of load, by class and reason: limit, address. One of the class
    /// waits was answered without its wait.
    pub shed: IntCounterVec,
    /// Commands by type and result of the write: written, failed.
    pub commands: IntCounterVec,
    /// Commands written with a deprecated schema, by schema.
    pub deprecated: IntCounterVec,
    /// The time that the write of a command took.
    pub write_seconds: Histogram,
    /// Outcomes that requests waited for, by command type and verdict: accepted, refused, failed,
    /// none.
    pub outcomes: IntCounterVec,
    /// The time from the write of a command to its outcome.
    pub wait_outcome_seconds: Histogram,
    /// The time from an outcome to the read model that holds it.
    pub wait_view_seconds: Histogram,
    /// Reads with `Read-After` by result: held, stale.
    pub read_after: IntCounterVec,
    /// Requests refused because their address had sent too many.
    pub rate_limited: IntCounter,
    /// Requests refused because of too many wrong passwords for their account.
    pub held_back: IntCounter,
    /// Requests that passed uncounted, because Redis did not answer.
    pub counters_unavailable: IntCounter,
    /// Log-ins by result: accepted, wrong, refused, none.
    pub log_ins: IntCounterVec,
    /// Clients of the live stream.
    pub stream_clients: IntGauge,
    /// Events sent to clients of the live stream.
    pub stream_events: IntCounter,
    /// Clients of the live stream that were disconnected because they read too slowly.
    pub stream_slow: IntCounter,
    /// Open connections.
    pub connections: IntGauge,
    /// 1 while the gateway is ready.
    pub ready: IntGauge,
}

impl Metrics {
    /// Creates the metrics and registers them with `registry`.
    ///
    /// # Errors
    /// Returns an error when one of them is registered already.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        fn registered<M: prometheus::core::Collector + Clone + 'static>(
            registry: &Registry,
            metric: prometheus::Result<M>,
        ) -> prometheus::Result<M> {
            let metric = metric?;
            registry.register(Box::new(metric.clone()))?;
            Ok(metric)
        }
        let counters = |name: &str, help: &str, labels: &[&str]| {
            registered(registry, IntCounterVec::new(Opts::new(name, help), labels))
        };
        let counter = |name: &str, help: &str| registered(registry, IntCounter::new(name, help));
        let gauge = |name: &str, help: &str| registered(registry, IntGauge::new(name, help));
        let gauges = |name: &str, help: &str, labels: &[&str]| {
            registered(registry, IntGaugeVec::new(Opts::new(name, help), labels))
        };
        let opts =
            |name: &str, help: &str| HistogramOpts::new(name, help).buckets(SECONDS.to_vec());
        let seconds =
            |name: &str, help: &str| registered(registry, Histogram::with_opts(opts(name, help)));
        Ok(Self {
            requests: counters(
                "millrace_gateway_http_requests_total",
                "HTTP requests by route template, method and status.",
                &["route", "method", "status"],
            )?,
            request_seconds: registered(
                registry,
                HistogramVec::new(
                    opts(
                        "millrace_gateway_http_request_seconds",
                        "Time from a request to its response's head, by route template and method.",
                    ),
                    &["route", "method"],
                ),
            )?,
            in_flight: gauge(
                "millrace_gateway_http_requests_in_flight",
                "HTTP requests in flight.",
            )?,
            class_in_flight: gauges(
                "millrace_gateway_in_flight",
                "Requests in flight and commands without an outcome, by class.",
                &["class"],
            )?,
            class_limit: gauges(
                "millrace_gateway_in_flight_limit",
                "How many requests and commands may be in flight now, by class.",
                &["class"],
            )?,
            shed: counters(
                "millrace_gateway_shed_total",
                "Requests refused because of load, by class and reason.",
                &["class", "reason"],
            )?,
            commands: counters(
                "millrace_gateway_commands_total",
                "Commands by type and result of the write.",
                &["type", "result"],
            )?,
            deprecated: counters(
                "millrace_gateway_deprecated_records_total",
                "Commands written with a deprecated schema, by schema.",
                &["schema"],
            )?,
            write_seconds: seconds(
                "millrace_gateway_command_write_seconds",
                "Time that the write of a command to the log took.",
            )?,
            outcomes: counters(
                "millrace_gateway_command_outcomes_total",
                "Outcomes that requests waited for, by command type and verdict (none: not in time).",
                &["type", "outcome"],
            )?,
            wait_outcome_seconds: seconds(
                "millrace_gateway_outcome_wait_seconds",
                "Time from the write of a command to its outcome.",
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
                "Requests refused because their address had sent too many.",
            )?,
            held_back: counter(
                "millrace_gateway_log_ins_held_back_total",
                "Requests refused because of too many wrong passwords for their account.",
            )?,
            counters_unavailable: counter(
                "millrace_gateway_counters_unavailable_total",
                "Requests that passed uncounted because Redis did not answer.",
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
                "Clients of the live stream that were disconnected because they read too slowly.",
            )?,
            connections: gauge("millrace_gateway_connections", "Open connections.")?,
            ready: gauge("millrace_gateway_ready", "1 while the gateway is ready.")?,
        })
    }
}
