//! What panels say, and whether Prometheus accepts every expression.

use std::collections::BTreeSet;
use std::process::Command;

use regex::Regex;
use serde_json::json;

use crate::sources::{boards, expressions, list, panels, root, text};

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
            // What is recorded for a processor has no instance.
            let of_instances = expr.contains("$instance") || expr.contains("processor:");
            assert!(
                expr.contains("$job") && of_instances || expr.contains("ALERTS"),
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
fn prometheus_accepts_every_expression() {
    let records: Vec<_> = (expressions().into_iter().enumerate())
        .map(|(number, (title, expr))| {
            let (record, labels) = (format!("panel:{number}"), json!({ "title": title }));
            json!({ "record": record, "expr": expr, "labels": labels })
        })
        .collect();
    let rules = json!({ "groups": [{ "name": "dashboard", "rules": records }] });
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), rules.to_string()).expect("a file");

    match Command::new("promtool").args(["check", "rules"]).arg(file.path()).output() {
        Ok(checked) => {
            assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr))
        }
        Err(error) => eprintln!("skipped: no promtool on this machine ({error})"),
    }
}
