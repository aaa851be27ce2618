//! The queue before the exporter. The SDK's processor behind it has the same bound, but does not
//! tell how many spans it has dropped, so places are counted here. Nobody waits for a place.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use opentelemetry::Context;
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{Span, SpanData, SpanExporter, SpanProcessor},
};

use super::metrics::Metrics;

/// The places of spans that wait, or are being exported.
#[derive(Debug)]
pub(super) struct Places {
    taken: AtomicUsize,
    max: usize,
    is_failing: AtomicBool,
    metrics: Metrics,
}

impl Places {
    pub(super) fn new(max: usize, metrics: Metrics) -> Self {
        Self { taken: AtomicUsize::new(0), max, is_failing: AtomicBool::new(false), metrics }
    }

    /// Takes a place; if there is none, counts a dropped span and returns false.
    fn take(&self) -> bool {
        let more = |taken| (taken < self.max).then_some(taken + 1);
        let is_taken = self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok();
        if !is_taken {
            self.metrics.dropped.inc();
        }
        is_taken
    }

    /// Frees the places of spans whose export has ended, and counts them. The first failure in a
    /// row is logged, and its end.
    fn free(&self, spans: usize, result: &OTelSdkResult) {
        self.taken.fetch_sub(spans, Ordering::Relaxed);
        let counter = if result.is_ok() { &self.metrics.exported } else { &self.metrics.failed };
        counter.inc_by(spans as u64);
        let was_failing = self.is_failing.swap(result.is_err(), Ordering::Relaxed);
        match result {
            Err(error) if !was_failing => {
                let error = schemas::chain(error);
                tracing::warn!(error, "the OpenTelemetry collector does not take spans");
            }
            Ok(()) if was_failing => {
                tracing::info!("the OpenTelemetry collector takes spans again");
            }
            _ => {}
        }
    }
}

/// An exporter that frees the places of what it has exported.
#[derive(Debug)]
pub(super) struct Counted<E> {
    exporter: E,
    places: Arc<Places>,
}

impl<E> Counted<E> {
    pub(super) fn new(exporter: E, places: Arc<Places>) -> Self {
        Self { exporter, places }
    }
}

impl<E: SpanExporter> SpanExporter for Counted<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let result = self.exporter.export(batch).await;
        self.places.free(spans, &result);
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

/// The SDK's processor, behind the places. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Queue(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    places: Arc<Places>,
    processor: Box<dyn SpanProcessor>,
}

impl Queue {
    pub(super) fn new(places: Arc<Places>, processor: impl SpanProcessor + 'static) -> Self {
        Self(Arc::new(Shared { places, processor: Box::new(processor) }))
    }

    /// The metric of spans.
    pub(super) fn metrics(&self) -> &Metrics {
        &self.0.places.metrics
    }

    /// Queues a span, or drops it. Never waits.
    pub(super) fn push(&self, span: SpanData) {
        if self.0.places.take() {
            self.0.processor.on_end(span);
        }
    }
}

impl SpanProcessor for Queue {
    fn on_start(&self, _span: &mut Span, _context: &Context) {}

    fn on_end(&self, span: SpanData) {
        self.push(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.processor.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.processor.shutdown_with_timeout(timeout)
    }
}
