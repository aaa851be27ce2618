//! Definitions of records: their fields, and names that tell the fields apart.

use std::collections::HashMap;

use jsonc_parser::{
    ast::{Object, Value},
    common::Ranged,
};

use super::{
    super::{
        json,
        model::{Default, Field, Kind, NULL, Name, Record, Span, Use},
        names,
        rule::{Invalid, Rule},
    },
    reader::{Reader, step},
};

impl Reader {
    /// Reads the fields of a record.
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
                    "{:?} alone is no type: its attributes belong into the same object",
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

    /// Reports names and aliases that two fields share.
    fn field_names(&mut self, fields: &[Field], path: &str) {
        let (mut names, mut aliases) =
            (HashMap::<&str, Vec<usize>>::new(), HashMap::<&str, usize>::new());
        for (index, field) in fields.iter().enumerate() {
            names.entry(&field.name).or_default().push(index);
            for (alias, _) in &field.aliases {
                aliases.entry(alias).or_insert(index);
            }
        }
        for (index, field) in fields.iter().enumerate() {
            if names[field.name.as_str()][0] < index {
                self.problems.push(Invalid {
                    rule: Rule::DuplicateField,
                    path: step(path, &field.name),
                    span: field.name_span,
                    message: format!("there is already a field {}", field.name),
                    help: None,
                });
            }
            for (alias, span) in &field.aliases {
                // The first other field of this name, or the first one before with this alias.
                let named = names.get(alias.as_str()).into_iter().flatten();
                let named = named.copied().find(|other| *other != index);
                let before = aliases.get(alias.as_str()).copied().filter(|other| *other < index);
                let other = named.into_iter().chain(before).min().map(|other| &fields[other]);
                if let Some(other) = other {
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
}
