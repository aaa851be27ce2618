//! The dashboards and the rules as data: their panels, expressions and links. It checks nothing.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the checkout").to_path_buf()
}

pub(crate) fn files(dir: &str, kind: &str) -> Vec<PathBuf> {
    let entries =
        std::fs::read_dir(root().join(dir)).unwrap_or_else(|error| panic!("read {dir}: {error}"));
    let found = entries.flatten().map(|entry| entry.path());
    found.filter(|path| path.extension().is_some_and(|ends| ends == kind)).collect()
}

pub(crate) fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("read {}: {error}", path.display()))
}

pub(crate) fn boards() -> Vec<Value> {
    let boards = files("grafana/dashboards", "json");
    boards
        .iter()
        .map(|path| serde_json::from_str::<Value>(&text(path)).expect("a dashboard is JSON"))
        .collect()
}

pub(crate) fn list<'a>(value: &'a Value, what: &str) -> &'a Vec<Value> {
    value.as_array().unwrap_or_else(|| panic!("no list of {what}: {value}"))
}

pub(crate) fn panels() -> Vec<Value> {
    let boards = boards();
    let panels = boards.iter().flat_map(|board| list(&board["panels"], "panels").clone());
    panels.filter(|panel| panel["type"] != "row").collect()
}

/// Title and expression of each query of the panels and annotations, with values for Grafana's
/// variables.
pub(crate) fn expressions() -> Vec<(String, String)> {
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
pub(crate) fn links() -> BTreeSet<String> {
    let boards = boards();
    let of_boards = boards.iter().flat_map(|board| list(&board["links"], "links").clone());
    let of_panels = panels().into_iter().flat_map(|panel| {
        panel["fieldConfig"]["defaults"]["links"].as_array().cloned().unwrap_or_default()
    });
    let links = of_boards.chain(of_panels);
    links.filter_map(|link| link["url"].as_str().map(str::to_owned)).collect()
}

/// The rules of all files, each with `record` or `alert`, and `expr`.
pub(crate) fn rules() -> Vec<Value> {
    let files = files("grafana/prometheus/rules", "yml");
    let files =
        files.iter().map(|path| serde_yaml_ng::from_str::<Value>(&text(path)).expect("YAML"));
    files
        .flat_map(|file| list(&file["groups"], "groups").clone())
        .flat_map(|group| list(&group["rules"], "rules").clone())
        .collect()
}
