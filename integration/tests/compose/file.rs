//! compose.yaml as data: merge keys followed, and every variable at its default.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use regex::Regex;
use serde_json::Value;

type Settings = BTreeMap<String, Option<String>>;

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the checkout").to_path_buf()
}

pub(crate) fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path))
        .unwrap_or_else(|error| panic!("read {path}: {error}"))
}

/// Reads the file, with merge keys followed and every variable at its default.
pub(crate) fn compose() -> Value {
    let variable = Regex::new(r"\$\$|\$\{\w+:-([^}]*)\}").expect("a pattern");
    let text = read("compose.yaml");
    let text = variable.replace_all(&text, |found: &regex::Captures| match found.get(1) {
        Some(default) => default.as_str().to_owned(),
        None => "$".to_owned(),
    });
    let mut yaml: serde_yaml_ng::Value =
        serde_yaml_ng::from_str(&text).expect("compose.yaml is YAML");
    // A merged map may contain merge keys itself.
    for _ in 0..4 {
        yaml.apply_merge().expect("its merge keys are maps");
    }
    serde_json::to_value(yaml).expect("its keys are strings")
}

pub(crate) fn services(compose: &Value) -> &serde_json::Map<String, Value> {
    compose["services"].as_object().expect("services")
}

pub(crate) fn environment(service: &Value) -> Settings {
    let settings = service["environment"].as_object().into_iter().flatten();
    let text = |value: &Value| match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    settings.map(|(name, value)| (name.clone(), text(value))).collect()
}

/// `(published, inside)`, of the short form `address:published:inside`.
pub(crate) fn ports(service: &Value) -> Vec<(u16, u16)> {
    let listed = service["ports"].as_array().into_iter().flatten();
    listed
        .map(|port| {
            let words: Vec<_> = port.as_str().expect("the short form").rsplit(':').collect();
            (words[1].parse().expect("a port"), words[0].parse().expect("a port"))
        })
        .collect()
}
