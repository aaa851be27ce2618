//! The spans of the gateway: an HTTP request, and the write of a command to the log. Names and
//! attributes are those of OpenTelemetry's semantic conventions for HTTP and for messaging.

use opentelemetry::{
    Context, KeyValue,
    trace::{
        Span as _, SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt as _, Tracer as _,
    },
};
use opentelemetry_sdk::trace::Span;

use super::{SPANS, context};

/// The most bytes of a path. It may be anything, if no route has it.
const PATH_BYTES_MAX: usize = 256;
/// The methods that semantic conventions know; others may be anything.
const METHODS: [&str; 9] =
    ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

/// The span of an HTTP request. It ends when it is dropped.
#[derive(Debug)]
pub struct Request(Span);

impl Request {
    /// Begins the span of a request, in the trace of the client if it has sent one. `route` is the
    /// template of the path, if that is known. `None` if no spans are exported.
    pub fn begin(
        method: &str,
        path: &str,
        route: Option<&'static str>,
        trace_parent: Option<&str>,
    ) -> Option<Self> {
        let spans = SPANS.get()?;
        let known = METHODS.into_iter().find(|known| *known == method);
        let path = &path[..path.floor_char_boundary(PATH_BYTES_MAX)];
        let mut attributes = vec![
            KeyValue::new("http.request.method", known.unwrap_or("_OTHER")),
            KeyValue::new("url.path", path.to_owned()),
            KeyValue::new("url.scheme", "http"),
        ];
        if let Some(route) = route {
            attributes.push(KeyValue::new("http.route", route));
        }
        let method = known.unwrap_or("HTTP");
        let name = route.map_or_else(|| method.to_owned(), |route| format!("{method} {route}"));
        let builder =
            SpanBuilder::from_name(name).with_kind(SpanKind::Server).with_attributes(attributes);
        let parent = within(trace_parent.and_then(context::parsed));
        Some(Self(spans.tracer.build_with_context(builder, &parent)))
    }

    /// The trace context that commands of the request pass on. It says whether the trace is
    /// sampled.
    pub fn trace_parent(&self) -> String {
        context::header(self.0.span_context())
    }

    /// Ends the span, with the status of the response.
    pub fn end(mut self, status: u16) {
        self.0.set_attribute(KeyValue::new("http.response.status_code", i64::from(status)));
        if status >= 500 {
            self.0.set_attribute(KeyValue::new("error.type", status.to_string()));
            self.0.set_status(Status::error(""));
        }
        self.0.end();
    }
}

/// The span of the write of a record. It ends when it is dropped.
#[derive(Debug)]
pub struct Sending(Span);

impl Sending {
    /// Begins the write of a record with this id to `topic`, as a part of the span that
    /// `trace_parent` names. `None` if no spans are exported, or the trace is not sampled.
    pub fn begin(
        trace_parent: &str,
        topic: &str,
        record_id: &str,
        record_type: &'static str,
    ) -> Option<Self> {
        let spans = SPANS.get()?;
        let parent = context::sampled(trace_parent)?;
        let attributes = vec![
            KeyValue::new("messaging.system", "kafka"),
            KeyValue::new("messaging.operation.name", "send"),
            KeyValue::new("messaging.operation.type", "send"),
            KeyValue::new("messaging.destination.name", topic.to_owned()),
            KeyValue::new("messaging.message.id", record_id.to_owned()),
            KeyValue::new("messaging.message.conversation_id", record_id.to_owned()),
            KeyValue::new("cloudevents.event_type", record_type),
        ];
        let builder = SpanBuilder::from_name(format!("send {topic}"))
            .with_kind(SpanKind::Producer)
            .with_attributes(attributes);
        Some(Self(spans.tracer.build_with_context(builder, &within(Some(parent)))))
    }

    /// The trace context of the record.
    pub fn trace_parent(&self) -> String {
        context::header(self.0.span_context())
    }

    /// Ends the span. `is_written` says whether the log has confirmed the record.
    pub fn end(mut self, is_written: bool) {
        if !is_written {
            self.0.set_attribute(KeyValue::new("error.type", "not_confirmed"));
            self.0.set_status(Status::error("the log did not confirm the record"));
        }
        self.0.end();
    }
}

/// What the next span is a part of: a span of another process or step, or nothing.
fn within(parent: Option<SpanContext>) -> Context {
    let root = Context::new();
    match parent {
        Some(parent) => root.with_remote_span_context(parent),
        None => root,
    }
}
