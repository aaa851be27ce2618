//! The dashboards and the rules against the code: every metric in them is exported, every alert has
//! a runbook and a rule test, every panel has a description, and Prometheus accepts every
//! expression. [`data`] runs every query on the stack. No test renders a dashboard.

mod data;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Parser;
use integration::stack::PublicPorts;
use regex::Regex;
use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the checkout").to_path_buf()
}

fn files(dir: &str, kind: &str) -> Vec<PathBuf> {
    let entries =
        std::fs::read_dir(root().join(dir)).unwrap_or_else(|error| panic!("read {dir}: {error}"));
    let found = entries.flatten().map(|entry| entry.path());
    found.filter(|path| path.extension().is_some_and(|ends| ends == kind)).collect()
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("read {}: {error}", path.display()))
}

/// Every `metrics.rs` below the source folders.
fn metrics_files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    entries
        .flat_map(|path| match path.is_dir() {
            true if path.ends_with("target") => Vec::new(),
            true => metrics_files(&path),
            false if path.ends_with("metrics.rs") => vec![path],
            false => Vec::new(),
        })
        .collect()
}

/// The names that the code exports: complete ones, and those that a file makes of a prefix and a
/// short name.
fn exported() -> BTreeSet<String> {
    let whole = Regex::new(r#""(millrace_[a-z0-9_]*[a-z0-9])""#).expect("a pattern");
    let prefix = Regex::new(r#""(millrace_[a-z0-9_]*_)\{"#).expect("a pattern");
    let short = Regex::new(r#"\(\s*"([a-z][a-z0-9_]+)""#).expect("a pattern");
    let mut names = BTreeSet::new();
    for path in
        ["gateway", "pipeline", "redpanda"].iter().flat_map(|dir| metrics_files(&root().join(dir)))
    {
        let source = text(&path);
        names.extend(whole.captures_iter(&source).map(|found| found[1].to_owned()));
        for prefix in prefix.captures_iter(&source) {
            names.extend(
                short.captures_iter(&source).map(|found| format!("{}{}", &prefix[1], &found[1])),
            );
        }
    }
    names
}

fn boards() -> Vec<Value> {
    let boards = files("grafana/dashboards", "json");
    boards
        .iter()
        .map(|path| serde_json::from_str::<Value>(&text(path)).expect("a dashboard is JSON"))
        .collect()
}

fn list<'a>(value: &'a Value, what: &str) -> &'a Vec<Value> {
    value.as_array().unwrap_or_else(|| panic!("no list of {what}: {value}"))
}

fn panels() -> Vec<Value> {
    let boards = boards();
    let panels = boards.iter().flat_map(|board| list(&board["panels"], "panels").clone());
    panels.filter(|panel| panel["type"] != "row").collect()
}

/// Title and expression of each query of the panels and annotations, with values for Grafana's
/// variables.
fn expressions() -> Vec<(String, String)> {
    let filled = |expr: &str| {
        let expr = expr.replace("$__rate_interval", "20s").replace("$__range", "30m");
        expr.replace("$job", ".+").replace("$instance", ".+")
    };
    let mut found = Vec::new();
    let mut add = |title: &Value, expr: &Value| {
        let title = title.as_str().expect("a title").to_owned();
        found.push((title, filled(expr.as_str().expect("an expression"))));
    };
    for panel in panels() {
        for target in list(&panel["targets"], "targets") {
            add(&panel["title"], &target["expr"]);
        }
    }
    for board in boards() {
        let annotations = list(&board["annotations"]["list"], "annotations");
        for own in annotations.iter().filter(|annotation| annotation["builtIn"] != 1) {
            add(&own["name"], &own["expr"]);
        }
    }
    found
}

/// The addresses of the links of dashboards and panels.
fn links() -> BTreeSet<String> {
    let boards = boards();
    let of_boards = boards.iter().flat_map(|board| list(&board["links"], "links").clone());
    let of_panels = panels().into_iter().flat_map(|panel| {
        panel["fieldConfig"]["defaults"]["links"].as_array().cloned().unwrap_or_default()
    });
    let links = of_boards.chain(of_panels);
    links.filter_map(|link| link["url"].as_str().map(str::to_owned)).collect()
}

/// The rules of all files, each with `record` or `alert`, and `expr`.
fn rules() -> Vec<Value> {
    let files = files("grafana/prometheus/rules", "yml");
    let files =
        files.iter().map(|path| serde_yaml_ng::from_str::<Value>(&text(path)).expect("YAML"));
    files
        .flat_map(|file| list(&file["groups"], "groups").clone())
        .flat_map(|group| list(&group["rules"], "rules").clone())
        .collect()
}

/// The metrics of Redpanda that are used. No Redpanda runs here, so each name was looked up: those
/// with `redpanda_` in the reference of public metrics in Redpanda's documentation (the lag in
/// configurations that users published), those with `vectorized_` in its source.
const OF_REDPANDA: [&str; 15] = [
    "redpanda_cluster_unavailable_partitions",
    "redpanda_kafka_consumer_group_consumers",
    // With `consumer_lag` in `enable_consumer_group_metrics`: redpanda/broker.yaml.
    "redpanda_kafka_consumer_group_lag_max",
    "redpanda_kafka_consumer_group_lag_sum",
    "redpanda_kafka_request_bytes_total",
    "redpanda_kafka_request_latency_seconds",
    "redpanda_kafka_under_replicated_replicas",
    "redpanda_raft_leadership_changes",
    "redpanda_schema_registry_request_errors_total",
    "redpanda_storage_disk_free_bytes",
    "redpanda_storage_disk_free_space_alert",
    "redpanda_storage_disk_total_bytes",
    // src/v/cluster/partition_probe.cc
    "vectorized_cluster_partition_high_watermark",
    "vectorized_cluster_partition_last_stable_offset",
    // src/v/cluster/producer_state_manager.cc
    "vectorized_cluster_producer_state_manager_evicted_producers",
];

/// The metrics that an expression uses. In the name of a recorded rule,
/// `level:metric:operations`, it finds the metric.
fn metrics(expr: &str) -> BTreeSet<String> {
    let name = Regex::new(r"\b((?:millrace|redpanda|vectorized)_[a-z0-9_]+)\b").expect("a pattern");
    // Labels of Redpanda's metrics.
    let labels = ["redpanda_group", "redpanda_request", "redpanda_status", "redpanda_topic"];
    let names = name.captures_iter(expr).map(|found| found[1].to_owned());
    names.filter(|name| !labels.contains(&name.as_str())).collect()
}

/// The metrics that dashboards and rules use.
fn used() -> BTreeSet<String> {
    let of_rules = rules().into_iter().map(|rule| rule["expr"].as_str().unwrap_or("").to_owned());
    let of_boards = expressions().into_iter().map(|(_, expr)| expr);
    of_rules.chain(of_boards).flat_map(|expr| metrics(&expr)).collect()
}

#[test]
fn every_metric_that_is_used_is_exported() {
    let mut exported = exported();
    exported.extend(OF_REDPANDA.map(str::to_owned));
    let is_exported = |name: &String| {
        let parts = ["_bucket", "_sum", "_count"];
        exported.contains(name)
            || parts
                .iter()
                .any(|part| name.strip_suffix(part).is_some_and(|metric| exported.contains(metric)))
    };
    let used = used();
    assert!(used.len() > 20, "found hardly any metric in the dashboard and the rules: {used:?}");
    let unknown: Vec<_> = used.iter().filter(|name| !is_exported(name)).collect();
    assert!(unknown.is_empty(), "neither a metrics.rs nor Redpanda exports {unknown:?}");
    let whole = |metric: &str| used.iter().any(|name| name.starts_with(metric));
    let unused: Vec<_> = OF_REDPANDA.iter().filter(|metric| !whole(metric)).collect();
    assert!(unused.is_empty(), "no dashboard and no rule uses {unused:?}");
}

#[test]
fn every_exported_metric_is_used() {
    let used = used();
    let is_used = |metric: &str| {
        used.contains(metric)
            || used.iter().any(|name| name.strip_suffix("_bucket") == Some(metric))
    };
    // The names that a file makes of a prefix also match what is no name, such as a label.
    let declared = Regex::new(r"_(total|seconds|records|ready|tracked|clients|connections)$");
    let declared = declared.expect("a pattern");
    let unused: Vec<_> =
        exported().into_iter().filter(|name| declared.is_match(name) && !is_used(name)).collect();
    assert!(unused.is_empty(), "no dashboard and no rule uses {unused:?}");
}

#[test]
fn every_panel_says_what_it_shows_in_which_unit_from_the_chosen_source() {
    let provisioned = text(&root().join("grafana/provisioning/datasources/prometheus.yaml"));
    for board in boards() {
        let variables = list(&board["templating"]["list"], "variables");
        let source = variables.iter().find(|variable| variable["name"] == "datasource");
        let uid = source.expect("a datasource")["current"]["value"].as_str().expect("a uid");
        assert!(
            provisioned.contains(&format!("uid: {uid}\n")),
            "{}: no datasource has the uid {uid}",
            board["title"]
        );
    }
    for panel in panels() {
        let title = panel["title"].as_str().unwrap_or_default();
        assert!(!title.is_empty(), "a panel without a title: {}", panel["id"]);
        assert!(
            panel["description"].as_str().is_some_and(|text| !text.is_empty()),
            "{title}: no description"
        );
        assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{title}: no unit");
        for target in list(&panel["targets"], "targets") {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{title}: another datasource");
            let expr = target["expr"].as_str().expect("an expression");
            assert!(
                expr.contains("$job") && expr.contains("$instance") || expr.contains("ALERTS"),
                "{title}: does not follow the variables"
            );
            assert!(
                !expr.contains("rate(") || expr.contains("$__rate_interval"),
                "{title}: a fixed rate interval"
            );
        }
    }
}

#[test]
fn links_lead_to_the_pages_at_the_published_ports() {
    #[derive(Parser)]
    struct Defaults {
        #[command(flatten)]
        public: PublicPorts,
    }
    let PublicPorts { http_port, prometheus_port, .. } = Defaults::parse_from(["stack"]).public;
    for board in boards() {
        let variables = list(&board["templating"]["list"], "variables");
        for (name, port) in [("gateway", http_port), ("prometheus", prometheus_port)] {
            let variable = variables.iter().find(|variable| variable["name"] == name);
            let variable = variable.unwrap_or_else(|| panic!("{}: no {name}", board["title"]));
            let address = format!("http://localhost:{port}");
            assert_eq!(variable["query"], address.as_str(), "{}", board["title"]);
            assert_eq!(variable["current"]["value"], address.as_str(), "{}", board["title"]);
        }
    }
    let links = links();
    for page in ["${gateway:raw}/operations", "${gateway:raw}/dashboard"] {
        assert!(links.contains(page), "no link leads to {page}: {links:?}");
    }
    // What an operator mends on the desk.
    let of_the_desk = ["millrace_engine_dead_letters_total", "millrace_engine_records_parked"];
    let desk = format!("http://localhost:{http_port}/operations");
    for rule in rules() {
        let used = metrics(rule["expr"].as_str().expect("an expression"));
        if rule["alert"].is_string() && of_the_desk.iter().any(|metric| used.contains(*metric)) {
            assert_eq!(rule["annotations"]["desk"], desk.as_str(), "{}", rule["alert"]);
        }
    }
}

#[test]
fn every_panel_that_a_runbook_names_exists() {
    let readme = text(&root().join("grafana/README.md"));
    // In italics; what is bold has two asterisks.
    let named = Regex::new(r"[^*]\*([A-Z][^*]+)\*[^*]").expect("a pattern");
    let titles: BTreeSet<_> = (panels().iter().chain(&boards()))
        .filter_map(|panel| panel["title"].as_str().map(str::to_owned))
        .collect();
    for name in named.captures_iter(&readme).map(|found| found[1].replace('\n', " ")) {
        assert!(titles.contains(&name), "grafana/README.md names {name}");
    }
}

#[test]
fn every_internal_metric_that_is_used_is_kept_by_its_scrape() {
    let config: Value =
        serde_yaml_ng::from_str(&text(&root().join("grafana/prometheus/prometheus.yml")))
            .expect("YAML");
    let scrapes = config["scrape_configs"].as_array().expect("scrapes");
    let internal = scrapes.iter().find(|scrape| scrape["job_name"] == "redpanda-internal");
    let kept = internal.expect("a scrape")["metric_relabel_configs"][0]["regex"]
        .as_str()
        .expect("a pattern");
    let kept = Regex::new(&format!("^(?:{kept})$")).expect("a pattern");
    for metric in used().iter().filter(|name| name.starts_with("vectorized_")) {
        assert!(kept.is_match(metric), "prometheus.yml drops {metric}");
    }
}

#[test]
fn every_alert_has_a_runbook_and_a_rule_test_in_which_it_fires() {
    let name = Regex::new(r"- alert: (\w+)").expect("a pattern");
    let tests: String =
        files("grafana/prometheus/tests", "yml").iter().map(|path| text(path)).collect();
    // The alert of one test begins a line of its own; one that must not fire has no `exp_alerts:`.
    let fires = Regex::new(r"alertname: (\w+)\n\s+(?:eval_time: \w+\n\s+)?exp_alerts:\n")
        .expect("a pattern");
    let fires: BTreeSet<_> = fires.captures_iter(&tests).map(|found| found[1].to_owned()).collect();
    for path in files("grafana/prometheus/rules", "yml") {
        let rules = text(&path);
        for alert in name.captures_iter(&rules).map(|found| found[1].to_owned()) {
            let link = format!("grafana/README.md#{}", alert.to_lowercase());
            assert!(rules.contains(&link), "{alert} has no runbook link");
            let readme = text(&root().join("grafana/README.md"));
            assert!(
                readme.contains(&format!("\n### {alert}\n")),
                "grafana/README.md says nothing about {alert}"
            );
            assert!(fires.contains(&alert), "no rule test shows how {alert} fires");
        }
    }
}

#[test]
fn prometheus_accepts_every_expression() {
    let records: Vec<_> = (expressions().into_iter().enumerate())
        .map(|(number, (title, expr))| {
            serde_json::json!({ "record": format!("panel:{number}"), "expr": expr, "labels": { "title": title } })
        })
        .collect();
    let rules = serde_json::json!({ "groups": [{ "name": "dashboard", "rules": records }] });
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), rules.to_string()).expect("a file");

    match Command::new("promtool").args(["check", "rules"]).arg(file.path()).output() {
        Ok(checked) => {
            assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr))
        }
        Err(error) => eprintln!("skipped: no promtool on this machine ({error})"),
    }
}
