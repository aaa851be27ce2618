//! The spans of records: the decision on one, the transaction that commits decisions, and the read
//! model that applies one. Names and attributes are those of OpenTelemetry's semantic conventions
//! for messaging and for Kafka.

use std::{
    borrow::Cow,
    iter,
    time::{Duration, SystemTime},
};

use opentelemetry::{
    KeyValue,
    trace::{Link, SpanContext, SpanId, SpanKind, Status},
};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use schemas::headers;

use super::{SPANS, Spans, context};
use crate::log::Record;

/// The most links of a span, as the SDK has it.
const LINKS_MAX: usize = 128;
/// Longer texts of headers, which only records of other programs have, are left out.
const TEXT_BYTES_MAX: usize = 256;
/// Older records are applied because a read model is rebuilt. Their traces are complete.
const RECENT_MAX: Duration = Duration::from_secs(600);

/// The span of the decision on a record.
#[derive(Debug)]
pub struct Decision(SpanData);

impl Decision {
    /// Begins the decision of `processor` on a record with this id. `None` if no spans are
    /// exported, or the record belongs to no sampled trace.
    pub fn begin(
        record: &Record,
        record_id: impl FnOnce() -> [u8; 16],
        processor: &str,
    ) -> Option<Self> {
        let spans = SPANS.get()?;
        let parent = context::sampled(record.headers.text(headers::TRACE_PARENT)?)?;
        let own = context::decision(&parent, record_id());
        let attributes = attributes_of("decide", record, processor);
        let name = format!("decide {}", record.topic);
        let now = SystemTime::now();
        Some(Self(spans.data(own, &parent, SpanKind::Consumer, name, (now, now), attributes)))
    }

    /// Ends the decision. It is exported when its transaction is committed.
    pub fn end(&mut self) {
        self.0.end_time = SystemTime::now();
    }

    /// Drops the span, and counts it as dropped.
    pub fn discard(self) {
        if let Some(spans) = SPANS.get() {
            spans.queue.metrics().dropped.inc();
        }
    }
}

/// Exports the decisions of a transaction of `processor` that was submitted at `submitted_at` and
/// is committed now, and the transaction. Each links to the other.
pub fn committed(processor: &str, submitted_at: SystemTime, decisions: Vec<Decision>) {
    let Some(spans) = SPANS.get().filter(|_| !decisions.is_empty()) else { return };
    let commit = context::own(context::random_trace(), context::random_span());
    let count = i64::try_from(decisions.len()).unwrap_or(i64::MAX);
    let attributes = vec![
        KeyValue::new("messaging.system", "kafka"),
        KeyValue::new("messaging.operation.name", "commit"),
        KeyValue::new("messaging.operation.type", "settle"),
        KeyValue::new("messaging.consumer.group.name", processor.to_owned()),
        KeyValue::new("messaging.batch.message_count", count),
    ];
    let (name, times) = (format!("commit {processor}"), (submitted_at, SystemTime::now()));
    let none = SpanContext::NONE;
    let mut transaction =
        spans.data(commit.clone(), &none, SpanKind::Client, name, times, attributes);
    let linked = decisions.iter().map(|decision| decision.0.span_context.clone());
    transaction.links = links(linked);
    spans.queue.push(transaction);
    for Decision(mut decision) in decisions {
        decision.links = links(iter::once(commit.clone()));
        spans.queue.push(decision);
    }
}

/// Exports that the read model `projection` has applied records, from `begun` until now. Records
/// of no sampled trace, and old ones, are left out.
pub fn applied(projection: &str, begun: SystemTime, records: &[Record]) {
    let Some(spans) = SPANS.get() else { return };
    let now = SystemTime::now();
    let since_1970 = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let recent_ms = since_1970.saturating_sub(RECENT_MAX).as_millis();
    for record in records {
        let is_recent = u128::try_from(record.timestamp_ms).is_ok_and(|at_ms| at_ms >= recent_ms);
        let header = record.headers.text(headers::TRACE_PARENT).filter(|_| is_recent);
        let Some(parent) = header.and_then(context::sampled) else { continue };
        let own = context::own(parent.trace_id(), context::random_span());
        let attributes = attributes_of("apply", record, projection);
        let (name, times) = (format!("apply {}", record.topic), (begun, now));
        spans.queue.push(spans.data(own, &parent, SpanKind::Consumer, name, times, attributes));
    }
}

/// What the span of an operation on a record says of it. No key: one may be the fingerprint of an
/// e-mail address.
fn attributes_of(operation: &'static str, record: &Record, group: &str) -> Vec<KeyValue> {
    let mut attributes = vec![
        KeyValue::new("messaging.system", "kafka"),
        KeyValue::new("messaging.operation.name", operation),
        KeyValue::new("messaging.operation.type", "process"),
        KeyValue::new("messaging.destination.name", record.topic.to_string()),
        KeyValue::new("messaging.destination.partition.id", record.partition.to_string()),
        KeyValue::new("messaging.consumer.group.name", group.to_owned()),
    ];
    // A follow-up that is decided in the transaction that writes it has no offset yet.
    if record.offset >= 0 {
        attributes.push(KeyValue::new("messaging.kafka.offset", record.offset));
    }
    let known = [
        (headers::ID, "messaging.message.id"),
        (headers::CORRELATION_ID, "messaging.message.conversation_id"),
        (headers::TYPE, "cloudevents.event_type"),
    ];
    for (header, attribute) in known {
        let text = record.headers.text(header).filter(|text| text.len() <= TEXT_BYTES_MAX);
        if let Some(text) = text {
            attributes.push(KeyValue::new(attribute, text.to_owned()));
        }
    }
    attributes
}

fn links(to: impl ExactSizeIterator<Item = SpanContext>) -> SpanLinks {
    let mut links = SpanLinks::default();
    links.dropped_count = u32::try_from(to.len().saturating_sub(LINKS_MAX)).unwrap_or(u32::MAX);
    links.links = to.take(LINKS_MAX).map(Link::with_context).collect();
    links
}

impl Spans {
    /// A span as a whole, below `parent`.
    pub(super) fn data(
        &self,
        own: SpanContext,
        parent: &SpanContext,
        span_kind: SpanKind,
        name: impl Into<Cow<'static, str>>,
        (start_time, end_time): (SystemTime, SystemTime),
        attributes: Vec<KeyValue>,
    ) -> SpanData {
        SpanData {
            span_context: own,
            parent_span_id: parent.span_id(),
            parent_span_is_remote: parent.span_id() != SpanId::INVALID,
            span_kind,
            name: name.into(),
            start_time,
            end_time,
            attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: self.scope.clone(),
        }
    }
}
