//! OpenTelemetry spans, as the OpenTelemetry Collector gets them: one trace from the HTTP request
//! of an order to its read models and its mail; and that nobody waits for a collector that is away.
//! `integration/test` builds the Collector (`integration/collector`). Millrace's processes are
//! started again with its address, and once more without it at the end.

mod collector;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::time::Instant;

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use integration::stack::{PROGRAMS, Program, internal_variable};
use tokio::process::Child;

use self::collector::{Collector, Span};
use crate::log::read;
use crate::support::{
    Judge, RECOVERY_MAX, SEEN_MAX, Send, System, User, eventually, must, system, variable,
};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CLIENT_SPAN: &str = "00f067aa0ba902b7";
/// The metric of spans.
const METRIC: &str = "millrace_spans_total";

/// The processes of Millrace that run without being asked for.
fn processes() -> impl Iterator<Item = String> {
    PROGRAMS.iter().flat_map(Program::started)
}

/// Starts all processes again, with these variables.
async fn start_again(system: &System, variables: &[(&str, &str)]) {
    let started = processes().map(|name| async move {
        system.control.stop(&name).await.expect("stopped");
        system.control.start_with(&name, variables).await.expect("started");
        system.control.wait(&name, RECOVERY_MAX).await.expect("ready");
    });
    join_all(started).await;
}

/// The number of spans of all processes with this result; `None` if no process counts spans.
async fn counted(result: &str) -> Option<u64> {
    let mut sum = None;
    for name in processes() {
        let url = format!("{}/metrics", variable(&internal_variable(&name)));
        let answer = integration::get(url).await.expect("an answer").text().await.expect("text");
        let series = format!("{METRIC}{{result=\"{result}\"}} ");
        let mut found = answer.lines().filter_map(|line| line.strip_prefix(series.as_str()));
        if let Some(count) = found.next() {
            sum = Some(sum.unwrap_or(0) + count.parse::<u64>().expect("a number"));
        }
    }
    sum
}

/// The trace contexts of the order's records in a topic.
async fn contexts(topic: &str, order: &str) -> Vec<String> {
    let records = read(topic).await.into_iter().filter(|record| record.key() == order);
    records.map(|record| record.header("traceparent").to_owned()).collect()
}

/// Orders with a trace context, and returns the order's id.
async fn order_with(user: &User, sku: &str, context: &str) -> String {
    let placed = user.client.place_order(&[(sku, 1)]).header("traceparent", context).wait(10);
    let placed = placed.answer().await;
    placed.expect(201);
    placed.location_id().expect("the order's address").to_owned()
}

#[tokio::test]
#[ignore = "needs the stack and the OpenTelemetry Collector: integration/test builds it"]
async fn order_is_one_trace_from_its_request_to_its_read_models_and_mail() {
    let system = system().await;
    let collector = Collector::new();
    let judged = AssertUnwindSafe(judge(&system, &collector)).catch_unwind().await;
    // The next test gets processes without a collector, whatever came out.
    start_again(&system, &[]).await;
    drop(judged.unwrap_or_else(|panic| resume_unwind(panic)));
    assert_eq!(None, counted("exported").await, "no collector, no spans");
}

/// Returns the Collector, because processes that end export their last spans.
async fn judge(system: &System, collector: &Collector) -> Child {
    // Given processes without a collector, when Ada orders, then no record gets a trace context,
    // but her own is passed on
    let admin = system.admin().await;
    let sku = system.product(&admin, 100, 1_000).await;
    let ada = system.user("Ada").await;
    let own = format!("00-{}-{CLIENT_SPAN}-01", TRACE.replace('4', "6"));
    for (context, passed_on) in [("none", ""), (own.as_str(), own.as_str())] {
        let order = order_with(&ada, &sku, context).await;
        for topic in ["order.commands", "order.events"] {
            let found = contexts(topic, &order).await;
            assert!(!found.is_empty() && found.iter().all(|it| it == passed_on), "{found:?}");
        }
    }

    // When they get a collector, and it is away, then she orders all the same, and the spans that
    // it did not take are counted
    let endpoint = format!("http://{}", collector.address);
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "1000"),
        ("OTEL_BSP_SCHEDULE_DELAY", "200"),
    ];
    start_again(system, &variables).await;
    ada.order(&[(&sku, 1)]).await;
    eventually("spans have failed", SEEN_MAX, async || {
        let failed = counted("failed").await;
        must(failed > Some(0), failed)
    })
    .await;

    // When it is there, and she orders with her context, then one trace goes from her request to
    // the read models and the mail, and so on
    let running = collector.start().await;
    let begun = Instant::now();
    order_with(&ada, &sku, &format!("00-{TRACE}-{CLIENT_SPAN}-01")).await;
    let trace = eventually("every step is in the trace", RECOVERY_MAX, async || {
        let trace = collector.trace(TRACE);
        every_step_is_there(&trace)?;
        every_span_is_below_the_request(&trace).map(|()| trace)
    })
    .await;
    let complete_after = begun.elapsed();
    eventually("they are counted", SEEN_MAX, async || {
        let exported = counted("exported").await;
        must(exported >= Some(trace.len() as u64), exported)
    })
    .await;

    // And a decision and its transaction, which is a trace of its own, link to each other
    let decided = trace.iter().find(|span| span.field("name") == "decide order.commands");
    let decided = decided.expect("the decision");
    assert_eq!("process", decided.attribute("messaging.operation.type"));
    let commit = eventually("the transaction is there", SEEN_MAX, async || {
        let linked = decided.links();
        let found = collector.spans().into_iter().find(|span| linked.contains(&span.id()));
        found.ok_or_else(|| format!("{linked:?}"))
    })
    .await;
    assert_eq!(("commit order", ""), (commit.field("name"), commit.parent()));
    assert_eq!("settle", commit.attribute("messaging.operation.type"));
    assert!(commit.links().contains(&decided.id()), "{commit:?}");

    // And a trace that its client does not sample has no span, nor is anything personal in one
    let other = TRACE.replace('4', "5");
    order_with(&ada, &sku, &format!("00-{other}-{CLIENT_SPAN}-00")).await;
    let bob = system.user("Bob").await;
    let exported = counted("exported").await;
    bob.order(&[(&sku, 1)]).await;
    eventually("later spans are there", SEEN_MAX, async || {
        let now = counted("exported").await;
        must(now > exported.map(|before| before + 10), (now, exported))
    })
    .await;
    let spans = collector.trace(TRACE).len();
    println!("an order had {spans} spans; every step was there after {complete_after:?}");
    assert_eq!(0, collector.trace(&other).len(), "not sampled");
    let text = collector.written();
    assert!(!text.contains('@') && !text.contains("Bob"), "an address or a name");
    running
}

fn every_step_is_there(trace: &[Span]) -> Result<(), String> {
    let expected = [
        ("millrace-gateway", "POST /v1/orders", ""),
        ("millrace-gateway", "send order.commands", ""),
        ("millrace-order", "decide order.commands", "order"),
        ("millrace-order", "decide stock.followups", "order"),
        ("millrace-order", "decide order.followups", "order"),
        ("millrace-order", "apply order.events", "orders"),
        ("millrace-order", "apply order.events", "live-order"),
        ("millrace-order", "apply stock.events", "products"),
        ("millrace-order", "apply order.outcomes", "order-outcomes"),
        ("millrace-notification", "apply order.events", "statistics"),
        ("millrace-notification", "decide order.events", "notification"),
        ("millrace-notification", "decide notification.followups", "notification"),
        ("millrace-notification", "apply notification.events", "notifications"),
        // The mail, and the worker's report on it.
        ("millrace-notification", "apply notification.events", "mail"),
        ("millrace-notification", "decide notification.commands", "notification"),
    ];
    let found: BTreeSet<_> =
        trace.iter().map(|it| (it.service.as_str(), it.field("name"), group(it))).collect();
    let is_there = |(service, name, group): &(&str, &str, &str)| {
        found.contains(&(*service, *name, (*group).to_owned()))
    };
    let missing: Vec<_> = expected.iter().filter(|it| !is_there(it)).collect();
    must(missing.is_empty(), (&missing, &found))
}

fn group(span: &Span) -> String {
    span.attribute("messaging.consumer.group.name")
}

/// Every span has a cause in the trace, up to the request, and that is below the client's span.
fn every_span_is_below_the_request(trace: &[Span]) -> Result<(), String> {
    let by_id: BTreeMap<_, _> = trace.iter().map(|span| (span.id(), span)).collect();
    assert_eq!(trace.len(), by_id.len(), "no span has the id of another one");
    for span in trace {
        let mut above = vec![span.field("name")];
        let mut at = span;
        while let Some(&parent) = by_id.get(at.parent()) {
            at = parent;
            above.push(at.field("name"));
        }
        let is_below = at.field("name") == "POST /v1/orders" && at.parent() == CLIENT_SPAN;
        must(is_below, &above)?;
        if group(span) == "mail" {
            let first = ["decide order.commands", "send order.commands", "POST /v1/orders"];
            assert!(above.ends_with(&first), "{above:?}");
        }
        let time = |name: &str| span.field(name).parse::<u64>().expect("nanoseconds");
        assert!(time("endTimeUnixNano") >= time("startTimeUnixNano"), "{span:?}");
        if span.field("name") == "POST /v1/orders" {
            assert_eq!("201", span.attribute("http.response.status_code"));
        }
    }
    Ok(())
}
