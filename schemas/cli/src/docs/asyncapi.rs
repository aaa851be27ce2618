//! The AsyncAPI 3.0 document: a channel for each topic, an operation for its writer, a message for
//! each record.

use std::collections::BTreeSet;

use anyhow::Result;
use redpanda::topics::{Topic, Topics};
use schemas::avro::Kind;
use serde_json::{Map, Value, json};

use super::page::dead_letters;
use crate::catalogue::{Catalogue, Named, Subject, deprecation};

/// Renders the document as YAML.
pub(super) fn document(catalogue: &Catalogue, topics: &Topics) -> Result<String> {
    let mut channels = Map::new();
    let mut operations = Map::new();
    let mut carried = BTreeSet::new();
    for topic in topics.iter() {
        carried.extend(topic.records.iter().map(String::as_str));
        channels.insert(topic.name.clone(), channel(topics, topic));
        operations.insert(
            format!("{}.writes", topic.name),
            json!({
                "action": "send",
                "channel": { "$ref": format!("#/channels/{}", topic.name) },
                "summary": format!("Owner: {}", topic.owner),
            }),
        );
    }
    let messages: Map<_, _> = catalogue
        .subjects
        .iter()
        .filter(|subject| carried.contains(subject.full.as_str()))
        .map(|subject| (subject.full.clone(), message(catalogue, subject)))
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
    if let Some(contract) = catalogue.named("millrace.Metadata") {
        document["components"]["messageTraits"] =
            json!({ "cloudEvents": { "headers": headers(contract, catalogue) } });
        for message in
            document["components"]["messages"].as_object_mut().into_iter().flat_map(Map::values_mut)
        {
            message["traits"] = json!([{ "$ref": "#/components/messageTraits/cloudEvents" }]);
        }
    }
    Ok(serde_yaml_ng::to_string(&document)?)
}

/// The channel of a topic.
fn channel(topics: &Topics, topic: &Topic) -> Value {
    let messages: Map<_, _> = topic
        .records
        .iter()
        .map(|name| (name.clone(), json!({ "$ref": format!("#/components/messages/{name}") })))
        .collect();
    let settings: Map<_, _> = topic
        .settings()
        .into_iter()
        // The Kafka binding has no other settings.
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
    if let Some(source) = topics.source(topic) {
        channel["description"] = json!(dead_letters(source));
    } else if !topic.key.is_empty() {
        channel["description"] = json!(format!("Keyed by {}.", topic.key));
    }
    if !messages.is_empty() {
        channel["messages"] = Value::Object(messages);
    }
    channel
}

/// The message of a record.
fn message(catalogue: &Catalogue, subject: &Subject) -> Value {
    let (name, schema) = (&subject.full, &subject.json);
    let named = catalogue.named(name);
    let mut message = json!({
        "name": name,
        "title": named.map_or(name.as_str(), |named| named.name.simple()),
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
    if let Some(mark) = named.and_then(|named| deprecation(named.definition)) {
        message["description"] = json!(mark);
    }
    message
}

/// The headers as JSON Schema. All of them are text, whatever their type in the contract.
fn headers(contract: Named<'_>, catalogue: &Catalogue) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    let Kind::Record(record) = &contract.definition.kind else { return Value::Null };
    for field in &record.fields {
        // Avro names have no hyphen.
        let mut all = schemas::headers::ALL.into_iter();
        let header = all.find(|header| header.replace('-', "_") == field.name);
        let header = header.unwrap_or(&field.name);
        if !matches!(catalogue.schemas().get(field.kind.id).kind, Kind::Union(_)) {
            required.push(header);
        }
        properties.insert(header.to_owned(), json!({ "type": "string", "description": field.doc }));
    }
    json!({ "type": "object", "required": required, "properties": properties })
}
