//! Schemas made of random bytes, small changes to them, and values of them.

use std::collections::BTreeMap;

use apache_avro::types::Value;
use serde_json::{Value as Json, json};
use uuid::Uuid;

/// Random choices. Where the bytes end, every choice is the first one, so that shorter bytes make
/// simpler schemas.
pub(crate) struct Entropy<'a>(std::slice::Iter<'a, u8>);

impl<'a> Entropy<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes.iter())
    }

    /// A number below `count`.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        usize::from(self.0.next().copied().unwrap_or(0)) % count
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// A type.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Shape {
    /// A primitive type.
    Plain(&'static str),
    /// A logical type on its base.
    Logical(&'static str, &'static str),
    Array(Box<Shape>),
    Map(Box<Shape>),
    Union(Vec<Shape>),
    Record(Naming, Vec<Field>),
    Enum(Naming, Vec<&'static str>, bool),
    Fixed(Naming, usize),
    /// An optional value of the record around it.
    Around,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Naming {
    name: &'static str,
    namespace: &'static str,
    alias: Option<&'static str>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Field {
    name: &'static str,
    alias: Option<&'static str>,
    shape: Shape,
    has_default: bool,
}

const PLAIN: [&str; 8] = ["int", "long", "string", "boolean", "bytes", "double", "float", "null"];
const LOGICAL: [(&str, &str); 4] = [
    ("date", "int"),
    ("timestamp-millis", "long"),
    ("timestamp-micros", "long"),
    ("uuid", "string"),
];
const NAMES: [&str; 4] = ["A", "B", "C", "D"];
const FIELDS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
const SYMBOLS: [&str; 4] = ["X", "Y", "Z", "W"];
const DEPTH_MAX: usize = 3;

impl Shape {
    /// A type of random choices.
    pub(crate) fn new(entropy: &mut Entropy<'_>) -> Self {
        Self::inner(entropy, 0, false)
    }

    fn inner(entropy: &mut Entropy<'_>, depth: usize, is_branch: bool) -> Self {
        match entropy.below(if depth < DEPTH_MAX { 12 } else { 4 }) {
            0 | 1 => Self::Plain(entropy.pick(&PLAIN)),
            2 => {
                let (logical, base) = entropy.pick(&LOGICAL);
                Self::Logical(logical, base)
            }
            3 => Self::enumeration(entropy),
            4 => Self::Fixed(naming(entropy), 1 + entropy.below(3)),
            5 => Self::Array(Box::new(Self::inner(entropy, depth + 1, false))),
            6 => Self::Map(Box::new(Self::inner(entropy, depth + 1, false))),
            7 | 8 if !is_branch => {
                let mut branches =
                    if entropy.below(4) == 0 { Vec::new() } else { vec![Self::Plain("null")] };
                for _ in 0..1 + entropy.below(2) {
                    add_branch(&mut branches, Self::inner(entropy, depth + 1, true));
                }
                Self::Union(branches)
            }
            _ => {
                let naming = naming(entropy);
                let count = entropy.below(4);
                let mut fields = Vec::new();
                for _ in 0..count {
                    add_field(&mut fields, entropy, depth);
                }
                Self::Record(naming, fields)
            }
        }
    }

    fn enumeration(entropy: &mut Entropy<'_>) -> Self {
        let count = 1 + entropy.below(3);
        Self::Enum(naming(entropy), SYMBOLS[..count].to_vec(), entropy.below(3) == 1)
    }

    /// Changes something, somewhere.
    pub(crate) fn mutate(&mut self, entropy: &mut Entropy<'_>) {
        let mut index = entropy.below(self.size());
        self.at(&mut index, entropy);
    }

    fn children(&mut self) -> Vec<&mut Self> {
        match self {
            Self::Array(inner) | Self::Map(inner) => vec![inner],
            Self::Union(branches) => branches.iter_mut().collect(),
            Self::Record(_, fields) => fields.iter_mut().map(|field| &mut field.shape).collect(),
            _ => Vec::new(),
        }
    }

    fn size(&mut self) -> usize {
        1 + self.children().into_iter().map(Self::size).sum::<usize>()
    }

    fn at(&mut self, index: &mut usize, entropy: &mut Entropy<'_>) -> bool {
        if *index == 0 {
            self.change(entropy);
            return true;
        }
        *index -= 1;
        let is_union = matches!(self, Self::Union(_));
        let is_done = self.children().into_iter().any(|child| child.at(index, entropy));
        if let (true, Self::Union(branches)) = (is_union && is_done, &mut *self) {
            // The branch may have become like another one, or a union.
            let old = std::mem::take(branches);
            old.into_iter().for_each(|branch| add_branch(branches, branch));
            if branches.is_empty() {
                branches.push(Self::Plain("null"));
            }
        }
        is_done
    }

    fn change(&mut self, entropy: &mut Entropy<'_>) {
        let general = entropy.below(6);
        if general == 1 {
            *self = Self::inner(entropy, DEPTH_MAX - 1, false);
            return;
        }
        if general == 2 && !matches!(self, Self::Union(_) | Self::Around | Self::Plain("null")) {
            let inner = std::mem::replace(self, Self::Plain("null"));
            *self = Self::Union(vec![Self::Plain("null"), inner]);
            return;
        }
        match self {
            Self::Plain(name) => *name = entropy.pick(&PLAIN),
            Self::Logical(logical, base) => {
                if entropy.below(2) == 0 {
                    *self = Self::Plain(base);
                } else {
                    (*logical, *base) = entropy.pick(&LOGICAL);
                }
            }
            Self::Array(inner) => *self = Self::Map(inner.clone()),
            Self::Map(inner) => *self = Self::Array(inner.clone()),
            Self::Union(branches) => match entropy.below(4) {
                0 => add_branch(branches, Self::inner(entropy, DEPTH_MAX, true)),
                1 if branches.len() > 1 => {
                    branches.remove(entropy.below(branches.len()));
                }
                2 => branches.reverse(),
                _ => *self = branches.last().cloned().unwrap_or(Self::Plain("null")),
            },
            Self::Record(naming, fields) => match entropy.below(7) {
                0 | 1 => add_field(fields, entropy, DEPTH_MAX - 1),
                2 if !fields.is_empty() => {
                    fields.remove(entropy.below(fields.len()));
                }
                3 if !fields.is_empty() => {
                    let index = entropy.below(fields.len());
                    let free: Vec<_> = FIELDS
                        .into_iter()
                        .filter(|name| {
                            fields
                                .iter()
                                .all(|field| field.name != *name && field.alias != Some(name))
                        })
                        .collect();
                    if let Some(name) = free.first() {
                        let field = &mut fields[index];
                        field.alias = (entropy.below(2) == 0).then_some(field.name);
                        field.name = name;
                    }
                }
                4 => fields.reverse(),
                5 if !fields.is_empty() => {
                    let index = entropy.below(fields.len());
                    fields[index].has_default ^= true;
                }
                _ => rename(naming, entropy),
            },
            Self::Enum(naming, symbols, has_default) => match entropy.below(4) {
                0 => {
                    let free = SYMBOLS.into_iter().find(|symbol| !symbols.contains(symbol));
                    symbols.extend(free);
                }
                1 if symbols.len() > 1 => {
                    symbols.remove(entropy.below(symbols.len()));
                }
                2 => *has_default ^= true,
                _ => rename(naming, entropy),
            },
            Self::Fixed(naming, size) => match entropy.below(2) {
                0 => *size = 1 + *size % 3,
                _ => rename(naming, entropy),
            },
            Self::Around => *self = Self::Plain(entropy.pick(&PLAIN)),
        }
    }

    /// Whether a union has several branches that a value could be taken for without its name.
    pub(crate) fn has_rich_union(&self) -> bool {
        match self {
            Self::Array(inner) | Self::Map(inner) => inner.has_rich_union(),
            Self::Union(branches) => {
                let plain = |branch: &&Self| matches!(branch, Self::Plain("null"));
                branches.len() - branches.iter().filter(plain).count() > 1
                    || branches.iter().any(Self::has_rich_union)
            }
            Self::Record(_, fields) => fields.iter().any(|field| field.shape.has_rich_union()),
            _ => false,
        }
    }

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
            let told = json!({ "name": name, "namespace": within(naming), "aliases": aliases });
            Ok((told, full(&name)))
        };
        let mut told = match self {
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
        let (told, full) = match &mut told {
            Ok((told, full)) => (told, full),
            Err(reference) => return reference.take(),
        };
        match self {
            Self::Enum(_, symbols, has_default) => {
                told["type"] = json!("enum");
                told["symbols"] = json!(symbols);
                if *has_default {
                    told["default"] = json!(symbols[0]);
                }
            }
            Self::Fixed(_, size) => {
                told["type"] = json!("fixed");
                told["size"] = json!(size);
            }
            Self::Record(naming, fields) => {
                told["type"] = json!("record");
                let fields = fields.iter().map(|field| {
                    let kind = field.shape.text(seen, within(naming), full);
                    let aliases: Vec<_> = field.alias.into_iter().collect();
                    let mut told = json!({ "name": field.name, "aliases": aliases, "type": kind });
                    if field.has_default {
                        told["default"] = field.shape.default();
                    }
                    told
                });
                told["fields"] = fields.collect();
            }
            _ => {}
        }
        told.take()
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

    /// Values of the type: every branch and symbol, and the ends of numbers.
    pub(crate) fn values(&self) -> Vec<Value> {
        let mut values: Vec<Value> = match self {
            Self::Plain("null") => vec![Value::Null],
            Self::Plain("boolean") => vec![Value::Boolean(true)],
            Self::Plain("int") => vec![Value::Int(i32::MIN), Value::Int(7)],
            Self::Plain("long") => vec![Value::Long(i64::MAX), Value::Long(7)],
            Self::Plain("float") => vec![Value::Float(1.5)],
            Self::Plain("double") => vec![Value::Double(1e300)],
            Self::Plain("bytes") => {
                vec![Value::Bytes(vec![0xFF, 0xFE, 0, 1, 2]), Value::Bytes(Vec::new())]
            }
            Self::Plain(_) => {
                vec![Value::String("some text".to_owned()), Value::String(String::new())]
            }
            Self::Logical("date", _) => vec![Value::Date(1)],
            Self::Logical("timestamp-millis", _) => vec![Value::TimestampMillis(i64::MAX)],
            Self::Logical("timestamp-micros", _) => vec![Value::TimestampMicros(i64::MAX)],
            Self::Logical(..) => vec![Value::Uuid(Uuid::from_u128(1 << 127))],
            Self::Array(inner) => {
                inner.values().into_iter().map(|value| Value::Array(vec![value])).collect()
            }
            Self::Map(inner) => {
                let of = |value| Value::Map([("key".to_owned(), value)].into());
                inner.values().into_iter().map(of).collect()
            }
            Self::Union(branches) => (0..)
                .zip(branches)
                .flat_map(|(index, branch)| {
                    branch
                        .values()
                        .into_iter()
                        .map(move |value| Value::Union(index, Box::new(value)))
                })
                .collect(),
            Self::Record(_, fields) => {
                let mut all: Vec<(&str, Vec<Value>)> =
                    fields.iter().map(|field| (field.name, field.shape.values())).collect();
                let first =
                    all.iter().map(|(name, values)| ((*name).to_owned(), values[0].clone()));
                let inner = Value::Union(1, Box::new(Value::Record(first.collect())));
                for ((_, values), _) in
                    all.iter_mut().zip(fields).filter(|(_, field)| field.shape == Self::Around)
                {
                    values.push(inner.clone());
                }
                let of = |changed: usize, index: usize| {
                    let value = |at: usize, values: &[Value]| {
                        values[if at == changed { index } else { 0 }].clone()
                    };
                    let fields = all.iter().enumerate();
                    Value::Record(
                        fields
                            .map(|(at, (name, values))| ((*name).to_owned(), value(at, values)))
                            .collect(),
                    )
                };
                let mut values = vec![of(0, 0)];
                for (changed, (_, inner)) in all.iter().enumerate() {
                    values.extend((1..inner.len()).map(|index| of(changed, index)));
                }
                values
            }
            Self::Enum(_, symbols, _) => (0..)
                .zip(symbols)
                .map(|(index, symbol)| Value::Enum(index, (*symbol).to_owned()))
                .collect(),
            Self::Fixed(_, size) => vec![Value::Fixed(*size, vec![0xFF; *size])],
            Self::Around => vec![Value::Union(0, Box::new(Value::Null))],
        };
        values.truncate(64);
        values
    }
}

fn naming(entropy: &mut Entropy<'_>) -> Naming {
    let namespace = if entropy.below(8) == 7 { "n" } else { "" };
    Naming { name: entropy.pick(&NAMES), namespace, alias: None }
}

fn rename(naming: &mut Naming, entropy: &mut Entropy<'_>) {
    if entropy.below(3) == 2 {
        naming.namespace = if naming.namespace.is_empty() { "n" } else { "" };
        return;
    }
    naming.alias = (entropy.below(2) == 0).then_some(naming.name);
    naming.name = entropy.pick(&NAMES);
}

/// Adds a branch unless a union may not have it.
fn add_branch(branches: &mut Vec<Shape>, branch: Shape) {
    let base = |shape: &Shape| match shape {
        Shape::Plain(name) | Shape::Logical(_, name) => Some(*name),
        Shape::Array(_) => Some("array"),
        Shape::Map(_) => Some("map"),
        // Named types get different names when they are written, unless they are the same.
        _ => None,
    };
    let is_like = |other: &Shape| match (base(other), base(&branch)) {
        (None, None) => *other == branch,
        (a, b) => a == b,
    };
    if !matches!(branch, Shape::Union(_) | Shape::Around) && !branches.iter().any(is_like) {
        branches.push(branch);
    }
}

fn add_field(fields: &mut Vec<Field>, entropy: &mut Entropy<'_>, depth: usize) {
    let is_free =
        |name: &&str| fields.iter().all(|field| field.name != *name && field.alias != Some(name));
    let Some(name) = FIELDS.into_iter().find(is_free) else { return };
    let is_around = entropy.below(12) == 11;
    let shape = if is_around { Shape::Around } else { Shape::inner(entropy, depth + 1, false) };
    fields.push(Field { name, alias: None, shape, has_default: entropy.below(2) == 1 });
}
