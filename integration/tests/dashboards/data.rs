//! Every query of the dashboards and the rules on the running Prometheus: after orders and a dead
//! letter each gives data, but for those in [`EMPTY`]. The links of dashboards and alerts lead to
//! pages of the gateway. The tests need the stack, and ask no Grafana.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use integration::client::Client;
use integration::demo;
use integration::stack::{PROGRAMS, Program};
use redpanda::log::Headers;
use redpanda::writer::CommandWriter;
use reqwest::Url;
use serde_json::Value;

use crate::metrics::metrics;
use crate::sources;

/// How long the requests go on until every query has data. A rate needs two scrapes, which are 5 s
/// apart, of a series that has begun.
const DATA_MAX: Duration = Duration::from_secs(120);

/// The pause between two rounds of requests: more than one scrape.
const ROUND: Duration = Duration::from_secs(6);

/// The longest that a write to the broker may take.
const WRITTEN_MAX: Duration = Duration::from_secs(10);

/// Parts of the queries that may give no data, with the reason.
const EMPTY: [(&str, &str); 9] = [
    ("redpanda_", "no Redpanda runs here"),
    (r#"job=~"redpanda.*""#, "no Redpanda runs here"),
    ("vectorized_", "no Redpanda runs here"),
    (r#"status=~"5..""#, "no request need end in a server error"),
    (r#"result!="written""#, "no write of a command need fail"),
    ("process_start_time_seconds", "no process need start again"),
    ("_deprecated_records_total", "no schema in use is deprecated"),
    ("millrace_projection_errors_total", "its panel shows failures only"),
    ("millrace_spans_total", "no collector is configured"),
];

fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run this under `stack run`"))
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs()
}

/// A client of Prometheus.
struct Prometheus {
    http: reqwest::Client,
    url: String,
}

impl Prometheus {
    fn new() -> Self {
        let http = integration::http().build().expect("a client");
        Self { http, url: setting("MILLRACE_PROMETHEUS_URL") }
    }

    async fn get(&self, path: &str, query: &[(&str, &str)]) -> Value {
        let mut url = Url::parse(&format!("{}/api/v1/{path}", self.url)).expect("an address");
        url.query_pairs_mut().extend_pairs(query);
        let answer: Value =
            self.http.get(url).send().await.expect("it answers").json().await.expect("JSON");
        assert_eq!(answer["status"], "success", "{query:?}: {answer}");
        answer["data"].clone()
    }

    /// Whether the query gives a number since `begun_s`, as a panel would show it.
    async fn has_data(&self, expr: &str, begun_s: u64) -> bool {
        let (begun, now) = (begun_s.to_string(), now_s().to_string());
        let range = [("query", expr), ("start", &begun), ("end", &now), ("step", "5")];
        let data = self.get("query_range", &range).await;
        let series = sources::list(&data["result"], "series");
        let mut values =
            series.iter().flat_map(|series| sources::list(&series["values"], "values"));
        values.any(|value| {
            value[1].as_str().and_then(|number| number.parse().ok()).is_some_and(f64::is_finite)
        })
    }
}

/// Requests of the kinds that are counted, and a record that becomes a dead letter: only those come
/// to the desk's projection.
async fn requests(target: &demo::Target) {
    demo::run(target).await.expect("the demo order");
    let client = Client::new(&target.url).expect("a client");
    let products = client.get("/v1/products").header("read-after", "stock/rye-flour-1kg@1");
    let read = products.send().await.expect("an answer");
    assert_eq!(200, read.status, "{}: {}", read.what, read.body);
    let writer = CommandWriter::new(setting("MILLRACE_BROKERS").as_str());
    let (nonsense, headers) = ("nonsense", Headers::default());
    let written =
        writer.write("order.commands", nonsense, nonsense.into(), &headers, WRITTEN_MAX).await;
    written.expect("written");
}

/// The queries that must give data, each with what it belongs to.
fn queries() -> BTreeMap<String, String> {
    let mut queries: BTreeMap<_, _> =
        sources::expressions().into_iter().map(|(title, expr)| (expr, title)).collect();
    for rule in sources::rules() {
        let expr = rule["expr"].as_str().expect("an expression");
        if let Some(record) = rule["record"].as_str() {
            queries.insert(expr.to_owned(), record.to_owned());
        }
        // An alert gives no data while it does not fire; what it looks at does.
        if let Some(alert) = rule["alert"].as_str() {
            queries.extend(metrics(expr).into_iter().map(|name| (name, alert.to_owned())));
        }
    }
    queries
}

#[tokio::test]
#[ignore = "needs the stack: integration/test"]
async fn every_query_gives_data_and_every_process_is_scraped() {
    let prometheus = Prometheus::new();
    let target = demo::Target {
        url: setting("MILLRACE_URL"),
        admin_email: setting("MILLRACE_ADMIN_EMAIL"),
        admin_password_file: setting("MILLRACE_ADMIN_PASSWORD_FILE").into(),
    };
    let all = queries();
    for (part, reason) in EMPTY {
        let is_used = all.keys().any(|query| query.contains(part));
        assert!(is_used, "no query has {part} ({reason})");
    }
    let may_be_empty = |query: &str| EMPTY.iter().any(|(part, _)| query.contains(part));

    let (begun, begun_s) = (Instant::now(), now_s());
    let mut missing = all;
    loop {
        requests(&target).await;
        tokio::time::sleep(ROUND).await;
        let mut still = BTreeMap::new();
        for (query, title) in missing {
            if !prometheus.has_data(&query, begun_s).await && !may_be_empty(&query) {
                still.insert(query, title);
            }
        }
        missing = still;
        if missing.is_empty() {
            break;
        }
        assert!(begun.elapsed() < DATA_MAX, "no data after {DATA_MAX:?}: {missing:#?}");
    }

    // Every instance is a target, and every instance that the stack starts is up.
    let jobs: Vec<_> = PROGRAMS.iter().map(|program| program.name).collect();
    let targets = format!(r#"up{{job=~"{}"}}"#, jobs.join("|"));
    for (query, expected) in [
        (format!("count({targets})"), PROGRAMS.iter().flat_map(Program::instances).count()),
        (format!("count({targets} == 1)"), PROGRAMS.iter().flat_map(Program::started).count()),
    ] {
        let answer = prometheus.get("query", &[("query", &query)]).await;
        let counted = &answer["result"][0]["value"][1];
        assert_eq!(*counted, expected.to_string().as_str(), "{query}: {answer}");
    }
}

#[tokio::test]
#[ignore = "needs the stack: integration/test"]
async fn every_link_of_a_dashboard_or_an_alert_leads_to_a_page() {
    let prometheus = Prometheus::new();
    // Debian's Prometheus, which runs here, has no pages: its links are not tried.
    let of_gateway = sources::links().into_iter().filter_map(|link| {
        let path = link.strip_prefix("${gateway:raw}")?;
        Some(format!("{}{path}", setting("MILLRACE_URL")))
    });
    let mut pages: Vec<_> = of_gateway.collect();
    let rules = prometheus.get("rules", &[("type", "alert")]).await;
    for group in sources::list(&rules["groups"], "groups") {
        let rules = sources::list(&group["rules"], "rules");
        pages.extend(
            rules.iter().filter_map(|rule| rule["annotations"]["desk"].as_str().map(str::to_owned)),
        );
    }
    assert!(pages.len() > 3, "hardly any link: {pages:?}");
    for page in pages {
        let answer = prometheus.http.get(&page).send().await;
        let answer = answer.unwrap_or_else(|error| panic!("{page}: {error}"));
        assert_eq!(200, answer.status().as_u16(), "{page}");
    }
}
