//! Schemas compared whatever their spelling, and one text out of a schema and its references.
//!
//! The texts come from registries, so they need not be valid. A schema of the own files is joined
//! by `avro::Definitions`, which keeps its spelling.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

/// Whether `a` and `b` are one schema. The order of attributes, names with or without their
/// namespace, and `{"type": "int"}` for `"int"` make no difference; docs, defaults and all other
/// attributes do. A text that is no JSON equals no other.
pub fn same(a: &str, b: &str) -> bool {
    let of = |text: &str| serde_json::from_str::<Value>(text).ok().map(|json| schema(&json, ""));
    matches!((of(a), of(b)), (Some(a), Some(b)) if a == b)
}

/// `schema` with the types of `references` inlined at first use, so that it needs no references. A
/// text that is no JSON is returned unchanged; a parser reports it.
pub fn self_contained(schema: &str, references: &[String]) -> String {
    let parsed =
        |text: &str| serde_json::from_str::<Value>(text).ok().map(|json| self::schema(&json, ""));
    if references.is_empty() {
        return schema.to_owned();
    }
    let mut inlining = Inlining::default();
    for reference in references.iter().filter_map(|text| parsed(text)) {
        inlining.add(&reference);
    }
    parsed(schema).map_or_else(|| schema.to_owned(), |json| inlining.inline(&json).to_string())
}

/// Named types in canonical spelling, to be inlined.
#[derive(Default)]
struct Inlining {
    types: HashMap<String, Value>,
    /// The types that the text already defines.
    defined: HashSet<String>,
}

impl Inlining {
    /// Adds the named types in `json`, at any depth.
    fn add(&mut self, json: &Value) {
        match json {
            Value::Array(branches) => branches.iter().for_each(|branch| self.add(branch)),
            Value::Object(object) => {
                if let Some(name) = named(object) {
                    self.types.insert(name.to_owned(), json.clone());
                }
                parts(object).for_each(|part| self.add(part));
            }
            _ => {}
        }
    }

    fn inline(&mut self, json: &Value) -> Value {
        match json {
            Value::String(name) if !self.defined.contains(name) => {
                match self.types.get(name).cloned() {
                    Some(definition) => self.inline(&definition),
                    None => json.clone(),
                }
            }
            Value::Array(branches) => branches.iter().map(|branch| self.inline(branch)).collect(),
            Value::Object(object) => {
                if let Some(name) = named(object)
                    && !self.defined.insert(name.to_owned())
                {
                    return Value::String(name.to_owned());
                }
                let mut inlined = object.clone();
                parts_mut(&mut inlined).for_each(|part| *part = self.inline(part));
                Value::Object(inlined)
            }
            other => other.clone(),
        }
    }
}

/// The name of a named type in canonical spelling.
fn named(object: &Map<String, Value>) -> Option<&str> {
    let kind = object.get("type")?.as_str()?;
    matches!(kind, "record" | "error" | "enum" | "fixed")
        .then(|| object.get("name")?.as_str())
        .flatten()
}

/// The types that a type uses directly.
fn parts(object: &Map<String, Value>) -> impl Iterator<Item = &Value> {
    let fields = object.get("fields").and_then(Value::as_array).into_iter().flatten();
    let whole = ["type", "items", "values"].into_iter().filter_map(|part| object.get(part));
    whole.chain(fields.filter_map(|field| field.get("type")))
}

fn parts_mut(object: &mut Map<String, Value>) -> impl Iterator<Item = &mut Value> {
    object.iter_mut().flat_map(|(key, value)| match key.as_str() {
        "type" | "items" | "values" => vec![value],
        "fields" => {
            let fields = value.as_array_mut().into_iter().flatten();
            fields.filter_map(|field| field.get_mut("type")).collect()
        }
        _ => Vec::new(),
    })
}

/// The canonical spelling of a schema within `namespace`.
fn schema(json: &Value, namespace: &str) -> Value {
    match json {
        Value::String(name) => Value::String(full(name, namespace)),
        Value::Array(branches) => branches.iter().map(|branch| schema(branch, namespace)).collect(),
        Value::Object(object) => type_of(object, namespace),
        other => other.clone(),
    }
}

/// Removes an empty list of aliases, which means the same as none.
fn without_empty_aliases(object: &mut Map<String, Value>) {
    if object.get("aliases").and_then(Value::as_array).is_some_and(Vec::is_empty) {
        object.shift_remove("aliases");
    }
}

fn type_of(object: &Map<String, Value>, enclosing: &str) -> Value {
    let kind = object.get("type").unwrap_or(&Value::Null);
    let mut spelled = object.clone();
    let namespace = match kind.as_str() {
        Some("record" | "error" | "enum" | "fixed") => {
            let given = object.get("namespace").and_then(Value::as_str).unwrap_or(enclosing);
            let name = full(object.get("name").and_then(Value::as_str).unwrap_or_default(), given);
            let namespace = name.rsplit_once('.').map_or("", |(namespace, _)| namespace).to_owned();
            for alias in
                spelled.get_mut("aliases").and_then(Value::as_array_mut).into_iter().flatten()
            {
                if let Value::String(text) = alias {
                    *text = full(text, &namespace);
                }
            }
            spelled.insert("name".to_owned(), Value::String(name));
            spelled.shift_remove("namespace");
            without_empty_aliases(&mut spelled);
            namespace
        }
        Some("array" | "map") => enclosing.to_owned(),
        // A schema in an object, alone or with a logical type.
        _ => {
            let inner = schema(kind, enclosing);
            if object.len() == 1 {
                return inner;
            }
            spelled.insert("type".to_owned(), inner);
            return Value::Object(spelled);
        }
    };
    for part in ["items", "values"] {
        if let Some(inner) = spelled.get_mut(part) {
            *inner = schema(inner, &namespace);
        }
    }
    for field in spelled.get_mut("fields").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(kind) = field.get_mut("type") {
            *kind = schema(kind, &namespace);
        }
        if let Value::Object(field) = field {
            without_empty_aliases(field);
            if field.get("order").is_some_and(|order| order == "ascending") {
                field.shift_remove("order");
            }
        }
    }
    Value::Object(spelled)
}

fn full(name: &str, namespace: &str) -> String {
    let is_primitive = matches!(
        name,
        "null" | "boolean" | "int" | "long" | "float" | "double" | "bytes" | "string"
    );
    if is_primitive || name.contains('.') || namespace.is_empty() {
        return name.to_owned();
    }
    format!("{namespace}.{name}")
}

#[cfg(test)]
mod tests {
    use super::{same, self_contained};

    const HERE: &str = r#"{"type":"record","name":"R","namespace":"a","doc":"D.","fields":[
        {"name":"x","type":"int","doc":"X.","default":0},
        {"name":"e","type":{"type":"enum","name":"E","symbols":["A"]}}, {"name":"f","type":["null","E"]}]}"#;

    #[test]
    fn schemas_that_differ_in_spelling_are_the_same() {
        let there = r#"{"name":"a.R","fields":[
            {"doc":"X.","type":{"type":"int"},"default":0,"name":"x","order":"ascending"},
            {"name":"e","type":{"type":"enum","symbols":["A"],"namespace":"a","name":"E"}},
            {"name":"f","type":["null","a.E"]}],"type":"record","doc":"D."}"#;

        assert!(same(HERE, there));
    }

    #[test]
    fn schemas_that_differ_in_content_are_not_the_same() {
        for (from, to) in [
            ("D.", "Another."),
            (r#""default":0"#, r#""default":1"#),
            (r#"["A"]"#, r#"["A","B"]"#),
            ("\"a\"", "\"b\""),
        ] {
            assert!(!same(HERE, &HERE.replace(from, to)), "{from}");
        }
        assert!(!same("{", "{"));
    }

    #[test]
    fn references_are_inlined_at_first_use() {
        let whole = r#"{"type":"record","name":"Whole","namespace":"a","fields":[
            {"name":"one","type":["null","b.Part"]},{"name":"more","type":{"type":"array","items":"b.Part"}}]}"#;
        let part = r#"{"type":"record","name":"Part","namespace":"b","fields":[
            {"name":"kind","type":"Kind"},{"name":"next","type":["null","Part"]}]}"#;
        let kind = r#"{"type":"enum","name":"b.Kind","symbols":["A"]}"#;
        let expected = r#"{"type":"record","name":"a.Whole","fields":[
            {"name":"one","type":["null",{"type":"record","name":"b.Part","fields":[
                {"name":"kind","type":{"type":"enum","name":"b.Kind","symbols":["A"]}},
                {"name":"next","type":["null","b.Part"]}]}]},
            {"name":"more","type":{"type":"array","items":"b.Part"}}]}"#;

        let one = self_contained(whole, &[part.to_owned(), kind.to_owned()]);

        assert!(same(&one, expected), "{one}");
        assert!(crate::avro::parse_one(&one).is_ok(), "{one}");
        assert_eq!(self_contained(whole, &[]), whole);
        assert_eq!(self_contained("{", &[part.to_owned()]), "{");
    }
}
