//! What records, enums and fixed types have in common: a name, aliases, a doc, one definition.

use jsonc_parser::{
    ast::{Object, Value},
    common::{Range, Ranged},
};

use super::{
    super::{
        json,
        model::{Kind, NULL, Name, Span, Type, TypeId},
        names::{self, Named},
        primitive,
        rule::Rule,
    },
    reader::Reader,
};

/// Reads the rest of a named type's definition, and returns the attributes that it knows.
pub(super) type Define =
    fn(&mut Reader, &Object<'_>, Name, Span, &str) -> (Kind, &'static [&'static str]);

impl Reader {
    /// Reads a record, an enum or a fixed type. Its own definition may already refer to its name.
    pub(super) fn named_type(
        &mut self,
        object: &Object<'_>,
        namespace: &str,
        path: &str,
        define: Define,
    ) -> TypeId {
        let Some((name, range)) = self.name_of(object, namespace, path) else {
            // Its parts may have problems of their own.
            let span = self.span(object.range);
            define(self, object, Name(names::qualify("_", namespace)), span, path);
            return NULL;
        };
        let span = self.span(range);
        let known = self.named.get(name.full()).map(|named| (named.id, named.defined));
        let id = match known {
            Some((_, Some(_))) => {
                let message = format!("{name} is defined a second time");
                self.problem(Rule::DuplicateType, path, range, message).help = Some(format!(
                    "refer to the first definition by its name, {:?}, or take another name",
                    name.full()
                ));
                self.add(Type::plain(Kind::Null))
            }
            Some((id, None)) => {
                self.define(&name, id, span);
                id
            }
            None => {
                let id = self.add(Type::plain(Kind::Null));
                self.define(&name, id, span);
                id
            }
        };
        let (kind, known) = define(self, object, name, span, path);
        self.attributed(object, kind, known, path);
        // It was added at the end, but it has the id that its name got before.
        let one = self.schemas.types.pop().expect("one was added");
        self.schemas.types[id.0 as usize] = one;
        id
    }

    pub(super) fn define(&mut self, name: &Name, id: TypeId, span: Span) {
        let named = self.named.entry(name.0.clone()).or_insert(Named {
            id,
            defined: None,
            mentions: Vec::new(),
        });
        named.defined = Some(span);
        self.schemas.names.insert(name.0.clone(), id);
    }

    /// The full name of a definition, and the range of its "name".
    pub(super) fn name_of(
        &mut self,
        object: &Object<'_>,
        enclosing: &str,
        path: &str,
    ) -> Option<(Name, Range)> {
        let (name, range) = self.string(object, "name", "a named type", path)?;
        let mut namespace = enclosing.to_owned();
        if let Some(property) = object.get("namespace") {
            match &property.value {
                Value::StringLit(text) => {
                    namespace = text.value.to_string();
                    if !namespace.is_empty() && !namespace.split('.').all(names::is_name) {
                        let message = format!("{namespace:?} is no namespace");
                        self.problem(Rule::Name, path, text.range, message).help = Some(
                            "a namespace is names with dots between, each of letters, digits and _"
                                .to_owned(),
                        );
                        return None;
                    }
                }
                other => {
                    let message = format!("a namespace is a string, not {}", json::kind(other));
                    self.problem(Rule::Attribute, path, other.range(), message).help =
                        Some("the null namespace is \"\"".to_owned());
                }
            }
        }
        if !name.split('.').all(names::is_name) {
            let message = format!("{name:?} is no name for a type");
            self.problem(Rule::Name, path, range, message).help = Some(names::HELP.to_owned());
            return None;
        }
        let name = Name(names::qualify(&name, &namespace));
        if primitive::kind(name.simple()).is_some() {
            let message =
                format!("{} is a primitive type; no other type can have its name", name.simple());
            self.problem(Rule::PrimitiveName, path, range, message);
            return None;
        }
        Some((name, range))
    }

    pub(super) fn type_aliases(
        &mut self,
        object: &Object<'_>,
        name: &Name,
        path: &str,
    ) -> Vec<(Name, Span)> {
        let aliases = self.aliases(object, path);
        aliases
            .into_iter()
            .map(|(alias, span)| (Name(names::qualify(&alias, name.namespace())), span))
            .collect()
    }

    pub(super) fn aliases(&mut self, object: &Object<'_>, path: &str) -> Vec<(String, Span)> {
        let mut aliases = Vec::new();
        match object.get("aliases").map(|property| &property.value) {
            None => {}
            Some(Value::Array(array)) => {
                for element in &array.elements {
                    match element {
                        Value::StringLit(alias) => {
                            aliases.push((alias.value.to_string(), self.span(alias.range)))
                        }
                        other => {
                            let message =
                                format!("an alias is a string, not {}", json::kind(other));
                            self.problem(Rule::Attribute, path, other.range(), message);
                        }
                    }
                }
            }
            Some(other) => {
                let message =
                    format!("\"aliases\" is a list of strings, not {}", json::kind(other));
                self.problem(Rule::Attribute, path, other.range(), message);
            }
        }
        aliases
    }

    pub(super) fn doc(&mut self, object: &Object<'_>, path: &str) -> Option<String> {
        match &object.get("doc")?.value {
            Value::StringLit(doc) => Some(doc.value.to_string()),
            other => {
                let message = format!("a \"doc\" is a string, not {}", json::kind(other));
                self.problem(Rule::Attribute, path, other.range(), message);
                None
            }
        }
    }
}
