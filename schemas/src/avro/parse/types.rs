//! Types of any kind: references, unions, and objects with attributes.

use jsonc_parser::{
    ast::{Object, StringLit, Value},
    common::{Range, Ranged},
};

use super::{
    super::{
        ignored::Ignored,
        json::{self, NotJson},
        logical::logical,
        model::{Kind, Logical, NULL, Span, Type, TypeId, Use},
        names::{self, Mention, Named},
        primitive,
        rule::Rule,
    },
    reader::Reader,
};

impl Reader {
    /// Reads a text, and adds its type and its JSON.
    pub(super) fn text(&mut self, text: &str) {
        let (root, json) = match json::read(text) {
            Ok(read) => (read.tree.map(|tree| self.schema(&tree, "", "")), Some(read.value)),
            Err(NotJson { at, why }) => {
                self.problem(Rule::Json, "", at, format!("this is not JSON: {why}"));
                (None, None)
            }
        };
        self.schemas.roots.push(root);
        self.json.push(json);
    }

    /// Reads a type. Returns a placeholder if there is none.
    pub(super) fn schema(&mut self, value: &Value<'_>, namespace: &str, path: &str) -> Use {
        let id = match value {
            Value::StringLit(name) => self.reference(name, namespace, path, false),
            Value::Array(branches) => {
                self.union(&branches.elements, branches.range, namespace, path)
            }
            Value::Object(object) => self.object(object, namespace, path),
            other => {
                self.problem(
                    Rule::Attribute,
                    path,
                    other.range(),
                    format!(
                        "a type is a name, an object or an array of branches; this is {}",
                        json::kind(other)
                    ),
                );
                NULL
            }
        };
        Use { id, span: self.span(value.range()) }
    }

    pub(super) fn reference(
        &mut self,
        name: &StringLit<'_>,
        namespace: &str,
        path: &str,
        nested: bool,
    ) -> TypeId {
        if let Some(index) = primitive::index_of(&name.value) {
            return index;
        }
        let full = names::qualify(&name.value, namespace);
        let mention = Mention {
            span: self.span(name.range),
            path: path.to_owned(),
            written: name.value.to_string(),
            nested,
        };
        if let Some(named) = self.named.get_mut(&full) {
            let id = named.id;
            if named.defined.is_none() || nested {
                named.mentions.push(mention);
            }
            return id;
        }
        let id = self.add(Type::plain(Kind::Null));
        self.named.insert(full, Named { id, defined: None, mentions: vec![mention] });
        id
    }

    pub(super) fn union(
        &mut self,
        branches: &[Value<'_>],
        range: Range,
        namespace: &str,
        path: &str,
    ) -> TypeId {
        let id =
            self.add(Type { span: Some(self.span(range)), ..Type::plain(Kind::Union(Vec::new())) });
        let mut uses = Vec::new();
        for branch in branches {
            let inner = match branch {
                // A union of null and one type is an optional value, whose path names no branch.
                _ if is_optional(branches) => path.to_owned(),
                Value::StringLit(name) => format!("{path}|{}", name.value),
                Value::Object(object) => {
                    match (json::text(object, "name"), json::text(object, "type")) {
                        (Some(name), _) | (None, Some(name)) => format!("{path}|{name}"),
                        (None, None) => path.to_owned(),
                    }
                }
                _ => path.to_owned(),
            };
            if let Value::Array(nested) = branch {
                self.problem(
                    Rule::NestedUnion,
                    &inner,
                    nested.range,
                    "a union can't be a branch of a union",
                )
                .help = Some("write its branches into the outer union".to_owned());
                continue;
            }
            uses.push(self.schema(branch, namespace, &inner));
        }
        self.schemas.types[id.0 as usize].kind = Kind::Union(uses);
        id
    }

    pub(super) fn object(&mut self, object: &Object<'_>, namespace: &str, path: &str) -> TypeId {
        self.duplicate_keys(object, path);
        let Some(kind) = object.get("type") else {
            self.problem(Rule::Attribute, path, object.range, "this type has no \"type\"");
            return NULL;
        };
        let Value::StringLit(word) = &kind.value else {
            let (what, form) = match &kind.value {
                Value::Array(_) => ("a union", "[...]"),
                Value::Object(_) => ("a definition", "{...}"),
                other => {
                    let message =
                        format!("\"type\" is the name of a type, not {}", json::kind(other));
                    self.problem(Rule::Attribute, path, other.range(), message);
                    return NULL;
                }
            };
            let message = format!("{what} can't be the \"type\" inside another type");
            self.problem(Rule::NestedType, path, kind.value.range(), message).help =
                Some(format!("write {form} in the place of {{\"type\": {form}}}"));
            return self.schema(&kind.value, namespace, path).id;
        };
        match &*word.value {
            "record" => self.named_type(object, namespace, path, Self::record),
            "enum" => self.named_type(object, namespace, path, Self::enumeration),
            "fixed" => self.named_type(object, namespace, path, Self::fixed),
            "array" => self.container(object, "items", "[]", namespace, path, Kind::Array),
            "map" => self.container(object, "values", "{}", namespace, path, Kind::Map),
            "error" => {
                let message = "an error is a type of protocols, which no reader of records knows";
                self.problem(Rule::UnknownType, path, word.range, message).help =
                    Some("write \"record\"".to_owned());
                NULL
            }
            name => match primitive::kind(name) {
                Some(kind) => self.attributed(object, kind, &["type"], path),
                None => self.reference(word, namespace, path, true),
            },
        }
    }

    /// Adds a type of this kind with the other attributes of the object.
    pub(super) fn attributed(
        &mut self,
        object: &Object<'_>,
        kind: Kind,
        known: &[&str],
        path: &str,
    ) -> TypeId {
        let (logical, ignored_logical) = self.logical(object, &kind);
        let mut extra = Vec::new();
        for property in object.properties.iter().filter(|one| !known.contains(&one.name.as_str())) {
            self.duplicate_keys_within(&property.value, path);
            extra.push((property.name.as_str().to_owned(), property.value.clone().into()));
        }
        self.add(Type {
            kind,
            span: Some(self.span(object.range)),
            logical,
            ignored_logical,
            extra,
        })
    }

    pub(super) fn container(
        &mut self,
        object: &Object<'_>,
        attribute: &str,
        step: &str,
        namespace: &str,
        path: &str,
        kind: fn(Use) -> Kind,
    ) -> TypeId {
        let inner = match object.get(attribute) {
            Some(property) => self.schema(&property.value, namespace, &format!("{path}{step}")),
            None => {
                let what = if attribute == "items" { "an array" } else { "a map" };
                self.problem(
                    Rule::Attribute,
                    path,
                    object.range,
                    format!("{what} needs {attribute:?}, a type"),
                );
                return NULL;
            }
        };
        self.attributed(object, kind(inner), &["type", attribute], path)
    }

    /// The logical type that the object gives to `kind`, or why readers ignore it.
    fn logical(
        &self,
        object: &Object<'_>,
        kind: &Kind,
    ) -> (Option<Logical>, Option<(Span, Ignored)>) {
        let Some(property) = object.get("logicalType") else { return (None, None) };
        let result = match &property.value {
            Value::StringLit(name) => logical(&name.value, kind, object),
            other => Err(Ignored::NoString(json::kind(other))),
        };
        match result {
            Ok(logical) => (Some(logical), None),
            Err(why) => (None, Some((self.span(property.value.range()), why))),
        }
    }
}

fn is_optional(branches: &[Value<'_>]) -> bool {
    branches.len() == 2
        && branches
            .iter()
            .any(|branch| matches!(branch, Value::StringLit(name) if name.value == "null"))
}
