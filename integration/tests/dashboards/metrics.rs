//! Every metric that dashboards and rules use is exported, and every exported one is used.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use regex::Regex;
use serde_json::Value;

use crate::sources::{expressions, root, rules, text};

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
pub(crate) fn metrics(expr: &str) -> BTreeSet<String> {
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
    // The expression of a recorded rule is checked instead of its name.
    let recorded = rules().into_iter().filter_map(|rule| rule["record"].as_str().map(metrics));
    exported.extend(recorded.flatten());
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
