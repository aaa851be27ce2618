//! What people read of the log: a Markdown page for each topic, an index, and an AsyncAPI document.
//! It makes texts of the topics and the catalogue; it reads and writes no files.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use anyhow::{Context as _, Result};
use redpanda::topics::{Keep, Topic, Topics};
use serde_json::{Map, Value, json};

use crate::catalogue::{Catalogue, Named, doc, end, is_primitive, qualify};

/// Redpanda Console shows a page where its name without `.md` is the topic's.
pub(crate) fn files(catalogue: &Catalogue, topics: &Topics) -> Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::from([
        ("README.md".to_owned(), index(topics)?),
        ("asyncapi.yaml".to_owned(), asyncapi(catalogue, topics)?),
    ]);
    for topic in topics.iter() {
        let page = page(catalogue, topic).with_context(|| format!("the page of {}", topic.name))?;
        files.insert(format!("{}.md", topic.name), page);
    }
    Ok(files)
}

const MADE: &str =
    "Made by `schemas generate` of redpanda/topics.yaml and the schemas; never edited by hand.";

fn index(topics: &Topics) -> Result<String> {
    let mut out = format!(
        "# Topics\n\n{MADE} [`asyncapi.yaml`](asyncapi.yaml) says the same to programs.\n\n"
    );
    out.push_str("| topic | written by | kept | what |\n| --- | --- | --- | --- |\n");
    for topic in topics.iter() {
        let Topic { name, owner, doc, .. } = topic;
        writeln!(out, "| [{name}]({name}.md) | {owner} | {} | {} |", kept(topic), cell(doc))?;
    }
    Ok(out)
}

fn kept(topic: &Topic) -> String {
    match topic.keep {
        Keep::Forever => "for ever".to_owned(),
        Keep::Days(1) => "1 day".to_owned(),
        Keep::Days(days) => format!("{days} days"),
        Keep::Compacted => "the last of each key, for ever".to_owned(),
    }
}

fn page(catalogue: &Catalogue, topic: &Topic) -> Result<String> {
    let mut out = format!("# {}\n\n{}\n\n| | |\n| --- | --- |\n", topic.name, topic.doc);
    writeln!(out, "| written by | {} |", topic.owner)?;
    if !topic.key.is_empty() {
        writeln!(out, "| key | {} |", cell(&topic.key))?;
    }
    writeln!(out, "| kept | {} |", kept(topic))?;
    writeln!(out, "| partitions | {}, never another count |", topic.partitions)?;
    writeln!(out, "| largest record | {} bytes |", topic.bytes_max)?;
    if topic.is_dead() {
        out.push_str(
            "| values | as they came; the headers `dead_topic`, `dead_partition`, `dead_offset` and ",
        );
        out.push_str("`dead_error` say from where, and why |\n");
    } else {
        out.push_str(
            "| values | Avro in the Confluent wire format; the subject is the record's full name |\n",
        );
    }
    let mut shown = BTreeSet::new();
    let mut used = Vec::new();
    let mut records = String::new();
    for name in &topic.records {
        let named =
            catalogue.types.get(name).with_context(|| format!("there is no record {name}"))?;
        shown.insert(name.clone());
        record(named, &mut records, &mut used)?;
    }
    let mut types = String::new();
    while let Some(name) = used.pop() {
        if shown.insert(name.clone()) {
            let named =
                catalogue.types.get(&name).with_context(|| format!("there is no type {name}"))?;
            record(named, &mut types, &mut used)?;
        }
    }
    let personal = personal(catalogue, &shown);
    if !personal.is_empty() {
        writeln!(out, "| personal data | {} |", personal.join(", "))?;
    }
    out.push_str(&records);
    out.push_str(&types);
    writeln!(out, "\n---\n\n{MADE}")?;
    Ok(out)
}

/// The fields of these types that are marked as personal.
fn personal(catalogue: &Catalogue, names: &BTreeSet<String>) -> Vec<String> {
    let marked = |field: &&Value| field["pii"] == Value::Bool(true);
    let of = |named: &Named| {
        let name = simple(&named.full).to_owned();
        fields(&named.json)
            .filter(marked)
            .map(move |field| format!("`{name}.{}`", field["name"].as_str().unwrap_or_default()))
            .collect::<Vec<_>>()
    };
    names.iter().filter_map(|name| catalogue.types.get(name)).flat_map(of).collect()
}

fn fields(json: &Map<String, Value>) -> impl Iterator<Item = &Value> {
    json.get("fields").and_then(Value::as_array).into_iter().flatten()
}

/// A record or an enum, and which other types it uses.
fn record(named: &Named, out: &mut String, used: &mut Vec<String>) -> Result<()> {
    writeln!(out, "\n## {}\n\n{}\n", named.full, doc(&named.json).unwrap_or_default())?;
    if let Some(end) = end(&named.json) {
        writeln!(out, "**{end}**\n")?;
    }
    if let Some(symbols) = named.json.get("symbols").and_then(Value::as_array) {
        let symbols: Vec<_> =
            symbols.iter().filter_map(Value::as_str).map(|name| format!("`{name}`")).collect();
        write!(out, "One of {}.", symbols.join(", "))?;
        if let Some(default) = named.json.get("default").and_then(Value::as_str) {
            write!(out, " Programs that do not know a symbol read it as `{default}`.")?;
        }
        out.push('\n');
        return Ok(());
    }
    if fields(&named.json).next().is_none() {
        out.push_str("It has no fields.\n");
        return Ok(());
    }
    out.push_str("| field | type | default | what |\n| --- | --- | --- | --- |\n");
    for field in fields(&named.json) {
        let name = field["name"].as_str().unwrap_or_default();
        let kind = kind(&field["type"], &named.namespace, used);
        let default =
            field.get("default").map(|default| format!("`{default}`")).unwrap_or_default();
        let pii = if field["pii"] == Value::Bool(true) { " **Personal data.**" } else { "" };
        let what = cell(field["doc"].as_str().unwrap_or_default());
        writeln!(out, "| `{name}` | {kind} | {default} | {what}{pii} |")?;
    }
    Ok(())
}

/// A type in words, with links to those that have a section of their own.
fn kind(json: &Value, namespace: &str, used: &mut Vec<String>) -> String {
    let mut link = |full: String| {
        let anchor: String = full.to_lowercase().chars().filter(|c| *c != '.').collect();
        let text = format!("[{}](#{anchor})", simple(&full));
        used.push(full);
        text
    };
    match json {
        Value::String(name) if is_primitive(name) => name.clone(),
        Value::String(name) => link(qualify(name, namespace)),
        Value::Array(branches) => {
            let mut branches: Vec<_> =
                branches.iter().map(|branch| kind(branch, namespace, used)).collect();
            // What may be missing is told by what it is first.
            branches.sort_by_key(|branch| branch == "null");
            branches.join(" or ")
        }
        Value::Object(object) => match object.get("type").and_then(Value::as_str) {
            Some("record" | "enum") => {
                let name = object.get("name").and_then(Value::as_str).unwrap_or_default();
                let of = object.get("namespace").and_then(Value::as_str).unwrap_or(namespace);
                link(qualify(name, of))
            }
            Some("array") => format!("array of {}", kind(&object["items"], namespace, used)),
            Some("map") => format!("map of {}", kind(&object["values"], namespace, used)),
            Some(name) if is_primitive(name) => {
                match object.get("logicalType").and_then(Value::as_str) {
                    Some(logical) => format!("{logical} ({name})"),
                    None => name.to_owned(),
                }
            }
            _ => object.get("type").map(|inner| kind(inner, namespace, used)).unwrap_or_default(),
        },
        _ => String::new(),
    }
}

fn simple(full: &str) -> &str {
    full.rsplit('.').next().unwrap_or(full)
}

/// Text within a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

/// AsyncAPI 3.0: a channel for each topic, an operation for who writes it, a message for each
/// record.
fn asyncapi(catalogue: &Catalogue, topics: &Topics) -> Result<String> {
    let mut channels = Map::new();
    let mut operations = Map::new();
    let mut carried = BTreeSet::new();
    for topic in topics.iter() {
        carried.extend(topic.records.iter().map(String::as_str));
        channels.insert(topic.name.clone(), channel(topic));
        operations.insert(
            format!("{}.writes", topic.name),
            json!({
                "action": "send",
                "channel": { "$ref": format!("#/channels/{}", topic.name) },
                "summary": format!("Written by: {}", topic.owner),
            }),
        );
    }
    let messages: Map<_, _> = catalogue
        .subjects
        .iter()
        .filter(|subject| carried.contains(subject.full.as_str()))
        .map(|subject| (subject.full.clone(), message(&subject.full, &subject.json)))
        .collect();
    let mut document = json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Millrace",
            "version": "1",
            "description": "Every topic of the log, who writes it, and what it carries. Values are Avro in the \
                Confluent wire format (a zero byte, the schema's id in four bytes, the record); the subject in the \
                registry is the record's full name.",
        },
        "defaultContentType": schemas::headers::AVRO,
        "channels": channels,
        "operations": operations,
        "components": { "messages": messages },
    });
    if let Some(contract) = catalogue.types.get("millrace.Metadata") {
        document["components"]["messageTraits"] =
            json!({ "cloudEvents": { "headers": headers(contract) } });
        for message in
            document["components"]["messages"].as_object_mut().into_iter().flat_map(Map::values_mut)
        {
            message["traits"] = json!([{ "$ref": "#/components/messageTraits/cloudEvents" }]);
        }
    }
    Ok(format!("# {MADE}\n{}", serde_yaml_ng::to_string(&document)?))
}

fn channel(topic: &Topic) -> Value {
    let messages: Map<_, _> = topic
        .records
        .iter()
        .map(|name| (name.clone(), json!({ "$ref": format!("#/components/messages/{name}") })))
        .collect();
    let settings: Map<_, _> = topic
        .settings()
        .into_iter()
        // The binding has no others.
        .filter(|(name, _)| {
            name.starts_with("cleanup.")
                || name.starts_with("retention.")
                || ["delete.retention.ms", "max.message.bytes"].contains(name)
        })
        .map(|(name, value)| {
            let value = match value.parse::<i64>() {
                Ok(number) => json!(number),
                Err(_) => json!([value]),
            };
            (name.to_owned(), value)
        })
        .collect();
    let mut channel = json!({
        "address": topic.name,
        "summary": topic.doc,
        "bindings": { "kafka": {
            "topic": topic.name,
            "partitions": topic.partitions,
            "topicConfiguration": settings,
            "bindingVersion": "0.5.0",
        } },
    });
    if !topic.key.is_empty() {
        channel["description"] = json!(format!("Keyed by {}.", topic.key));
    }
    if !messages.is_empty() {
        channel["messages"] = Value::Object(messages);
    }
    channel
}

fn message(name: &str, schema: &Value) -> Value {
    let mut message = json!({
        "name": name,
        "title": simple(name),
        "summary": schema["doc"],
        "contentType": schemas::headers::AVRO,
        "payload": { "schemaFormat": "application/vnd.apache.avro+json;version=1.9.0", "schema": schema },
        "bindings": { "kafka": {
            "key": { "type": "string" },
            "schemaIdLocation": "payload",
            "schemaIdPayloadEncoding": "confluent",
            "schemaLookupStrategy": "RecordNameStrategy",
            "bindingVersion": "0.5.0",
        } },
    });
    if let Some(end) = schema.as_object().and_then(end) {
        message["description"] = json!(end);
    }
    message
}

/// The contract of the headers as JSON Schema: they are text, whatever their Avro type.
fn headers(contract: &Named) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for field in fields(&contract.json) {
        let name = field["name"].as_str().unwrap_or_default();
        // Avro names have no hyphen.
        let header =
            schemas::headers::ALL.into_iter().find(|header| header.replace('-', "_") == name);
        let header = header.unwrap_or(name);
        if !field["type"].is_array() {
            required.push(header);
        }
        properties
            .insert(header.to_owned(), json!({ "type": "string", "description": field["doc"] }));
    }
    json!({ "type": "object", "required": required, "properties": properties })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::source;

    fn made() -> (Catalogue, Topics, BTreeMap<String, String>) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let catalogue = Catalogue::read(&folder).expect("sound files");
        let topics = source::topics(&folder, None, &catalogue).expect("sound topics");
        let files = files(&catalogue, &topics).expect("pages");
        (catalogue, topics, files)
    }

    #[test]
    fn each_topic_has_a_page_with_all_that_it_carries() {
        let (catalogue, topics, files) = made();
        for topic in topics.iter() {
            let page = &files[&format!("{}.md", topic.name)];
            assert!(page.starts_with(&format!("# {}\n\n{}\n", topic.name, topic.doc)), "{page}");
            // What Redpanda Console reads at most.
            assert!(page.len() < 500_000, "{}", topic.name);
            for name in &topic.records {
                let named = &catalogue.types[name];
                let section = page.split(&format!("\n## {name}\n")).nth(1).expect("a section");
                let section = section.split("\n## ").next().expect("a part");
                for field in fields(&named.json) {
                    let row = format!("| `{}` |", field["name"].as_str().expect("a name"));
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
    fn links_lead_to_sections_of_the_same_page() {
        let (_, _, files) = made();
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
    fn the_document_names_every_topic_and_record_and_its_references_lead_somewhere() {
        let (_, topics, files) = made();
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
}
