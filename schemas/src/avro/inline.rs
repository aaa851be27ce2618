//! One text out of several: a schema with every type that it uses inlined at first use.
//!
//! It keeps the spelling and the order of attributes, because the result is released and
//! registered. It takes parsed texts and parses nothing itself.

use std::collections::{BTreeSet, HashMap};

use serde_json::{Map, Value};

use super::{names::qualify, primitive};

/// The named types of parsed texts, as they were written.
#[derive(Debug)]
pub struct Definitions<'a>(HashMap<String, &'a Map<String, Value>>);

/// A schema that can't be one text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InlineError {
    /// A type that holds itself.
    #[error("{0} contains itself, which no reader could bound")]
    Recursive(String),
    /// A name without a definition.
    #[error("no file defines {0}")]
    Unknown(String),
}

impl<'a> Definitions<'a> {
    /// The named types of texts that were [parsed](super::Parsed).
    pub fn of(json: &'a [Option<Value>]) -> Self {
        let mut definitions = Self(HashMap::new());
        for json in json.iter().flatten() {
            definitions.add(json, "");
        }
        definitions
    }

    /// Adds the named types in `json`, at any depth.
    fn add(&mut self, json: &'a Value, namespace: &str) {
        match json {
            Value::Array(branches) => {
                branches.iter().for_each(|branch| self.add(branch, namespace))
            }
            Value::Object(object) => {
                let named = name_of(object, namespace);
                let within = named.as_ref().map_or(namespace, |full| namespace_of(full));
                let fields = object.get("fields").and_then(Value::as_array).into_iter().flatten();
                let parts =
                    ["type", "items", "values"].into_iter().filter_map(|key| object.get(key));
                for part in parts.chain(fields.filter_map(|field| field.get("type"))) {
                    self.add(part, within);
                }
                if let Some(full) = named {
                    self.0.insert(full, object);
                }
            }
            _ => {}
        }
    }

    /// The schema of the type `full` with every type that it uses inlined at first use, and
    /// referred to by full name afterwards.
    ///
    /// # Errors
    /// If a type holds itself, or has no definition.
    pub fn self_contained(&self, full: &str) -> Result<Value, InlineError> {
        self.inline(&Value::String(full.to_owned()), "", &mut BTreeSet::new(), &mut Vec::new())
    }

    /// Inlines the types of a type within `namespace`. `seen` are the types that the
    /// text already defines, `within` the records around the type.
    fn inline(
        &self,
        json: &Value,
        namespace: &str,
        seen: &mut BTreeSet<String>,
        within: &mut Vec<String>,
    ) -> Result<Value, InlineError> {
        match json {
            Value::String(name) if primitive::kind(name).is_some() => Ok(json.clone()),
            Value::String(name) => {
                let full = qualify(name, namespace);
                if within.contains(&full) {
                    return Err(InlineError::Recursive(full));
                }
                if seen.contains(&full) {
                    return Ok(Value::String(full));
                }
                let Some(definition) = self.0.get(&full) else {
                    return Err(InlineError::Unknown(full));
                };
                self.inline_object(definition, namespace_of(&full), seen, within)
            }
            Value::Array(branches) => branches
                .iter()
                .map(|branch| self.inline(branch, namespace, seen, within))
                .collect::<Result<_, _>>()
                .map(Value::Array),
            Value::Object(object) => self.inline_object(object, namespace, seen, within),
            other => Ok(other.clone()),
        }
    }

    fn inline_object(
        &self,
        object: &Map<String, Value>,
        namespace: &str,
        seen: &mut BTreeSet<String>,
        within: &mut Vec<String>,
    ) -> Result<Value, InlineError> {
        if let Some(full) = name_of(object, namespace) {
            return self.inline_definition(object, full, seen, within);
        }
        let mut inlined = object.clone();
        for part in ["items", "values"] {
            if let Some(inner) = inlined.get_mut(part) {
                *inner = self.inline(inner, namespace, seen, within)?;
            }
        }
        Ok(Value::Object(inlined))
    }

    fn inline_definition(
        &self,
        object: &Map<String, Value>,
        full: String,
        seen: &mut BTreeSet<String>,
        within: &mut Vec<String>,
    ) -> Result<Value, InlineError> {
        if within.contains(&full) {
            return Err(InlineError::Recursive(full));
        }
        if !seen.insert(full.clone()) {
            return Ok(Value::String(full));
        }
        let namespace = namespace_of(&full);
        let mut inlined = Map::new();
        for (key, value) in object {
            inlined.insert(key.clone(), value.clone());
            if key == "name" {
                inlined.insert("namespace".to_owned(), Value::String(namespace.to_owned()));
            }
        }
        within.push(full.clone());
        for field in inlined.get_mut("fields").and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(kind) = field.get_mut("type") {
                *kind = self.inline(kind, namespace, seen, within)?;
            }
        }
        within.pop();
        Ok(Value::Object(inlined))
    }
}

/// The full name of a definition; `None` for a type without a name.
fn name_of(object: &Map<String, Value>, enclosing: &str) -> Option<String> {
    let kind = object.get("type")?.as_str()?;
    if !matches!(kind, "record" | "enum" | "fixed") {
        return None;
    }
    let namespace = object.get("namespace").and_then(Value::as_str).unwrap_or(enclosing);
    Some(qualify(object.get("name")?.as_str()?, namespace))
}

fn namespace_of(full: &str) -> &str {
    full.rsplit_once('.').map_or("", |(namespace, _)| namespace)
}
