//! From JSON texts to [`Schemas`], with every problem on the way.

use std::collections::{BTreeMap, HashMap};

use jsonc_parser::{
    ast::{Object, StringLit, Value},
    common::{Range, Ranged},
};

use super::{
    PRIMITIVES, default, is_primitive,
    json::{self, NoJson},
    logical::logical,
    model::{Kind, Logical, NULL, Name, Schemas, Span, Type, TypeId, Use},
    names::{self, Mention, Named},
    rule::{Invalid, Rule},
};

/// What was read, and what is wrong with it. Only without problems do the schemas say what their
/// authors meant.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// All types of all texts.
    pub schemas: Schemas,
    /// Every problem, in the order of the texts and of their places in them.
    pub problems: Vec<Invalid>,
}

/// Reads texts that may use the types of each other, in any order.
pub fn parse(texts: &[&str]) -> Parsed {
    let types = PRIMITIVES.iter().map(|name| Type::plain(primitive(name))).collect();
    let mut reader = Reader {
        schemas: Schemas { types, roots: Vec::new(), names: HashMap::new() },
        named: BTreeMap::new(),
        problems: Vec::new(),
        source: 0,
    };
    for (source, text) in (0..).zip(texts) {
        reader.source = source;
        let root = reader.text(text);
        reader.schemas.roots.push(root);
    }
    names::unsettled(&reader.named, &mut reader.problems);
    names::duplicate_branches(&reader.schemas, &mut reader.problems);
    default::check(&reader.schemas, &mut reader.problems);
    reader.problems.sort_by_key(|problem| problem.span);
    Parsed { schemas: reader.schemas, problems: reader.problems }
}

/// Reads a text that stands by itself.
pub fn parse_one(text: &str) -> Result<Schemas, Vec<Invalid>> {
    let parsed = parse(&[text]);
    if parsed.problems.is_empty() { Ok(parsed.schemas) } else { Err(parsed.problems) }
}

/// Reads the rest of a named type's definition; also names the attributes that it knows.
type Define = fn(&mut Reader, &Object<'_>, Name, Span, &str) -> (Kind, &'static [&'static str]);

pub(super) struct Reader {
    schemas: Schemas,
    named: BTreeMap<String, Named>,
    pub(super) problems: Vec<Invalid>,
    source: u32,
}

impl Reader {
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

    fn add(&mut self, one: Type) -> TypeId {
        self.schemas.types.push(one);
        TypeId(u32::try_from(self.schemas.types.len() - 1).expect("fewer types than bytes"))
    }

    fn text(&mut self, text: &str) -> Option<Use> {
        match json::read(text) {
            Ok(value) => value.map(|value| self.schema(&value, "", "")),
            Err(NoJson { at, why }) => {
                self.problem(Rule::Json, "", at, format!("this is not JSON: {why}"));
                None
            }
        }
    }

    /// Reads a type. Gives a placeholder if there is none.
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

    fn reference(
        &mut self,
        name: &StringLit<'_>,
        namespace: &str,
        path: &str,
        nested: bool,
    ) -> TypeId {
        if let Some(index) = PRIMITIVES.iter().position(|primitive| *primitive == name.value) {
            return TypeId(index as u32);
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

    fn union(
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
                // A union of null and one type is an optional value: its path needs no branch.
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

    fn object(&mut self, object: &Object<'_>, namespace: &str, path: &str) -> TypeId {
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
            let message = format!("{what} stands by itself, not as the \"type\" of another type");
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
            name if is_primitive(name) => {
                let kind = primitive(name);
                self.attributed(object, kind, &["type"], path)
            }
            "error" => {
                let message = "an error is a type of protocols, which no reader of records knows";
                self.problem(Rule::UnknownType, path, word.range, message).help =
                    Some("write \"record\"".to_owned());
                NULL
            }
            _ => self.reference(word, namespace, path, true),
        }
    }

    /// A type of this kind with what else the object says.
    fn attributed(
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

    fn container(
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

    /// A record, an enum or a fixed: its name is known inside its own definition.
    fn named_type(
        &mut self,
        object: &Object<'_>,
        namespace: &str,
        path: &str,
        define: Define,
    ) -> TypeId {
        let Some((name, range)) = self.name_of(object, namespace, path) else {
            // The parts may have problems of their own.
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
        // It was added at the end, but its place was given before.
        let one = self.schemas.types.pop().expect("one was added");
        self.schemas.types[id.0 as usize] = one;
        id
    }

    fn define(&mut self, name: &Name, id: TypeId, span: Span) {
        let named = self.named.entry(name.0.clone()).or_insert(Named {
            id,
            defined: None,
            mentions: Vec::new(),
        });
        named.defined = Some(span);
        self.schemas.names.insert(name.0.clone(), id);
    }

    /// A string that `what` must have.
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
        for (index, property) in object.properties.iter().enumerate() {
            let name = property.name.as_str();
            if object.properties[..index].iter().any(|other| other.name.as_str() == name) {
                self.problem(
                    Rule::DuplicateKey,
                    path,
                    json::name_range(property),
                    format!("{name:?} stands here twice"),
                );
            }
        }
    }

    /// The same for every object in a value that holds no types: a default, or an attribute that
    /// Avro does not know.
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

    /// The logical type that the object gives to `kind`, or why readers will ignore it.
    fn logical(
        &self,
        object: &Object<'_>,
        kind: &Kind,
    ) -> (Option<Logical>, Option<(Span, String)>) {
        let Some(property) = object.get("logicalType") else { return (None, None) };
        let told = match &property.value {
            Value::StringLit(name) => logical(&name.value, kind, object),
            other => Err(format!("a logical type is a string, not {}", json::kind(other))),
        };
        match told {
            Ok(logical) => (Some(logical), None),
            Err(why) => (None, Some((self.span(property.value.range()), why))),
        }
    }
}

pub(super) fn step(path: &str, field: &str) -> String {
    if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") }
}

fn is_optional(branches: &[Value<'_>]) -> bool {
    branches.len() == 2
        && branches
            .iter()
            .any(|branch| matches!(branch, Value::StringLit(name) if name.value == "null"))
}

fn primitive(name: &str) -> Kind {
    match name {
        "boolean" => Kind::Boolean,
        "int" => Kind::Int,
        "long" => Kind::Long,
        "float" => Kind::Float,
        "double" => Kind::Double,
        "bytes" => Kind::Bytes,
        "string" => Kind::String,
        _ => Kind::Null,
    }
}

impl Type {
    fn plain(kind: Kind) -> Self {
        Self { kind, span: None, logical: None, ignored_logical: None, extra: Vec::new() }
    }
}
