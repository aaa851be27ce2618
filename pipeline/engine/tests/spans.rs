//! The OpenTelemetry spans of decisions: a decision has one once its transaction is committed, and
//! an attempt that was aborted or lost leaves none. The only test of its process, because the
//! exporter of a process is global.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod bank;

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use bank::{Command, Deposit, driver, step_until};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest, trace::v1::Span,
};
use prost::Message as _;
use redpanda::{
    log::Headers,
    memory::Fault,
    spans::{self, SpanSettings},
    tls::Tls,
};
use schemas::headers;
use uuid::Uuid;

/// A collector of spans that takes everything.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<Span>>>);

impl Collector {
    /// Serves OTLP over HTTP. Returns the address.
    fn serve(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let collector = self.clone();
        thread::spawn(move || {
            for connection in listener.incoming() {
                let collector = collector.clone();
                thread::spawn(move || collector.answer(connection.unwrap()));
            }
        });
        address
    }

    /// Answers the requests of one connection until its client closes it.
    fn answer(&self, mut connection: TcpStream) {
        let mut reader = BufReader::new(connection.try_clone().unwrap());
        loop {
            let mut length = 0;
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line).unwrap() == 0 {
                    return;
                }
                let line = line.trim().to_ascii_lowercase();
                if let Some(value) = line.strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                if line.is_empty() {
                    break;
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let request = ExportTraceServiceRequest::decode(body.as_slice()).unwrap();
            let scopes = request.resource_spans.into_iter().flat_map(|it| it.scope_spans);
            let spans = scopes.flat_map(|scope| scope.spans);
            self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(spans);
            connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
        }
    }

    fn spans(&self) -> Vec<Span> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Deposits once, in the trace `trace`, while the session meets `fault`.
fn deposit(trace: u128, fault: Option<Fault>) {
    let mut driver = driver();
    driver.settings().rebuild_wait = Duration::ZERO;
    driver.kill(0);
    driver.start(0);
    driver.settle();
    if let Some(fault) = fault {
        driver.log.fail_next(&driver.transactional_id(0), fault);
    }
    let id = Uuid::from_u128(trace);
    let command = Command::from(Deposit { amount: 5 });
    let mut written = Headers::default();
    written.push(headers::ID, id.to_string());
    written.push(headers::TYPE, "bank.Deposit");
    written.push(headers::TRACE_PARENT, format!("00-{trace:032x}-b7ad6b7169203331-01"));
    driver.log.append("account.commands", "ann", Some(driver.encode(&command)), written);

    let own = driver.transactional_id(0);
    step_until(&mut driver, "the fault", |driver| driver.log.pending_fault(&own).is_none());
    driver.log.expire_transactions();
    step_until(&mut driver, "the outcome", |driver| !driver.outcomes(id).is_empty());
    driver.settle();
    assert_eq!(driver.outcomes(id).len(), 1, "{fault:?}");
}

#[test]
fn decision_has_a_span_once_its_transaction_is_committed_and_an_aborted_attempt_has_none() {
    // Given a process that exports spans
    let collector = Collector::default();
    let settings =
        SpanSettings { otlp_endpoint: Some(collector.serve().into()), ..SpanSettings::default() };
    spans::start(&settings, &Tls::default(), "bank").unwrap();

    // When a command is decided with and without faults
    let cases = [
        (None, 1),
        (Some(Fault::Abort), 1),
        (Some(Fault::AfterSend(1)), 1),
        (Some(Fault::AfterOffsets), 1),
        (Some(Fault::BeforeCommit), 1),
        // The transaction is committed, but the process never learns it.
        (Some(Fault::CommitUnseen), 0),
    ];
    for (trace, (fault, _)) in (1..).zip(cases) {
        deposit(trace, fault);
    }
    spans::shutdown();

    // Then each decision that is known to be committed has one span, linked with its transaction
    let spans = collector.spans();
    let commits: Vec<_> = spans.iter().filter(|span| span.name == "commit bank").collect();
    for (trace, (fault, expected)) in (1_u128..).zip(cases) {
        let trace = trace.to_be_bytes();
        let decided = spans.iter().filter(|span| span.trace_id == trace);
        let decided: Vec<_> = decided.map(|span| span.name.as_str()).collect();
        assert_eq!(decided, vec!["decide account.commands"; expected], "{fault:?}");
        let links = commits.iter().flat_map(|span| &span.links);
        let linked = links.filter(|link| link.trace_id == trace).count();
        assert_eq!(linked, expected, "{fault:?}");
    }
    let expected: usize = cases.iter().map(|(_, expected)| expected).sum();
    assert_eq!((commits.len(), spans.len()), (expected, 2 * expected));
}
