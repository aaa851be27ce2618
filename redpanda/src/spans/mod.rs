//! OpenTelemetry spans, exported by OTLP where a collector is configured. Without one there are no
//! spans: nothing here allocates, and no record gets a header.
//!
//! One trace goes from the HTTP request to the read models and mails, because each step gives the
//! next one its own span in the header `traceparent` (W3C):
//!
//! ```text
//! client -> [POST /v1/orders] -> [send order.commands] -> [decide order.commands] --+--> ...
//!            gateway              gateway                  service                  |
//!                            its transaction: [commit order], linked both ways      |
//!                                                                                   v
//!                             [apply order.events] once for each read model, mail included
//! ```
//!
//! - `settings`: the collector's address; [`start`] reads it, and [`shutdown`] exports what is left
//! - `queue`: the bounded queue before the exporter; `metrics`: what became of the spans
//! - `context`: a span in a header, and which one the records of a decision get
//! - `requests`: [`Request`] and [`Sending`], for the gateway
//! - `records`: [`Decision`], [`committed`] and [`applied`], for the services
//!
//! Nobody waits for a collector: a span that the queue has no room for is dropped and counted.
//! Whether a trace is sampled is decided where it begins, in the gateway or by its client, and is
//! in the header. This module knows no topic and no rule of the domain.

mod context;
mod metrics;
mod queue;
mod records;
mod requests;
mod settings;
#[cfg(test)]
mod tests;

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use opentelemetry::{InstrumentationScope, Key, trace::TracerProvider as _};
use opentelemetry_sdk::{
    Resource,
    trace::{
        BatchConfigBuilder, BatchSpanProcessor, SdkTracer, SdkTracerProvider, SpanExporter,
        SpanProcessor as _,
    },
};
use prometheus::Registry;

pub use context::passed_on;
pub use records::{Decision, applied, committed};
pub use requests::{Request, Sending};
pub use settings::SpanSettings;

use crate::{settings::SettingError, tls::Tls};
use metrics::Metrics;
use queue::{Counted, Places, Queue};

/// How long a process that ends waits for the collector.
const SHUTDOWN_MAX: Duration = Duration::from_secs(2);

/// Where the spans of this process go; empty while none are exported.
static SPANS: OnceLock<Spans> = OnceLock::new();

/// The exporter of a process.
struct Spans {
    provider: SdkTracerProvider,
    /// Makes spans that end where they began.
    tracer: SdkTracer,
    /// Takes spans that are made as a whole.
    queue: Queue,
    scope: InstrumentationScope,
}

impl Spans {
    /// Spans of `service` that go to `exporter`.
    fn new(service: &str, exporter: impl SpanExporter + 'static, metrics: Metrics) -> Self {
        let size = settings::queue_size();
        let places = Arc::new(Places::new(size, metrics));
        let batches = BatchConfigBuilder::default().with_max_queue_size(size).build();
        let exporter = Counted::new(exporter, places.clone());
        let mut processor =
            BatchSpanProcessor::builder(exporter).with_batch_config(batches).build();
        let resource = resource(service);
        processor.set_resource(&resource);
        let queue = Queue::new(places, processor);
        let scope = InstrumentationScope::builder("millrace").build();
        let provider = SdkTracerProvider::builder()
            .with_resource(resource)
            .with_span_processor(queue.clone())
            .build();
        let tracer = provider.tracer_with_scope(scope.clone());
        Self { provider, tracer, queue, scope }
    }
}

/// What the spans of a process say of it. `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` come
/// first.
fn resource(service: &str) -> Resource {
    let given = Resource::builder().build();
    let name = given.get(&Key::from_static_str("service.name"));
    // The SDK's own name, if none is given.
    match name.is_none_or(|name| name.as_str().starts_with("unknown_service")) {
        true => Resource::builder().with_service_name(format!("millrace-{service}")).build(),
        false => given,
    }
}

/// Exports the spans of this process from now on, if a collector is configured. Must be called
/// before any span begins; a second call changes nothing.
///
/// # Errors
/// If a setting is wrong.
pub fn start(settings: &SpanSettings, tls: &Tls, service: &str) -> Result<(), SettingError> {
    if let Some(exporter) = settings.exporter(tls)? {
        let metrics = Metrics::new().map_err(|error| SettingError::Wrong {
            variable: settings::ENDPOINT,
            why: format!("spans can't be counted: {error}"),
        })?;
        SPANS.get_or_init(|| Spans::new(service, exporter, metrics));
    }
    Ok(())
}

/// Registers the metric of spans, if this process exports any.
///
/// # Errors
/// If a metric of its name is registered already.
pub fn register(registry: &Registry) -> prometheus::Result<()> {
    SPANS.get().map_or(Ok(()), |spans| spans.queue.metrics().register(registry))
}

/// Whether this process exports spans.
pub fn is_on() -> bool {
    SPANS.get().is_some()
}

/// Exports the spans that are left, for at most two seconds. Blocks.
pub fn shutdown() {
    let Some(spans) = SPANS.get() else { return };
    if let Err(error) = spans.provider.shutdown_with_timeout(SHUTDOWN_MAX) {
        tracing::warn!(error = schemas::chain(&error), "not all spans were exported");
    }
}
