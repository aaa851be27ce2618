//! Whether two texts are one schema, however they are spelled.

use serde_json::{Map, Value};

/// Whether `a` and `b` say the same: the order of attributes, names with or without their namespace, and `{"type":
/// "int"}` for `"int"` make no difference; docs, defaults and all other attributes do. Texts that are no JSON are the
/// same as nothing.
pub fn same(a: &str, b: &str) -> bool {
    let of = |text: &str| serde_json::from_str::<Value>(text).ok().map(|json| schema(&json, ""));
    matches!((of(a), of(b)), (Some(a), Some(b)) if a == b)
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

fn type_of(object: &Map<String, Value>, enclosing: &str) -> Value {
    let kind = object.get("type").unwrap_or(&Value::Null);
    let mut spelled = object.clone();
    let namespace = match kind.as_str() {
        Some("record" | "error" | "enum" | "fixed") => {
            let given = object.get("namespace").and_then(Value::as_str).unwrap_or(enclosing);
            let name = full(object.get("name").and_then(Value::as_str).unwrap_or_default(), given);
            let namespace = name.rsplit_once('.').map_or("", |(namespace, _)| namespace).to_owned();
            for alias in spelled.get_mut("aliases").and_then(Value::as_array_mut).into_iter().flatten() {
                if let Value::String(text) = alias {
                    *text = full(text, &namespace);
                }
            }
            spelled.insert("name".to_owned(), Value::String(name));
            spelled.shift_remove("namespace");
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
        if field.get("order").is_some_and(|order| order == "ascending")
            && let Value::Object(field) = field
        {
            field.shift_remove("order");
        }
    }
    Value::Object(spelled)
}

fn full(name: &str, namespace: &str) -> String {
    let is_primitive =
        matches!(name, "null" | "boolean" | "int" | "long" | "float" | "double" | "bytes" | "string");
    if is_primitive || name.contains('.') || namespace.is_empty() {
        return name.to_owned();
    }
    format!("{namespace}.{name}")
}

#[cfg(test)]
mod tests {
    use super::same;

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
}
