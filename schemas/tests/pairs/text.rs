//! The text of a random schema.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::shape::{Naming, Shape};

impl Shape {
    /// The schema's text.
    pub(crate) fn json(&self) -> String {
        self.text(&mut BTreeMap::new(), "", "").to_string()
    }

    fn text<'a>(
        &'a self,
        seen: &mut BTreeMap<String, &'a Self>,
        enclosing: &str,
        around: &str,
    ) -> Json {
        // apache-avro takes an empty namespace for none, so that there is no way out of a
        // namespace.
        let within = |naming: &Naming| if enclosing.is_empty() { naming.namespace } else { "n" };
        let mut define = |naming: &Naming| {
            let full = |name: &str| match within(naming) {
                "" => name.to_owned(),
                namespace => format!("{namespace}.{name}"),
            };
            let mut name = naming.name.to_owned();
            // A type without a namespace can be referred to only where there is none around.
            let is_here = enclosing.is_empty() && naming.namespace.is_empty();
            while let Some(other) = seen.get(&full(&name)) {
                if is_here && *other == self && !self.holds_around() {
                    return Err(json!(name));
                }
                name.push('_');
            }
            seen.insert(full(&name), self);
            let aliases: Vec<_> = naming.alias.into_iter().collect();
            let definition =
                json!({ "name": name, "namespace": within(naming), "aliases": aliases });
            Ok((definition, full(&name)))
        };
        let mut defined = match self {
            Self::Plain(name) => return json!(name),
            Self::Logical(logical, base) => return json!({ "type": base, "logicalType": logical }),
            Self::Array(inner) => {
                return json!({ "type": "array", "items": inner.text(seen, enclosing, around) });
            }
            Self::Map(inner) => {
                return json!({ "type": "map", "values": inner.text(seen, enclosing, around) });
            }
            Self::Union(branches) => {
                return branches
                    .iter()
                    .map(|branch| branch.text(seen, enclosing, around))
                    .collect();
            }
            Self::Around if around.is_empty() => return json!("null"),
            Self::Around => return json!(["null", around]),
            Self::Enum(naming, ..) | Self::Fixed(naming, _) | Self::Record(naming, _) => {
                define(naming)
            }
        };
        let (definition, full) = match &mut defined {
            Ok((definition, full)) => (definition, full),
            Err(reference) => return reference.take(),
        };
        match self {
            Self::Enum(_, symbols, has_default) => {
                definition["type"] = json!("enum");
                definition["symbols"] = json!(symbols);
                if *has_default {
                    definition["default"] = json!(symbols[0]);
                }
            }
            Self::Fixed(_, size) => {
                definition["type"] = json!("fixed");
                definition["size"] = json!(size);
            }
            Self::Record(naming, fields) => {
                definition["type"] = json!("record");
                let fields = fields.iter().map(|field| {
                    let kind = field.shape.text(seen, within(naming), full);
                    let aliases: Vec<_> = field.alias.into_iter().collect();
                    let mut one = json!({ "name": field.name, "aliases": aliases, "type": kind });
                    if field.has_default {
                        one["default"] = field.shape.default();
                    }
                    one
                });
                definition["fields"] = fields.collect();
            }
            _ => {}
        }
        definition.take()
    }

    fn holds_around(&self) -> bool {
        match self {
            Self::Array(inner) | Self::Map(inner) => inner.holds_around(),
            Self::Union(branches) => branches.iter().any(Self::holds_around),
            Self::Record(_, fields) => fields.iter().any(|field| field.shape.holds_around()),
            shape => *shape == Self::Around,
        }
    }

    fn default(&self) -> Json {
        match self {
            Self::Plain("null") | Self::Around => Json::Null,
            Self::Plain("boolean") => json!(false),
            Self::Logical("uuid", _) => json!(Uuid::nil().to_string()),
            Self::Plain("string" | "bytes") => json!(""),
            Self::Plain(_) | Self::Logical(..) => json!(0),
            Self::Array(_) => json!([]),
            Self::Map(_) => json!({}),
            Self::Union(branches) => branches[0].default(),
            Self::Record(_, fields) => {
                fields.iter().map(|field| (field.name.to_owned(), field.shape.default())).collect()
            }
            Self::Enum(_, symbols, _) => json!(symbols[0]),
            Self::Fixed(_, size) => json!("0".repeat(*size)),
        }
    }
}
