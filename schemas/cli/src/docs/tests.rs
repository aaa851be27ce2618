//! The documentation of the project's own topics.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use redpanda::topics::Topics;
use schemas::avro::Kind;
use serde_json::{Map, Value};

use super::files;
use crate::{catalogue::Catalogue, source};

fn generated() -> (Catalogue, Topics, BTreeMap<String, String>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let catalogue = Catalogue::read(&folder).expect("sound files");
    let topics = source::topics(&folder, None, &catalogue).expect("sound topics");
    let files = files(&catalogue, &topics).expect("pages");
    (catalogue, topics, files)
}

#[test]
fn page_of_each_topic_has_all_of_its_records_and_fields() {
    let (catalogue, topics, files) = generated();
    for topic in topics.iter() {
        let page = &files[&format!("{}.md", topic.name)];
        assert!(page.starts_with(&format!("# {}\n\n{}\n", topic.name, topic.doc)), "{page}");
        // The largest page that Redpanda Console reads.
        assert!(page.len() < 500_000, "{}", topic.name);
        for name in &topic.records {
            let named = catalogue.named(name).expect("a record");
            let Kind::Record(record) = &named.definition.kind else { panic!("{name}") };
            let section = page.split(&format!("\n## {name}\n")).nth(1).expect("a section");
            let section = section.split("\n## ").next().expect("a part");
            for field in &record.fields {
                let row = format!("| `{}` |", field.name);
                assert!(section.contains(&row), "{name}: {row}");
            }
        }
    }
    assert!(
        files["user.commands.md"].contains("| personal data | "),
        "{}",
        files["user.commands.md"]
    );
}

#[test]
fn page_of_dead_letters_says_what_is_copied_and_which_headers_are_added() {
    let (_, topics, files) = generated();
    for topic in topics.iter().filter(|topic| topic.is_dead()) {
        let page = &files[&format!("{}.md", topic.name)];
        for header in ["topic", "partition", "offset", "error", "omitted"] {
            assert!(page.contains(&format!("`dead_{header}`")), "{page}");
        }
        let is_secret = topic.name == "user.commands.dead";
        assert_eq!(page.contains("The value is left out"), is_secret, "{page}");
    }
    assert!(files["order.commands.dead.md"].contains("| key | order id |"));
}

#[test]
fn every_link_leads_to_a_section_of_its_page() {
    let (_, _, files) = generated();
    for (name, page) in files.iter().filter(|(name, _)| name.ends_with(".md")) {
        let headings: BTreeSet<String> = page
            .lines()
            .filter_map(|line| line.strip_prefix("## "))
            .map(|heading| heading.to_lowercase().replace('.', ""))
            .collect();
        for link in page.split("](#").skip(1) {
            let anchor = link.split(')').next().expect("an end");
            assert!(headings.contains(anchor), "{name}: #{anchor}");
        }
    }
}

#[test]
fn asyncapi_has_every_topic_and_record_and_every_reference_resolves() {
    let (_, topics, files) = generated();
    let document: Value = serde_yaml_ng::from_str(&files["asyncapi.yaml"]).expect("YAML");
    assert_eq!(document["asyncapi"], "3.0.0");
    for topic in topics.iter() {
        let channel = &document["channels"][&topic.name];
        assert_eq!(channel["address"], *topic.name);
        assert_eq!(channel["bindings"]["kafka"]["partitions"], topic.partitions);
        let messages = channel["messages"].as_object().map_or(0, Map::len);
        assert_eq!(messages, topic.records.len(), "{}", topic.name);
    }
    for (name, message) in document["components"]["messages"].as_object().expect("messages") {
        let schema = &message["payload"]["schema"];
        let full = format!("{}.{}", schema["namespace"], schema["name"]).replace('"', "");
        assert_eq!(full, *name);
    }
    let headers = &document["components"]["messageTraits"]["cloudEvents"]["headers"];
    for name in schemas::headers::ALL {
        assert_eq!(headers["properties"][name]["type"], "string", "{name}");
    }
    follow(&document, &document);
}

fn follow(document: &Value, within: &Value) {
    match within {
        Value::Object(object) => {
            if let Some(Value::String(reference)) = object.get("$ref") {
                let pointer = reference.strip_prefix('#').expect("within the document");
                assert!(document.pointer(pointer).is_some(), "{reference}");
            }
            object.values().for_each(|value| follow(document, value));
        }
        Value::Array(items) => items.iter().for_each(|value| follow(document, value)),
        _ => {}
    }
}
