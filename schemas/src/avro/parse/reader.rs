//! The state of parsing: the types so far, the names so far, and the problems.

use std::collections::{BTreeMap, HashMap, HashSet};

use jsonc_parser::{
    ast::{Object, Value},
    common::{Range, Ranged},
};

use super::super::{
    json,
    model::{Kind, Span, Type, TypeId},
    names::Named,
    primitive,
    rule::{Invalid, Rule},
    schemas::Schemas,
};

/// The types, names and problems of the texts that were read so far.
pub(super) struct Reader {
    pub(super) schemas: Schemas,
    /// The texts as JSON.
    pub(super) json: Vec<Option<serde_json::Value>>,
    pub(super) named: BTreeMap<String, Named>,
    pub(super) problems: Vec<Invalid>,
    /// The text that is being read.
    pub(super) source: u32,
}

impl Reader {
    pub(super) fn new() -> Self {
        let types = primitive::KINDS.iter().cloned().map(Type::plain).collect();
        Self {
            schemas: Schemas { types, roots: Vec::new(), names: HashMap::new() },
            json: Vec::new(),
            named: BTreeMap::new(),
            problems: Vec::new(),
            source: 0,
        }
    }

    pub(super) fn span(&self, range: Range) -> Span {
        let byte = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Span { source: self.source, start: byte(range.start), end: byte(range.end) }
    }

    pub(super) fn problem(
        &mut self,
        rule: Rule,
        path: &str,
        at: Range,
        message: impl Into<String>,
    ) -> &mut Invalid {
        let span = self.span(at);
        self.problems.push(Invalid {
            rule,
            path: path.to_owned(),
            span,
            message: message.into(),
            help: None,
        });
        self.problems.last_mut().expect("one was pushed")
    }

    pub(super) fn add(&mut self, one: Type) -> TypeId {
        self.schemas.types.push(one);
        TypeId(u32::try_from(self.schemas.types.len() - 1).expect("fewer types than bytes"))
    }

    /// A string attribute that `what` must have.
    pub(super) fn string(
        &mut self,
        object: &Object<'_>,
        attribute: &str,
        what: &str,
        path: &str,
    ) -> Option<(String, Range)> {
        match object.get(attribute).map(|property| &property.value) {
            Some(Value::StringLit(text)) => Some((text.value.to_string(), text.range)),
            Some(other) => {
                let message = format!("{attribute:?} is a string, not {}", json::kind(other));
                self.problem(Rule::Attribute, path, other.range(), message);
                None
            }
            None => {
                self.problem(
                    Rule::Attribute,
                    path,
                    object.range,
                    format!("{what} needs a {attribute:?}"),
                );
                None
            }
        }
    }

    pub(super) fn duplicate_keys(&mut self, object: &Object<'_>, path: &str) {
        let mut known = HashSet::new();
        for property in &object.properties {
            let name = property.name.as_str();
            if !known.insert(name) {
                self.problem(
                    Rule::DuplicateKey,
                    path,
                    json::name_range(property),
                    format!("{name:?} occurs twice in one object"),
                );
            }
        }
    }

    /// The same for every object in a value without types: a default, or an attribute that Avro
    /// does not define.
    pub(super) fn duplicate_keys_within(&mut self, value: &Value<'_>, path: &str) {
        match value {
            Value::Object(object) => {
                self.duplicate_keys(object, path);
                object
                    .properties
                    .iter()
                    .for_each(|inner| self.duplicate_keys_within(&inner.value, path));
            }
            Value::Array(array) => {
                array.elements.iter().for_each(|inner| self.duplicate_keys_within(inner, path));
            }
            _ => {}
        }
    }
}

/// The path of a field below `path`.
pub(super) fn step(path: &str, field: &str) -> String {
    if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") }
}

impl Type {
    /// A type without attributes.
    pub(super) fn plain(kind: Kind) -> Self {
        Self { kind, span: None, logical: None, ignored_logical: None, extra: Vec::new() }
    }
}
