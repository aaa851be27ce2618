//! The differences between the fields of two versions of a record.

use schemas::{avro::Field, compatibility::Kind as Problem};

use super::walk::{Walk, attribute};

impl Walk<'_> {
    /// Compares the fields of a record: added, removed, renamed, reordered, and each kept one.
    pub(super) fn fields(&mut self, old: &[Field], new: &[Field], path: &str) {
        let step =
            |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        let mut kept = Vec::new();
        for field in new {
            let is_old_name = |name: &str| field.aliases.iter().any(|(alias, _)| alias == name);
            let by_name = old.iter().position(|other| other.name == field.name);
            let Some(index) =
                by_name.or_else(|| old.iter().position(|other| is_old_name(&other.name)))
            else {
                let default = field.default.as_ref();
                let default = default
                    .map_or("no default".to_owned(), |default| format!("default {}", default.json));
                let message =
                    format!("this field is new: {}, {default}", self.new.describe(field.kind.id));
                let kinds = &[Problem::FieldWithoutDefault, Problem::NullFieldAdded];
                self.say(
                    "field-added",
                    &step(&field.name),
                    message,
                    (None, Some(field.name_span)),
                    kinds,
                );
                continue;
            };
            kept.push(index);
            let other = &old[index];
            let path = step(&field.name);
            let at = (Some(other.name_span), Some(field.name_span));
            if other.name != field.name {
                let message = format!("field {} is now called {}", other.name, field.name);
                let kinds = &[Problem::ReadByAlias, Problem::FieldWithoutDefault];
                self.say("field-renamed", &path, message, at, kinds);
            }
            self.compare(other.kind, field.kind, &path);
            let json = |field: &Field| field.default.as_ref().map(|default| default.json.clone());
            if json(other) != json(field) {
                let text = |field| json(field).map_or("none".to_owned(), |json| json.to_string());
                let message =
                    format!("the default was {}, and is now {}", text(other), text(field));
                let at = (
                    other.default.as_ref().map_or(at.0, |default| Some(default.span)),
                    field.default.as_ref().map_or(at.1, |default| Some(default.span)),
                );
                self.say("default-changed", &path, message, at, &[]);
            }
            self.docs(other.doc.as_deref(), field.doc.as_deref(), at, &path);
            let aliases = |field: &Field| {
                field.aliases.iter().map(|(alias, _)| alias.clone()).collect::<Vec<_>>()
            };
            if aliases(other) != aliases(field) {
                self.say("aliases-changed", &path, "its aliases have changed".to_owned(), at, &[]);
            }
            if other.order != field.order {
                let message = format!("the order was {}, and is now {}", other.order, field.order);
                self.say("order-changed", &path, message, at, &[]);
            }
            let extra = |field: &Field| {
                field.extra.iter().map(|(name, value, _)| attribute(name, value)).collect()
            };
            self.attributes(extra(other), extra(field), at, &path);
        }
        if !kept.is_sorted() {
            let at = (
                old.first().map(|field| field.name_span),
                new.first().map(|field| field.name_span),
            );
            self.say(
                "fields-reordered",
                path,
                "the fields are in another order".to_owned(),
                at,
                &[],
            );
        }
        for (index, field) in old.iter().enumerate() {
            if !kept.contains(&index) {
                let message =
                    format!("this field is gone: it was {}", self.old.describe(field.kind.id));
                let kinds = &[Problem::FieldWithoutDefault, Problem::NullFieldAdded];
                self.say(
                    "field-removed",
                    &step(&field.name),
                    message,
                    (Some(field.name_span), None),
                    kinds,
                );
            }
        }
    }
}
