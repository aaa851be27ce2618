//! A record as JSON for people, and back.
//!
//! The JSON is what rpk 26 prints and takes: Avro's JSON encoding with the branches of unions bare, `bytes` and `fixed`
//! as strings of the characters U+0000 to U+00FF, logical types as the numbers and strings below them, and floats that
//! are no numbers as `"NaN"`, `"Infinity"` and `"-Infinity"`. Where a bare value would be taken for another branch it
//! stands as Avro has it, `{"long": 5}`, so that what was printed is always written again as the same bytes.
//!
//! It walks bytes and schema side by side and knows of no wire format: see [`crate::Codec`] for that.

mod parse;
mod tree;

use std::{collections::HashMap, fmt};

use apache_avro::{
    Schema as Avro,
    schema::{FixedSchema, InnerDecimalSchema, Name, RecordSchema, ResolvedSchema, UnionSchema, UuidSchema},
};
use serde_json::{Map, Number, Value};
use uuid::Uuid;

pub use parse::parse;
use tree::{Node, NodeId, Tree};

/// Values in values that are followed so far, and as far as `serde_json` follows them.
const DEPTH_MAX: usize = 120;
/// How many values without bytes are believed, beyond one for each byte of the record. Others are bounded by its bytes.
const EMPTY_VALUES_MAX: usize = 1 << 16;

type Names<'a> = HashMap<Name, &'a Avro>;

/// A text that is no Avro schema, or refers to types that are not given with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an Avro schema: {0}")]
pub struct Unusable(String);

/// Bytes that are not what the schema says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}byte {at}: {why}", prefix(path))]
pub struct Malformed {
    /// Which value: names of fields with dots between, `[3]` for the item of an array, `["k"]` for the value of a map.
    pub path: String,
    /// Where the reading stopped, counted from the first byte of the record.
    pub at: usize,
    /// What is wrong there.
    pub why: String,
}

/// A place in JSON that does not fit the schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// Which value, as in [`Malformed`].
    pub path: String,
    /// What was expected.
    pub why: String,
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", prefix(&self.path), self.why)
    }
}

fn prefix(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!("{path}: ") }
}

/// Turns values of one schema into JSON and back.
#[derive(Debug)]
pub struct Converter {
    schema: Avro,
    referenced: Vec<Avro>,
}

impl Converter {
    /// For values of `schema`, which may use the types that `references` define.
    ///
    /// # Errors
    /// When one of them is no schema.
    pub fn new(schema: &str, references: &[String]) -> Result<Self, Unusable> {
        let unusable = |error: apache_avro::Error| Unusable(error.to_string());
        let (schema, referenced) = Avro::parse_str_with_list(schema, references).map_err(unusable)?;
        let converter = Self { schema, referenced };
        converter.names().map_err(unusable)?;
        Ok(converter)
    }

    /// The full name of the record that it is for; `None` for other types.
    pub fn name(&self) -> Option<String> {
        self.schema.name().map(ToString::to_string)
    }

    /// What `avro`, all of it, says.
    ///
    /// # Errors
    /// At the first byte that does not fit.
    pub fn to_json(&self, avro: &[u8]) -> Result<Value, Malformed> {
        let names = self.names().unwrap_or_default();
        let mut reading = Reading {
            names: &names,
            tree: Tree::new(&names),
            rest: avro,
            length: avro.len(),
            empty: 0,
            path: Path::default(),
        };
        let value = reading.value(&self.schema)?;
        match reading.rest.len() {
            0 => Ok(reading.tree.take(value)),
            count => Err(reading.malformed(format!("the record ends here, and {count} bytes are left"))),
        }
    }

    /// `json` in Avro's binary encoding. Fields that are not there get their default.
    ///
    /// # Errors
    /// Everything that does not fit.
    pub fn to_avro(&self, json: &Value) -> Result<Vec<u8>, Vec<Misfit>> {
        let names = self.names().unwrap_or_default();
        let mut writing = Writing::new(&names);
        let json = writing.tree.json(json);
        writing.value(&self.schema, json);
        if writing.misfits.is_empty() { Ok(writing.out) } else { Err(writing.misfits) }
    }

    fn names(&self) -> Result<Names<'_>, apache_avro::Error> {
        let all = self.referenced.iter().chain([&self.schema]).collect();
        Ok(ResolvedSchema::new_with_schemata(all)?.get_names().clone())
    }
}

/// How a value is written, logical types taken off.
enum Kind<'a> {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Uuid,
    Fixed(&'a FixedSchema),
    Enum(&'a [String]),
    Array(&'a Avro),
    Map(&'a Avro),
    Union(&'a UnionSchema),
    Record(&'a RecordSchema),
}

fn kind<'a>(names: &Names<'a>, schema: &'a Avro) -> Kind<'a> {
    match schema {
        // Names are resolved when a converter is made, so each of them is there.
        Avro::Ref { name } => names.get(name).map_or(Kind::Null, |schema| kind(names, schema)),
        Avro::Null => Kind::Null,
        Avro::Boolean => Kind::Boolean,
        Avro::Int | Avro::Date | Avro::TimeMillis => Kind::Int,
        Avro::Long
        | Avro::TimeMicros
        | Avro::TimestampMillis
        | Avro::TimestampMicros
        | Avro::TimestampNanos
        | Avro::LocalTimestampMillis
        | Avro::LocalTimestampMicros
        | Avro::LocalTimestampNanos => Kind::Long,
        Avro::Float => Kind::Float,
        Avro::Double => Kind::Double,
        Avro::Bytes | Avro::BigDecimal | Avro::Uuid(UuidSchema::Bytes) => Kind::Bytes,
        Avro::String => Kind::String,
        Avro::Uuid(UuidSchema::String) => Kind::Uuid,
        Avro::Decimal(decimal) => match &decimal.inner {
            InnerDecimalSchema::Bytes => Kind::Bytes,
            InnerDecimalSchema::Fixed(fixed) => Kind::Fixed(fixed),
        },
        Avro::Fixed(fixed) | Avro::Duration(fixed) | Avro::Uuid(UuidSchema::Fixed(fixed)) => {
            Kind::Fixed(fixed)
        }
        Avro::Enum(symbols) => Kind::Enum(&symbols.symbols),
        Avro::Array(array) => Kind::Array(&array.items),
        Avro::Map(map) => Kind::Map(&map.types),
        Avro::Union(union) => Kind::Union(union),
        Avro::Record(record) => Kind::Record(record),
    }
}

/// How Avro's JSON encoding calls a branch of a union.
fn branch_name(names: &Names<'_>, schema: &Avro) -> String {
    let named = |name: &Name| name.to_string();
    match (schema, kind(names, schema)) {
        (Avro::Ref { name }, _) => named(name),
        (_, Kind::Null) => "null".to_owned(),
        (_, Kind::Boolean) => "boolean".to_owned(),
        (_, Kind::Int) => "int".to_owned(),
        (_, Kind::Long) => "long".to_owned(),
        (_, Kind::Float) => "float".to_owned(),
        (_, Kind::Double) => "double".to_owned(),
        (_, Kind::Bytes) => "bytes".to_owned(),
        (_, Kind::String | Kind::Uuid) => "string".to_owned(),
        (_, Kind::Array(_)) => "array".to_owned(),
        (_, Kind::Map(_)) => "map".to_owned(),
        (_, Kind::Union(_)) => "union".to_owned(),
        (_, Kind::Fixed(_) | Kind::Enum(_) | Kind::Record(_)) => schema.name().map(named).unwrap_or_default(),
    }
}

/// The place where a walk is.
#[derive(Clone, Default)]
struct Path {
    text: String,
    /// How long the text was before each part.
    lengths: Vec<usize>,
}

impl Path {
    fn field(&mut self, name: &str) {
        self.lengths.push(self.text.len());
        if !self.text.is_empty() {
            self.text.push('.');
        }
        self.text.push_str(name);
    }

    fn item(&mut self, part: &dyn fmt::Debug) {
        self.lengths.push(self.text.len());
        self.text.push_str(&format!("[{part:?}]"));
    }

    fn up(&mut self) {
        self.text.truncate(self.lengths.pop().unwrap_or_default());
    }
}

struct Reading<'a> {
    names: &'a Names<'a>,
    tree: Tree<'a>,
    rest: &'a [u8],
    length: usize,
    /// How many values so far took no bytes.
    empty: usize,
    path: Path,
}

impl<'a> Reading<'a> {
    fn malformed(&self, why: impl Into<String>) -> Malformed {
        let (path, at) = (self.path.text.clone(), self.length - self.rest.len());
        Malformed { path, at, why: why.into() }
    }

    fn value(&mut self, schema: &'a Avro) -> Result<NodeId, Malformed> {
        if self.path.lengths.len() > DEPTH_MAX {
            return Err(self.malformed(format!("it is nested more than {DEPTH_MAX} deep")));
        }
        let before = self.rest.len();
        let id = self.node(schema)?;
        if self.rest.len() == before {
            self.empty += 1;
            if self.empty > self.length + EMPTY_VALUES_MAX {
                return Err(self.malformed(format!("more than {} values take no bytes", self.empty - 1)));
            }
        }
        Ok(id)
    }

    fn node(&mut self, schema: &'a Avro) -> Result<NodeId, Malformed> {
        let leaf = match kind(self.names, schema) {
            Kind::Null => Value::Null,
            Kind::Boolean => match self.take(1, "a boolean")? {
                [0] => Value::Bool(false),
                [1] => Value::Bool(true),
                other => return Err(self.malformed(format!("a boolean is 0 or 1, not {}", other[0]))),
            },
            Kind::Int => {
                let long = self.long()?;
                let int = i32::try_from(long);
                int.map_err(|_| self.malformed(format!("{long} is out of an int's range")))?.into()
            }
            Kind::Long => self.long()?.into(),
            Kind::Float => {
                let bytes = self.take(4, "a float")?;
                let float = f32::from_le_bytes(bytes.try_into().unwrap_or_default());
                // By its shortest digits, or a float would show the digits of the double next to it.
                floating(float.to_string().parse().unwrap_or(f64::from(float)))
            }
            Kind::Double => {
                let bytes = self.take(8, "a double")?;
                floating(f64::from_le_bytes(bytes.try_into().unwrap_or_default()))
            }
            Kind::Bytes => {
                let length = self.length_of("bytes")?;
                characters(self.take(length, "bytes")?)
            }
            Kind::Fixed(fixed) => characters(self.take(fixed.size, "a fixed")?),
            Kind::String | Kind::Uuid => Value::String(self.string()?),
            Kind::Enum(symbols) => {
                let index = self.long()?;
                let symbol = usize::try_from(index).ok().and_then(|index| symbols.get(index));
                let symbol = symbol.ok_or_else(|| {
                    self.malformed(format!("there is no symbol {index}, but {}", symbols.len()))
                })?;
                Value::String(symbol.clone())
            }
            Kind::Array(items) => return self.array(items),
            Kind::Map(types) => return self.map(types),
            Kind::Union(union) => return self.union(union.variants()),
            Kind::Record(record) => {
                let mut values = Vec::new();
                for field in &record.fields {
                    self.path.field(&field.name);
                    values.push((field.name.clone(), self.value(&field.schema)?));
                    self.path.up();
                }
                return Ok(self.tree.push(Node::Object(values)));
            }
        };
        Ok(self.tree.push(Node::Leaf(leaf)))
    }

    fn array(&mut self, items: &'a Avro) -> Result<NodeId, Malformed> {
        let mut values = Vec::new();
        while let Some(count) = self.block()? {
            for _ in 0..count {
                self.path.item(&values.len());
                values.push(self.value(items)?);
                self.path.up();
            }
        }
        Ok(self.tree.push(Node::Array(values)))
    }

    fn map(&mut self, types: &'a Avro) -> Result<NodeId, Malformed> {
        let (mut values, mut places) = (Vec::new(), HashMap::new());
        while let Some(count) = self.block()? {
            for _ in 0..count {
                let key = self.string()?;
                self.path.item(&key);
                let value = self.value(types)?;
                self.path.up();
                // The last value of a key counts, as in other readers.
                match places.get(&key) {
                    Some(&place) => values[place] = (key, value),
                    None => {
                        places.insert(key.clone(), values.len());
                        values.push((key, value));
                    }
                }
            }
        }
        Ok(self.tree.push(Node::Object(values)))
    }

    fn union(&mut self, branches: &'a [Avro]) -> Result<NodeId, Malformed> {
        let index = self.long()?;
        let index = usize::try_from(index)
            .ok()
            .filter(|index| *index < branches.len())
            .ok_or_else(|| self.malformed(format!("there is no branch {index}, but {}", branches.len())))?;
        let bare = self.value(&branches[index])?;
        if self.tree.pick(branches, bare) == Some((index, bare)) {
            return Ok(bare);
        }
        let name = branch_name(self.names, &branches[index]);
        Ok(self.tree.push(Node::Object(vec![(name, bare)])))
    }

    fn take(&mut self, count: usize, what: &str) -> Result<&'a [u8], Malformed> {
        let Some((taken, rest)) = self.rest.split_at_checked(count) else {
            let left = self.rest.len();
            return Err(
                self.malformed(format!("the record ends too soon: {what} of {count} bytes, {left} left"))
            );
        };
        self.rest = rest;
        Ok(taken)
    }

    /// A zigzag number of up to ten bytes.
    fn long(&mut self) -> Result<i64, Malformed> {
        let mut number = 0_u64;
        for (index, byte) in self.rest.iter().enumerate().take(10) {
            let bits = u64::from(byte & 0x7f);
            if index == 9 && bits > 1 {
                break;
            }
            number |= bits << (7 * index);
            if byte & 0x80 == 0 {
                self.rest = &self.rest[index + 1..];
                return Ok((number >> 1) as i64 ^ -((number & 1) as i64));
            }
        }
        Err(match self.rest.len() {
            0..10 => self.malformed("the record ends too soon, within a number"),
            _ => self.malformed("a number takes more than 64 bits"),
        })
    }

    fn length_of(&mut self, what: &str) -> Result<usize, Malformed> {
        let length = self.long()?;
        usize::try_from(length).map_err(|_| self.malformed(format!("{what} of {length} bytes")))
    }

    fn string(&mut self) -> Result<String, Malformed> {
        let length = self.length_of("a string")?;
        let bytes = self.take(length, "a string")?;
        String::from_utf8(bytes.to_vec()).map_err(|_| self.malformed("the string before is not UTF-8"))
    }

    /// How many items the next block of an array or a map has; `None` at its end.
    fn block(&mut self) -> Result<Option<u64>, Malformed> {
        let count = self.long()?;
        if count < 0 {
            // Its length in bytes, for readers that skip.
            self.long()?;
        }
        let (count, left) = (count.unsigned_abs(), self.rest.len() as u64);
        if count > left.max(EMPTY_VALUES_MAX as u64) {
            return Err(self.malformed(format!("{count} items, where {left} bytes are left")));
        }
        Ok((count > 0).then_some(count))
    }
}

fn floating(number: f64) -> Value {
    let text = || {
        if number.is_nan() {
            "NaN"
        } else if number > 0.0 {
            "Infinity"
        } else {
            "-Infinity"
        }
    };
    Number::from_f64(number).map_or_else(|| text().into(), Value::Number)
}

fn characters(bytes: &[u8]) -> Value {
    Value::String(bytes.iter().copied().map(char::from).collect())
}

struct Writing<'a> {
    names: &'a Names<'a>,
    tree: Tree<'a>,
    out: Vec<u8>,
    path: Path,
    misfits: Vec<Misfit>,
}

impl<'a> Writing<'a> {
    fn new(names: &'a Names<'a>) -> Self {
        let (tree, path) = (Tree::new(names), Path::default());
        Self { names, tree, out: Vec::new(), path, misfits: Vec::new() }
    }

    fn misfit(&mut self, why: impl Into<String>) {
        self.misfits.push(Misfit { path: self.path.text.clone(), why: why.into() });
    }

    fn expected(&mut self, what: &str, found: &Value) {
        self.misfit(format!("{what} is expected, not {}", described(found)));
    }

    fn value(&mut self, schema: &Avro, id: NodeId) {
        if self.path.lengths.len() > DEPTH_MAX {
            return self.misfit(format!("it is nested more than {DEPTH_MAX} deep"));
        }
        let shell = match self.tree.get(id) {
            Node::Leaf(json) => json.clone(),
            // What they hold is looked up where it is written.
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
                None => self.expected("a UUID such as \"0190163d-8694-739b-aea5-966c26f8ad91\"", json),
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
                self.path.item(&index);
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
                self.path.item(key);
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
            // What is wrong with an optional value is said where it is.
            [one, other] if matches!(kind(names, one), Kind::Null) => self.value(other, id),
            [other, one] if matches!(kind(names, one), Kind::Null) => self.value(other, id),
            _ => {
                let all: Vec<_> = branches.iter().map(|branch| branch_name(names, branch)).collect();
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
                None => self.misfit("it is missing, and has no default"),
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

fn number(json: &Value) -> Option<f64> {
    match json.as_str() {
        Some("NaN") => Some(f64::NAN),
        Some("Infinity") => Some(f64::INFINITY),
        Some("-Infinity") => Some(f64::NEG_INFINITY),
        _ => json.as_f64(),
    }
}

fn bytes(json: &Value) -> Option<Vec<u8>> {
    json.as_str()?.chars().map(|character| u8::try_from(character).ok()).collect()
}

/// Whether `text` is a UUID as a schema of a string has it: other spellings would be other bytes.
fn is_uuid(text: &str) -> bool {
    text.len() == 36 && Uuid::try_parse(text).is_ok()
}

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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const EVERYTHING: &str = r#"{"type":"record","name":"R","namespace":"a","fields":[
        {"name":"optional","type":["null","string"],"default":null},
        {"name":"choice","type":["int","long","string","bytes",
            {"type":"record","name":"N","fields":[{"name":"x","type":"int"}]}]},
        {"name":"bytes","type":"bytes"},
        {"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}},
        {"name":"price","type":{"type":"bytes","logicalType":"decimal","precision":5,"scale":2}},
        {"name":"ratio","type":"double"}, {"name":"small","type":"float"},
        {"name":"id","type":{"type":"string","logicalType":"uuid"}},
        {"name":"kind","type":{"type":"enum","name":"E","symbols":["A","B"]}},
        {"name":"day","type":{"type":"int","logicalType":"date"}},
        {"name":"list","type":{"type":"array","items":"N"}},
        {"name":"map","type":{"type":"map","values":"boolean"}},
        {"name":"hash","type":{"type":"fixed","name":"F","size":2}}]}"#;

    fn everything() -> Value {
        json!({
            "optional": "text", "choice": {"x": 7}, "bytes": "\u{0}ÿ", "at": 1_700_000_000_000_i64,
            "price": "\u{1}\u{2}", "ratio": "NaN", "small": 0.1, "id": "01900000-0000-7000-8000-000000000001",
            "kind": "B", "day": 10, "list": [{"x": 1}, {"x": -2}], "map": {"k": true}, "hash": "ab",
        })
    }

    fn converter() -> Converter {
        Converter::new(EVERYTHING, &[]).expect("a schema")
    }

    fn misfits(json: &Value) -> Vec<String> {
        let misfits = converter().to_avro(json).expect_err("it does not fit");
        misfits.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_printed_is_written_again_as_the_same_bytes() {
        let converter = converter();
        let choices = [json!(5), json!({"long": 5}), json!("s"), json!({"bytes": "s"}), json!({"x": 7})];
        for choice in choices {
            let mut json = everything();
            json["choice"] = choice;

            let avro = converter.to_avro(&json).expect("it fits");

            assert_eq!(converter.to_json(&avro), Ok(json));
        }
    }

    #[test]
    fn branches_may_be_named_as_avro_has_it() {
        let mut named = everything();
        named["optional"] = json!({"string": "text"});
        named["choice"] = json!({"a.N": {"x": 7}});

        assert_eq!(converter().to_avro(&named), converter().to_avro(&everything()));
    }

    #[test]
    fn a_field_that_is_not_there_gets_its_default() {
        let mut json = everything();
        json.as_object_mut().expect("an object").shift_remove("optional");

        let avro = converter().to_avro(&json).expect("it fits");

        assert_eq!(converter().to_json(&avro).expect("sound")["optional"], Value::Null);
    }

    #[test]
    fn everything_that_does_not_fit_is_told_with_its_path() {
        let mut json = everything();
        json["list"][1]["x"] = json!(5_000_000_000_i64);
        json["map"]["k"] = json!("yes");
        json["id"] = json!("1");
        json["kind"] = json!("C");
        json["optional"] = json!(1);
        json["choice"] = json!([]);
        json["hash"] = json!("abc");
        json["colour"] = json!(1);
        json.as_object_mut().expect("an object").shift_remove("day");

        assert_eq!(
            misfits(&json),
            [
                "optional: a string is expected, not 1",
                "choice: one of int, long, string, bytes, a.N is expected, not an array",
                "id: a UUID such as \"0190163d-8694-739b-aea5-966c26f8ad91\" is expected, not \"1\"",
                "kind: one of A, B is expected, not \"C\"",
                "day: it is missing, and has no default",
                "list[1].x: a whole number of 32 bits is expected, not 5000000000",
                "map[\"k\"]: true or false is expected, not \"yes\"",
                "hash: a string of 2 characters U+0000 to U+00FF is expected, not \"abc\"",
                "colour: a.R has no such field, but optional, choice, bytes, at, price, ratio, small, id, kind, \
                 day, list, map, hash",
            ]
        );
        assert_eq!(misfits(&json!(3)), ["an object (a.R) is expected, not 3"]);
    }

    #[test]
    fn bytes_that_are_cut_off_or_too_many_are_told_with_path_and_place() {
        let (converter, mut avro) = (converter(), converter().to_avro(&everything()).expect("it fits"));
        avro.push(9);
        let error = converter.to_json(&avro).expect_err("too many").to_string();
        assert_eq!(error, format!("byte {}: the record ends here, and 1 bytes are left", avro.len() - 1));

        for end in 0..avro.len() - 1 {
            let error = converter.to_json(&avro[..end]).expect_err("cut off");
            assert!(error.why.contains("too soon"), "{end}: {error}");
        }
        let error = converter.to_json(&avro[..4]).expect_err("cut off").to_string();
        assert_eq!(error, "optional: byte 2: the record ends too soon: a string of 4 bytes, 2 left");
    }

    #[test]
    fn lies_about_lengths_are_answers() {
        let of = |schema: &str, avro: &[u8]| {
            Converter::new(schema, &[]).expect("a schema").to_json(avro).expect_err("a lie").to_string()
        };
        let many = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert_eq!(
            of(r#"{"type":"array","items":"null"}"#, &many),
            format!("byte 10: {} items, where 0 bytes are left", i64::MAX)
        );
        assert_eq!(of(r#""bytes""#, &[1]), "byte 1: bytes of -1 bytes");
        assert_eq!(of(r#""long""#, &[0xff; 11]), "byte 0: a number takes more than 64 bits");
        assert_eq!(of(r#""int""#, &many), format!("byte 10: {} is out of an int's range", i64::MAX));
        assert_eq!(of(r#"["null","int"]"#, &[4]), "byte 1: there is no branch 2, but 2");
        assert_eq!(of(r#""string""#, &[2, 0xff]), "byte 2: the string before is not UTF-8");
        let list = r#"{"type":"record","name":"L","fields":[{"name":"next","type":["null","L"]}]}"#;
        let error = of(list, &[2; 1000]);
        assert!(error.ends_with("it is nested more than 120 deep"), "{error}");
    }

    #[test]
    fn types_may_stand_in_other_schemas() {
        let inner = r#"{"type":"record","name":"In","namespace":"a","fields":[{"name":"x","type":"int"}]}"#;
        let outer =
            r#"{"type":"record","name":"Out","namespace":"a","fields":[{"name":"in","type":"a.In"}]}"#;

        let converter = Converter::new(outer, &[inner.to_owned()]).expect("both are known");

        assert_eq!(converter.name().as_deref(), Some("a.Out"));
        assert_eq!(converter.to_json(&[4]), Ok(json!({"in": {"x": 2}})));
        assert!(Converter::new(outer, &[]).is_err());
    }
}
