//! Whether two texts are one schema, however they are spelled, and one text out of several.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

/// Whether `a` and `b` say the same: the order of attributes, names with or without their
/// namespace, and `{"type": "int"}` for `"int"` make no difference; docs, defaults and all other
/// attributes do. Texts that are no JSON are the same as nothing.
pub fn same(a: &str, b: &str) -> bool {
    let of = |text: &str| serde_json::from_str::<Value>(text).ok().map(|json| schema(&json, ""));
    matches!((of(a), of(b)), (Some(a), Some(b)) if a == b)
}

/// `schema` with the types that `references` define put in where each is first used, so that it
/// stands by itself. A text that is no JSON is left as it is, for a parser to tell of.
pub fn self_contained(schema: &str, references: &[String]) -> String {
    let parsed =
        |text: &str| serde_json::from_str::<Value>(text).ok().map(|json| self::schema(&json, ""));
    if references.is_empty() {
        return schema.to_owned();
    }
    let mut inlining = Inlining::default();
    for reference in references.iter().filter_map(|text| parsed(text)) {
        inlining.learn(&reference);
    }
    parsed(schema).map_or_else(|| schema.to_owned(), |json| inlining.inline(&json).to_string())
}

/// Named types in their one spelling, to be put in.
#[derive(Default)]
struct Inlining {
    types: HashMap<String, Value>,
    /// Those that stand in the text already.
    defined: HashSet<String>,
}

impl Inlining {
    /// Takes in the named types in `json`, at any depth.
    fn learn(&mut self, json: &Value) {
        match json {
            Value::Array(branches) => branches.iter().for_each(|branch| self.learn(branch)),
            Value::Object(object) => {
                if let Some(name) = named(object) {
                    self.types.insert(name.to_owned(), json.clone());
                }
                parts(object).for_each(|part| self.learn(part));
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

/// The name of a named type in its one spelling.
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

/// The one spelling of a schema that stands within `namespace`.
fn schema(json: &Value, namespace: &str) -> Value {
    match json {
        Value::String(name) => Value::String(full(name, namespace)),
        Value::Array(branches) => branches.iter().map(|branch| schema(branch, namespace)).collect(),
        Value::Object(object) => type_of(object, namespace),
        other => other.clone(),
    }
}

/// An empty list of aliases says as much as none.
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
        // A schema in a wrapper, which says nothing or adds a logical type.
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
    fn spelling_makes_no_difference() {
        let there = r#"{"name":"a.R","fields":[
            {"doc":"X.","type":{"type":"int"},"default":0,"name":"x","order":"ascending"},
            {"name":"e","type":{"type":"enum","symbols":["A"],"namespace":"a","name":"E"}},
            {"name":"f","type":["null","a.E"]}],"type":"record","doc":"D."}"#;

        assert!(same(HERE, there));
    }

    #[test]
    fn what_it_says_does() {
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
    fn references_are_put_in_where_they_are_first_used() {
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
