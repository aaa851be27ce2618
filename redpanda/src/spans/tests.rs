//! Which spans the steps of a request make, and how each names the one before it; that nothing is
//! made without a collector, and that nobody waits for one.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use opentelemetry::trace::{SpanContext, SpanId, SpanKind};
use opentelemetry_sdk::{
    error::{OTelSdkError, OTelSdkResult},
    trace::{BatchConfigBuilder, BatchSpanProcessor, SpanData, SpanExporter, SpanProcessor as _},
};
use prometheus::Registry;
use schemas::headers::{CORRELATION_ID, ID, TRACE_PARENT, TYPE};

use super::{
    Decision, Request, SPANS, Sending, SpanSettings, Spans, applied, committed, context, is_on,
    metrics::Metrics,
    passed_on,
    queue::{Counted, Places, Queue},
    register, start,
};
use crate::{
    log::{Headers, Record},
    tls::Tls,
};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const COMMAND: [u8; 16] = [7; 16];

/// Keeps what is exported.
#[derive(Clone, Debug, Default)]
struct Kept(Arc<Mutex<Vec<SpanData>>>);

impl Kept {
    fn spans(&self) -> Vec<SpanData> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl SpanExporter for Kept {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(batch);
        Ok(())
    }
}

fn metrics() -> Metrics {
    Metrics::new().expect("a metric")
}

fn record(topic: &str, trace_parent: &str, at: SystemTime) -> Record {
    let mut headers = Headers::default();
    headers.push(ID, "the id");
    headers.push(CORRELATION_ID, "the command");
    headers.push(TYPE, "millrace.order.PlaceOrder");
    headers.push(TRACE_PARENT, trace_parent);
    let at_ms = at.duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_millis();
    Record {
        topic: topic.into(),
        partition: 3,
        offset: 17,
        timestamp_ms: i64::try_from(at_ms).expect("now"),
        key: Some("key".into()),
        value: None,
        headers,
    }
}

fn attribute(span: &SpanData, name: &str) -> String {
    let found = span.attributes.iter().find(|it| it.key.as_str() == name);
    found.map(|it| it.value.to_string()).unwrap_or_default()
}

fn request(trace_parent: Option<&str>) -> Option<Request> {
    Request::begin("POST", "/v1/orders", Some("/v1/orders"), trace_parent)
}

fn decision(record: &Record) -> Option<Decision> {
    Decision::begin(record, || COMMAND, "order")
}

/// A client's context, in a trace that it samples or not.
fn client(flags: &str) -> String {
    format!("00-{TRACE}-b7ad6b7169203331-{flags}")
}

fn text(bytes: &Bytes) -> &str {
    std::str::from_utf8(bytes).expect("text")
}

/// What a process does that has no collector. It is called before this process has one.
fn nothing_is_made_without_a_collector() {
    start(&SpanSettings::default(), &Tls::default(), "test").expect("settings");
    let registry = Registry::new();
    register(&registry).expect("registered");

    assert!(!is_on());
    assert_eq!(registry.gather().len(), 0, "no metric");
    assert!(request(Some(&client("01"))).is_none());
    assert!(Sending::begin(&client("01"), "order.commands", "c", "PlaceOrder").is_none());
    assert!(decision(&record("order.commands", &client("01"), SystemTime::now())).is_none());
    let passed = passed_on(client("01").into(), COMMAND);
    assert_eq!(text(&passed), client("01"), "a context is passed on as it is");
}

// One test, because the exporter of a process is global.
#[test]
fn each_step_of_a_request_is_a_span_below_the_one_before_it_if_there_is_a_collector() {
    nothing_is_made_without_a_collector();

    // Given a process that exports spans, when a request goes through all of its steps
    let kept = Kept::default();
    assert!(SPANS.set(Spans::new("test", kept.clone(), metrics())).is_ok());
    let posted = request(Some(&client("01"))).expect("a span");
    let sending = Sending::begin(&posted.trace_parent(), "order.commands", "c", "PlaceOrder");
    let sending = sending.expect("a span");
    let sent = sending.trace_parent();
    sending.end(true);
    posted.end(503);
    let now = SystemTime::now();
    let mut decided = decision(&record("order.commands", &sent, now)).expect("a span");
    decided.end();
    committed("order", now, vec![decided]);
    let caused = passed_on(Bytes::from(sent.clone()), COMMAND);
    let event = record("order.events", text(&caused), now);
    let old = record("order.events", text(&caused), now - Duration::from_secs(3600));
    applied("orders", now, &[event, old]);
    SPANS.get().expect("on").queue.force_flush().expect("exported");

    // Then each is below the one before it
    let spans = kept.spans();
    let find = |name: &str| spans.iter().find(|it| it.name == name).expect(name);
    let (request_span, send) = (find("POST /v1/orders"), find("send order.commands"));
    let (decide, apply) = (find("decide order.commands"), find("apply order.events"));
    for (span, parent, kind) in [
        (request_span, "b7ad6b7169203331".to_owned(), SpanKind::Server),
        (send, request_span.span_context.span_id().to_string(), SpanKind::Producer),
        (decide, send.span_context.span_id().to_string(), SpanKind::Consumer),
        (apply, decide.span_context.span_id().to_string(), SpanKind::Consumer),
    ] {
        assert_eq!(span.span_context.trace_id().to_string(), TRACE, "{}", span.name);
        assert_eq!(span.parent_span_id.to_string(), parent, "{}", span.name);
        assert_eq!(span.span_kind, kind, "{}", span.name);
    }
    // And the transaction is a trace of its own, linked both ways
    let commit = find("commit order");
    assert_eq!((commit.parent_span_id, spans.len()), (SpanId::INVALID, 5));
    assert_eq!(commit.links.links[0].span_context, decide.span_context);
    assert_eq!(decide.links.links[0].span_context, commit.span_context);
    // And they say what happened, by the semantic conventions
    assert_eq!(attribute(request_span, "http.response.status_code"), "503");
    assert_eq!(attribute(request_span, "error.type"), "503");
    assert_eq!(attribute(decide, "messaging.operation.type"), "process");
    assert_eq!(attribute(decide, "messaging.destination.name"), "order.commands");
    assert_eq!(attribute(decide, "messaging.kafka.offset"), "17");
    assert_eq!(attribute(apply, "messaging.consumer.group.name"), "orders");
    assert_eq!(attribute(commit, "messaging.batch.message_count"), "1");

    // And a second decision on the record gives the same context, another sending another one
    assert_eq!(passed_on(Bytes::from(sent), COMMAND), caused);
    assert_ne!(passed_on(Bytes::from(client("01")), COMMAND), caused);

    // And a trace that its client does not sample has no spans, and all steps know it
    let unsampled = request(Some(&client("00"))).expect("not recorded").trace_parent();
    assert!(unsampled.starts_with(&format!("00-{TRACE}-")) && unsampled.ends_with("-00"));
    assert!(Sending::begin(&unsampled, "t", "c", "T").is_none());
    assert!(decision(&record("t", &unsampled, now)).is_none());
    assert_eq!(text(&passed_on(Bytes::from(unsampled.clone()), COMMAND)), unsampled);
    // And a request without a context begins a trace
    let own = request(None).expect("a span").trace_parent();
    assert!(own.ends_with("-01") && !own.contains(TRACE), "{own}");

    // And no span keeps a long path, also if a character is at the limit
    Request::begin("GET", &format!("/{}", "ä".repeat(300)), None, None).expect("a span").end(404);
    SPANS.get().expect("on").queue.force_flush().expect("exported");
    let last = kept.spans().pop().expect("a span");
    assert_eq!(attribute(&last, "url.path"), format!("/{}", "ä".repeat(127)));
}

/// A collector that does not answer while its lock is held, and then refuses.
#[derive(Debug)]
struct Away(Arc<Mutex<()>>);

impl SpanExporter for Away {
    async fn export(&self, _batch: Vec<SpanData>) -> OTelSdkResult {
        drop(self.0.lock());
        Err(OTelSdkError::InternalFailure("no collector".to_owned()))
    }
}

#[test]
fn spans_without_a_place_in_the_queue_are_dropped_and_counted() {
    // Given a collector that does not answer, and a queue for four spans
    let answers = Arc::new(Mutex::new(()));
    let silence = answers.lock().expect("a lock");
    let metrics = metrics();
    let places = Arc::new(Places::new(4, metrics.clone()));
    let exporter = Counted::new(Away(answers.clone()), places.clone());
    let batches =
        BatchConfigBuilder::default().with_max_queue_size(4).with_max_export_batch_size(2).build();
    let processor = BatchSpanProcessor::builder(exporter).with_batch_config(batches).build();
    let queue = Queue::new(places, processor);
    let spans = Spans::new("test", Kept::default(), self::metrics());
    let now = SystemTime::now();
    let span = || {
        let own = context::own(context::random_trace(), context::random_span());
        let none = SpanContext::NONE;
        spans.data(own, &none, SpanKind::Internal, "a span", (now, now), Vec::new())
    };

    // When ten spans end, then nobody waits, and six are dropped
    (0..10).for_each(|_| queue.push(span()));
    assert_eq!((metrics.dropped.get(), metrics.failed.get()), (6, 0));

    // When the export has failed, then there is room again, and the failures are counted
    drop(silence);
    drop(queue.force_flush());
    assert_eq!((metrics.failed.get(), metrics.exported.get()), (4, 0));
    queue.push(span());
    assert_eq!(metrics.dropped.get(), 6);
}

#[test]
fn wrong_collector_is_refused_without_printing_it() {
    let exporter = |base: Option<&str>, traces: Option<&str>| {
        let [otlp_endpoint, otlp_traces_endpoint] =
            [base, traces].map(|url| url.map(|url| url.to_owned().into()));
        SpanSettings { otlp_endpoint, otlp_traces_endpoint }.exporter(&Tls::default())
    };
    assert!(exporter(None, None).expect("settings").is_none());
    assert!(exporter(Some(" "), None).expect("settings").is_none(), "an empty variable is unset");
    assert!(exporter(Some("http://127.0.0.1:4318/"), None).expect("settings").is_some());
    for (base, traces, variable) in [
        (Some("s3cr3t.example:4317"), None, "OTEL_EXPORTER_OTLP_ENDPOINT"),
        (None, Some("http://s3cr3t .example/v1/traces"), "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"),
    ] {
        let error = exporter(base, traces).expect_err("no URL").to_string();
        assert!(error.starts_with(variable) && error.contains("expected a URL"), "{error}");
        assert!(!error.contains("s3cr3t"), "{error}");
    }
}
