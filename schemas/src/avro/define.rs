//! Definitions of records, enums and fixed.

use jsonc_parser::{
    ast::{Object, Value},
    common::{Range, Ranged},
};

use super::{
    is_primitive, json,
    model::{Default, Enum, Field, Fixed, Kind, NULL, Name, Record, Span, Use},
    names,
    parse::{Reader, step},
    rule::{Invalid, Rule},
};

impl Reader {
    pub(super) fn record(
        &mut self,
        object: &Object<'_>,
        name: Name,
        name_span: Span,
        path: &str,
    ) -> (Kind, &'static [&'static str]) {
        let aliases = self.type_aliases(object, &name, path);
        let doc = self.doc(object, path);
        let mut fields: Vec<Field> = Vec::new();
        match object.get("fields").map(|property| &property.value) {
            Some(Value::Array(array)) => {
                for element in &array.elements {
                    fields.extend(self.field(element, name.namespace(), path));
                }
            }
            Some(other) => {
                let message = format!("\"fields\" is a list of fields, not {}", json::kind(other));
                self.problem(Rule::Attribute, path, other.range(), message);
            }
            None => {
                self.problem(
                    Rule::Attribute,
                    path,
                    object.range,
                    format!("record {name} has no \"fields\""),
                )
                .help = Some("a record without fields has \"fields\": []".to_owned());
            }
        }
        self.field_names(&fields, path);
        let record = Record { name, name_span, aliases, doc, fields };
        (Kind::Record(record), &["type", "name", "namespace", "aliases", "doc", "fields"])
    }

    fn field(&mut self, element: &Value<'_>, namespace: &str, path: &str) -> Option<Field> {
        let Value::Object(object) = element else {
            let message = format!("a field is an object, not {}", json::kind(element));
            self.problem(Rule::Attribute, path, element.range(), message);
            return None;
        };
        self.duplicate_keys(object, path);
        let Some((name, range)) = self.string(object, "name", "a field", path) else {
            if let Some(kind) = object.get("type") {
                self.schema(&kind.value, namespace, path);
            }
            return None;
        };
        let path = step(path, &name);
        if !names::is_name(&name) {
            let message = format!("{name:?} is no name for a field");
            self.problem(Rule::Name, &path, range, message).help = Some(names::HELP.to_owned());
        }
        let Some(kind) = object.get("type") else {
            self.problem(
                Rule::Attribute,
                &path,
                object.range,
                format!("field {name} has no \"type\""),
            );
            return None;
        };
        let kind = match &kind.value {
            Value::StringLit(word)
                if matches!(&*word.value, "record" | "enum" | "fixed" | "array" | "map") =>
            {
                let message = format!(
                    "{:?} alone is no type: its attributes stand beside the word",
                    word.value
                );
                self.problem(Rule::UnknownType, &path, word.range, message).help =
                    Some(format!("write \"type\": {{\"type\": {:?}, ...}}", word.value));
                Use { id: NULL, span: self.span(word.range) }
            }
            value => self.schema(value, namespace, &path),
        };
        let aliases = self.aliases(object, &path);
        let doc = self.doc(object, &path);
        let order_told = json::text(object, "order").unwrap_or("ascending").to_owned();
        if let Some(order) = object.get("order") {
            let known = matches!(&order.value, Value::StringLit(word) if matches!(&*word.value, "ascending" | "descending" | "ignore"));
            if !known {
                let message = "a field's \"order\" is \"ascending\", \"descending\" or \"ignore\"";
                self.problem(Rule::Attribute, &path, order.value.range(), message);
            }
        }
        let default = object.get("default").map(|property| Default {
            json: property.value.clone().into(),
            span: self.span(property.value.range()),
        });
        let mut extra = Vec::new();
        for property in &object.properties {
            let attribute = property.name.as_str();
            if ["name", "type", "doc", "order", "aliases"].contains(&attribute) {
                continue;
            }
            self.duplicate_keys_within(&property.value, &path);
            if attribute != "default" {
                let span = self.span(json::name_range(property));
                extra.push((attribute.to_owned(), property.value.clone().into(), span));
            }
        }
        let (name_span, span) = (self.span(range), self.span(object.range));
        Some(Field { name, name_span, span, aliases, doc, order: order_told, kind, default, extra })
    }

    /// Names of fields and their aliases must tell which field is meant.
    fn field_names(&mut self, fields: &[Field], path: &str) {
        for (index, field) in fields.iter().enumerate() {
            if fields[..index].iter().any(|other| other.name == field.name) {
                self.problems.push(Invalid {
                    rule: Rule::DuplicateField,
                    path: step(path, &field.name),
                    span: field.name_span,
                    message: format!("there is already a field {}", field.name),
                    help: None,
                });
            }
            for (alias, span) in &field.aliases {
                let other = fields.iter().enumerate().find(|(other_index, other)| {
                    *other_index != index
                        && (other.name == *alias
                            || *other_index < index
                                && other.aliases.iter().any(|(one, _)| one == alias))
                });
                if let Some((_, other)) = other {
                    let also = if other.name == *alias {
                        "is the name of another field"
                    } else {
                        "is an alias of another field too"
                    };
                    self.problems.push(Invalid {
                        rule: Rule::AmbiguousAlias,
                        path: step(path, &field.name),
                        span: *span,
                        message: format!(
                            "alias {alias} {also}, so that a reader can't know which one is meant"
                        ),
                        help: Some("take the alias away".to_owned()),
                    });
                }
            }
        }
    }

    pub(super) fn enumeration(
        &mut self,
        object: &Object<'_>,
        name: Name,
        name_span: Span,
        path: &str,
    ) -> (Kind, &'static [&'static str]) {
        let aliases = self.type_aliases(object, &name, path);
        let doc = self.doc(object, path);
        let mut symbols: Vec<(String, Span)> = Vec::new();
        match object.get("symbols").map(|property| &property.value) {
            Some(Value::Array(array)) => {
                for element in &array.elements {
                    let Value::StringLit(symbol) = element else {
                        let message = format!("a symbol is a string, not {}", json::kind(element));
                        self.problem(Rule::Attribute, path, element.range(), message);
                        continue;
                    };
                    if !names::is_name(&symbol.value) {
                        let message = format!("{:?} is no name for a symbol", symbol.value);
                        self.problem(Rule::Name, path, symbol.range, message).help =
                            Some(names::HELP.to_owned());
                    }
                    if symbols.iter().any(|(other, _)| *other == symbol.value) {
                        let message = format!("symbol {} is there already", symbol.value);
                        self.problem(Rule::DuplicateSymbol, path, symbol.range, message);
                    }
                    symbols.push((symbol.value.to_string(), self.span(symbol.range)));
                }
            }
            Some(other) => {
                let message =
                    format!("\"symbols\" is a list of strings, not {}", json::kind(other));
                self.problem(Rule::Attribute, path, other.range(), message);
            }
            None => {
                self.problem(
                    Rule::Attribute,
                    path,
                    object.range,
                    format!("enum {name} has no \"symbols\""),
                );
            }
        }
        let mut default = None;
        if let Some(property) = object.get("default") {
            match &property.value {
                Value::StringLit(symbol) if symbols.iter().any(|(one, _)| *one == symbol.value) => {
                    default = Some(symbol.value.to_string());
                }
                other => {
                    let told = match other {
                        Value::StringLit(symbol) => format!("{:?}", symbol.value),
                        other => json::kind(other).to_owned(),
                    };
                    let all: Vec<_> = symbols.iter().map(|(symbol, _)| symbol.as_str()).collect();
                    let message =
                        format!("the default of {name} is {told}, which is none of its symbols");
                    self.problem(Rule::EnumDefault, path, other.range(), message).help =
                        Some(format!("its symbols are {}", all.join(", ")));
                }
            }
        }
        let one = Enum { name, name_span, aliases, doc, symbols, default };
        (Kind::Enum(one), &["type", "name", "namespace", "aliases", "doc", "symbols", "default"])
    }

    pub(super) fn fixed(
        &mut self,
        object: &Object<'_>,
        name: Name,
        name_span: Span,
        path: &str,
    ) -> (Kind, &'static [&'static str]) {
        let aliases = self.type_aliases(object, &name, path);
        let doc = self.doc(object, path);
        let size = match object.get("size").map(|property| &property.value) {
            Some(Value::NumberLit(number)) => match number.value.parse() {
                Ok(size) => size,
                Err(_) => {
                    let message =
                        format!("a size is a whole number of bytes, not {}", number.value);
                    self.problem(Rule::FixedSize, path, number.range, message);
                    0
                }
            },
            Some(other) => {
                let message =
                    format!("a size is a whole number of bytes, not {}", json::kind(other));
                self.problem(Rule::FixedSize, path, other.range(), message);
                0
            }
            None => {
                self.problem(
                    Rule::Attribute,
                    path,
                    object.range,
                    format!("fixed {name} has no \"size\""),
                );
                0
            }
        };
        let one = Fixed { name, name_span, aliases, doc, size };
        (Kind::Fixed(one), &["type", "name", "namespace", "aliases", "doc", "size"])
    }

    /// The full name of a definition, and where its "name" stands.
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
        if is_primitive(name.simple()) {
            let message =
                format!("{} is a primitive type; no other type can have its name", name.simple());
            self.problem(Rule::PrimitiveName, path, range, message);
            return None;
        }
        Some((name, range))
    }

    fn type_aliases(&mut self, object: &Object<'_>, name: &Name, path: &str) -> Vec<(Name, Span)> {
        let aliases = self.aliases(object, path);
        aliases
            .into_iter()
            .map(|(alias, span)| (Name(names::qualify(&alias, name.namespace())), span))
            .collect()
    }

    fn aliases(&mut self, object: &Object<'_>, path: &str) -> Vec<(String, Span)> {
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

    fn doc(&mut self, object: &Object<'_>, path: &str) -> Option<String> {
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
