//! The W3C trace context: a span as the header `traceparent` names it.

use bytes::Bytes;
use opentelemetry::{
    Context,
    propagation::{Extractor, TextMapPropagator as _},
    trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState},
};
use opentelemetry_sdk::{
    propagation::TraceContextPropagator,
    trace::{IdGenerator as _, RandomIdGenerator},
};
use schemas::headers::TRACE_PARENT;

/// The one header of a context.
struct Header<'a>(&'a str);

impl Extractor for Header<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        (key == TRACE_PARENT).then_some(self.0)
    }

    fn keys(&self) -> Vec<&str> {
        vec![TRACE_PARENT]
    }
}

/// The span that a header names; `None` if it names none.
pub(super) fn parsed(header: &str) -> Option<SpanContext> {
    let found =
        TraceContextPropagator::new().extract_with_context(&Context::new(), &Header(header));
    let context = found.span().span_context().clone();
    context.is_valid().then_some(context)
}

/// The span that a header names, if its trace is sampled.
pub(super) fn sampled(header: &str) -> Option<SpanContext> {
    parsed(header).filter(SpanContext::is_sampled)
}

/// The header of a span.
pub(super) fn header(context: &SpanContext) -> String {
    let (trace, span) = (context.trace_id(), context.span_id());
    format!("00-{trace}-{span}-{:02x}", context.trace_flags().to_u8())
}

/// A sampled span of this process.
pub(super) fn own(trace: TraceId, span: SpanId) -> SpanContext {
    SpanContext::new(trace, span, TraceFlags::SAMPLED, false, TraceState::NONE)
}

/// A random id of a span.
pub(super) fn random_span() -> SpanId {
    RandomIdGenerator::default().new_span_id()
}

/// A random id of a trace.
pub(super) fn random_trace() -> TraceId {
    RandomIdGenerator::default().new_trace_id()
}

/// The span of the decision on a record with this id, below the span in the record's header. It
/// follows from the record, so that a second decision gives its records the same headers. A command
/// that is sent again has the same id in another span, and so has its decision.
pub(super) fn decision(parent: &SpanContext, record_id: [u8; 16]) -> SpanContext {
    let half: [u8; 8] = record_id.last_chunk().copied().unwrap_or_default();
    let mixed = u64::from_be_bytes(half) ^ u64::from_be_bytes(parent.span_id().to_bytes());
    // Zero is no id of a span.
    own(parent.trace_id(), SpanId::from(mixed.max(1)))
}

/// The trace context of the records that the decision on a record causes: the decision's span. If
/// this process exports no spans, or the trace is not sampled, it is that of the record itself.
pub fn passed_on(trace_parent: Bytes, record_id: [u8; 16]) -> Bytes {
    if !super::is_on() {
        return trace_parent;
    }
    let parent = std::str::from_utf8(&trace_parent).ok().and_then(sampled);
    parent.map_or(trace_parent, |parent| header(&decision(&parent, record_id)).into())
}
