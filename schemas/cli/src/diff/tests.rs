//! `diff` reports exactly the schemas that `release` takes as changed, for random changes.

use proptest::prelude::*;
use schemas::compatibility::Level;
use serde_json::{Value, json};

use super::sides::Sides;
use crate::{config::Config, files::File, texts::Texts};

fn texts(json: &Value) -> Texts {
    Texts::new(vec![File {
        path: "Thing.avsc".to_owned(),
        place: "Thing.avsc".to_owned(),
        text: json.to_string(),
    }])
}

/// The ids of the reported changes; `None` if a schema is not valid.
fn changes(old: &Value, new: &Value) -> Option<Vec<&'static str>> {
    let (old, new) = (texts(old), texts(new));
    if !old.problems.is_empty() || !new.problems.is_empty() {
        return None;
    }
    let (before, after) = (old.schemas.root(0)?, new.schemas.root(0)?);
    let (level, config) = (Level::None, &Config::default());
    let released = &[("b", before)];
    let sides = Sides { subject: "a", release: "b", released, level, config, old: &old, new: &new };
    Some(sides.changes(before, after).iter().map(|finding| finding.id).collect())
}

fn thing() -> Value {
    json!({
        "type": "record", "name": "Thing", "namespace": "shop", "doc": "D.", "aliases": ["Old"], "owner": "us",
        "fields": [
            {"name": "kind", "doc": "D.", "order": "descending", "type": {
                "type": "enum", "name": "Kind", "symbols": ["A", "B", "C"], "default": "A"}},
            {"name": "either", "aliases": ["or"], "pii": true, "type": ["null",
                {"type": "record", "name": "a.Part", "fields": [{"name": "x", "type": "int", "default": 0}]},
                {"type": "record", "name": "b.Part", "fields": [{"name": "x", "type": "int"}]}]},
            {"name": "all", "type": {"type": "array", "items": {"type": "map", "values": "a.Part", "k": 1}}},
            {"name": "price", "default": "\u{1}", "type": {
                "type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}},
            {"name": "id", "type": {"type": "string", "logicalType": "uuid", "shown": {"a": 1, "b": [2]}}},
            {"name": "hash", "type": {"type": "fixed", "name": "Hash", "size": 4}},
            {"name": "next", "type": ["null", "shop.Thing"], "default": null},
        ],
    })
}

/// The JSON pointer of every value.
fn places(json: &Value, at: &str, out: &mut Vec<String>) {
    out.push(at.to_owned());
    match json {
        Value::Array(values) => {
            values
                .iter()
                .enumerate()
                .for_each(|(index, one)| places(one, &format!("{at}/{index}"), out));
        }
        Value::Object(values) => {
            values.iter().for_each(|(key, one)| places(one, &format!("{at}/{key}"), out));
        }
        _ => {}
    }
}

/// Changes `json` at one of its values, in one of several ways.
fn mutate(json: &mut Value, place: usize, how: usize) {
    let mut all = Vec::new();
    places(json, "", &mut all);
    let Some(one) = json.pointer_mut(&all[place % all.len()]) else { return };
    match one {
        Value::Array(values) if values.len() > 1 => match how % 3 {
            0 => values.reverse(),
            1 => drop(values.remove(how / 3 % values.len())),
            _ => values.rotate_left(1),
        },
        Value::Object(values) => match how % 4 {
            0 if how > 31 => drop(values.insert("aliases".to_owned(), json!([]))),
            0 => drop(values.insert("note".to_owned(), json!(how))),
            1 => {
                // Another spelling, which is no change.
                let entries: Vec<_> = std::mem::take(values).into_iter().rev().collect();
                values.extend(entries);
            }
            2 => drop(values.insert("aliases".to_owned(), json!(["Former"]))),
            _ => {
                let key = values.keys().nth(how / 4 % values.len().max(1)).cloned();
                key.map(|key| values.shift_remove(&key));
            }
        },
        Value::String(text) => {
            let words =
                ["int", "long", "string", "other", "ascending", "a.Part", "B", "date", "null"];
            *text = words[how % words.len()].to_owned();
        }
        Value::Number(_) => *one = json!(how % 7),
        Value::Bool(flag) => *flag = !*flag,
        _ => *one = json!("x"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn diff_reports_exactly_what_release_takes_as_changed(
        edits in prop::collection::vec((any::<usize>(), 0..64_usize), 1..4),
    ) {
        let (old, mut new) = (thing(), thing());
        for (place, how) in edits {
            mutate(&mut new, place, how);
            if let Some(changes) = changes(&old, &new) {
                let is_same = schemas::same(&old.to_string(), &new.to_string());
                prop_assert_eq!(changes.is_empty(), is_same, "{:?}: {}", changes, new);
            }
        }
    }
}

#[test]
fn union_of_two_records_with_one_simple_name_has_no_change() {
    assert_eq!(changes(&thing(), &thing()), Some(Vec::new()));
}
