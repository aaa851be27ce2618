//! From JSON to Avro's binary encoding.
//!
//! After a value that does not fit the walk continues, so that it reports everything at once. It
//! reads no bytes.

use apache_avro::{Schema as Avro, schema::RecordSchema};
use serde_json::{Map, Value};

use super::{
    branches::{Node, NodeId, Tree},
    error::Misfit,
    kind::{Kind, Names, branch_name, kind},
    leaf::{bytes, is_uuid, number},
    path::{DEPTH_MAX, Path},
};

/// Why a field that the JSON lacks does not fit.
pub(crate) const MISSING: &str = "it is missing, and has no default";

/// A walk through JSON, which writes Avro and collects what does not fit.
pub(super) struct JsonToAvro<'a> {
    names: &'a Names<'a>,
    tree: Tree<'a>,
    out: Vec<u8>,
    path: Path,
    misfits: Vec<Misfit>,
    hides_values: bool,
}

impl<'a> JsonToAvro<'a> {
    /// A walk whose misfits say what was found unless it `hides_values`.
    pub(super) fn new(names: &'a Names<'a>, hides_values: bool) -> Self {
        let (tree, path) = (Tree::new(names), Path::new(hides_values));
        Self { names, tree, out: Vec::new(), path, misfits: Vec::new(), hides_values }
    }

    /// Writes a value, or returns everything in it that does not fit.
    pub(super) fn whole(mut self, schema: &Avro, json: &Value) -> Result<Vec<u8>, Vec<Misfit>> {
        let json = self.tree.json(json);
        self.value(schema, json);
        if self.misfits.is_empty() { Ok(self.out) } else { Err(self.misfits) }
    }

    fn misfit(&mut self, why: impl Into<String>) {
        self.misfits.push(Misfit { path: self.path.text().to_owned(), why: why.into() });
    }

    fn expected(&mut self, what: &str, found: &Value) {
        if self.hides_values {
            self.misfit(format!("{what} is expected"));
        } else {
            self.misfit(format!("{what} is expected, not {}", described(found)));
        }
    }

    fn value(&mut self, schema: &Avro, id: NodeId) {
        if self.path.depth() > DEPTH_MAX {
            return self.misfit(format!("it is nested more than {DEPTH_MAX} deep"));
        }
        let shell = match self.tree.get(id) {
            Node::Leaf(json) => json.clone(),
            // Their parts are looked up when they are written.
            Node::Array(_) => Value::Array(Vec::new()),
            Node::Object(_) => Value::Object(Map::new()),
        };
        let json = &shell;
        match kind(self.names, schema) {
            Kind::Null if json.is_null() => {}
            Kind::Null => self.expected("null", json),
            Kind::Boolean => match json.as_bool() {
                Some(value) => self.out.push(u8::from(value)),
                None => self.expected("true or false", json),
            },
            Kind::Int => match json.as_i64().filter(|number| i32::try_from(*number).is_ok()) {
                Some(number) => self.long(number),
                None => self.expected("a whole number of 32 bits", json),
            },
            Kind::Long => match json.as_i64() {
                Some(number) => self.long(number),
                None => self.expected("a whole number of 64 bits", json),
            },
            Kind::Float => match number(json) {
                Some(double) if double.is_finite() && (double as f32).is_infinite() => {
                    self.expected("a number that a float can hold", json);
                }
                Some(double) => self.out.extend((double as f32).to_le_bytes()),
                None => self.expected("a number, \"NaN\", \"Infinity\" or \"-Infinity\"", json),
            },
            Kind::Double => match number(json) {
                Some(double) => self.out.extend(double.to_le_bytes()),
                None => self.expected("a number, \"NaN\", \"Infinity\" or \"-Infinity\"", json),
            },
            Kind::Bytes => match bytes(json) {
                Some(bytes) => self.sized(&bytes),
                None => self.expected("a string of the characters U+0000 to U+00FF", json),
            },
            Kind::Fixed(fixed) => match bytes(json).filter(|bytes| bytes.len() == fixed.size) {
                Some(bytes) => self.out.extend(bytes),
                None => {
                    let what = format!("a string of {} characters U+0000 to U+00FF", fixed.size);
                    self.expected(&what, json);
                }
            },
            Kind::String => match json.as_str() {
                Some(text) => self.sized(text.as_bytes()),
                None => self.expected("a string", json),
            },
            Kind::Uuid => match json.as_str().filter(|text| is_uuid(text)) {
                Some(text) => self.sized(text.as_bytes()),
                None => {
                    self.expected("a UUID such as \"0190163d-8694-739b-aea5-966c26f8ad91\"", json)
                }
            },
            Kind::Enum(symbols) => {
                let symbol = json.as_str();
                match symbols.iter().position(|known| Some(known.as_str()) == symbol) {
                    Some(index) => self.long(index as i64),
                    None => self.expected(&format!("one of {}", symbols.join(", ")), json),
                }
            }
            Kind::Array(items) => match self.tree.get(id) {
                Node::Array(values) => {
                    let values = values.clone();
                    self.array(items, &values);
                }
                _ => self.expected("an array", json),
            },
            Kind::Map(types) => match self.tree.get(id) {
                Node::Object(entries) => {
                    let entries = entries.clone();
                    self.map(types, &entries);
                }
                _ => self.expected("an object", json),
            },
            Kind::Union(union) => self.union(union.variants(), id, json),
            Kind::Record(record) if json.is_object() => self.record(record, id),
            Kind::Record(record) => self.expected(&format!("an object ({})", record.name), json),
        }
    }

    fn array(&mut self, items: &Avro, values: &[NodeId]) {
        if !values.is_empty() {
            self.long(values.len() as i64);
            for (index, value) in values.iter().enumerate() {
                self.path.item(index);
                self.value(items, *value);
                self.path.up();
            }
        }
        self.long(0);
    }

    fn map(&mut self, types: &Avro, entries: &[(String, NodeId)]) {
        if !entries.is_empty() {
            self.long(entries.len() as i64);
            for (key, value) in entries {
                self.sized(key.as_bytes());
                self.path.key(key);
                self.value(types, *value);
                self.path.up();
            }
        }
        self.long(0);
    }

    fn union(&mut self, branches: &[Avro], id: NodeId, json: &Value) {
        if let Some((index, value)) = self.tree.pick(branches, id) {
            self.long(index as i64);
            return self.value(&branches[index], value);
        }
        let names = self.names;
        match branches {
            // The error of an optional value is reported inside it.
            [one, other] if matches!(kind(names, one), Kind::Null) => self.value(other, id),
            [other, one] if matches!(kind(names, one), Kind::Null) => self.value(other, id),
            _ => {
                let all: Vec<_> =
                    branches.iter().map(|branch| branch_name(names, branch)).collect();
                self.expected(&format!("one of {}", all.join(", ")), json);
            }
        }
    }

    fn record(&mut self, record: &RecordSchema, id: NodeId) {
        let (values, unknown) = self.tree.fields(record, id);
        for (field, value) in record.fields.iter().zip(values) {
            self.path.field(&field.name);
            match value {
                Some(value) => self.value(&field.schema, value),
                None => self.misfit(MISSING),
            }
            self.path.up();
        }
        for name in unknown {
            self.path.field(&name);
            let fields: Vec<_> = record.fields.iter().map(|field| field.name.as_str()).collect();
            self.misfit(format!("{} has no such field, but {}", record.name, fields.join(", ")));
            self.path.up();
        }
    }

    fn long(&mut self, number: i64) {
        let mut rest = ((number << 1) ^ (number >> 63)) as u64;
        while rest > 0x7f {
            self.out.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        self.out.push(rest as u8);
    }

    fn sized(&mut self, bytes: &[u8]) {
        self.long(bytes.len() as i64);
        self.out.extend_from_slice(bytes);
    }
}

/// The value in an error, with arrays, objects and long strings cut short.
fn described(json: &Value) -> String {
    match json {
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        Value::String(text) if text.chars().count() > 60 => {
            format!("{:?}...", text.chars().take(60).collect::<String>())
        }
        other => other.to_string(),
    }
}
