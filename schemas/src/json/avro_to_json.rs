//! From Avro's binary encoding to JSON.
//!
//! Lengths and depths that the bytes announce are checked against bounds before they are used. It
//! writes no bytes.

use std::collections::HashMap;

use apache_avro::Schema as Avro;
use serde_json::{Number, Value};

use super::{
    branches::{Node, NodeId, Tree},
    error::Malformed,
    kind::{Kind, Names, branch_name, kind},
    path::{DEPTH_MAX, Path},
};

/// How many values without bytes are read, beyond one for each byte of the record. The record's
/// bytes bound all others.
const EMPTY_VALUES_MAX: usize = 1 << 16;

/// A walk through Avro bytes, which builds JSON.
pub(super) struct AvroToJson<'a> {
    names: &'a Names<'a>,
    tree: Tree<'a>,
    rest: &'a [u8],
    length: usize,
    /// The number of values that took no bytes.
    empty: usize,
    path: Path,
}

impl<'a> AvroToJson<'a> {
    pub(super) fn new(names: &'a Names<'a>, avro: &'a [u8], hides_values: bool) -> Self {
        let (tree, path) = (Tree::new(names), Path::new(hides_values));
        Self { names, tree, rest: avro, length: avro.len(), empty: 0, path }
    }

    /// Reads a value that takes all of the bytes.
    pub(super) fn whole(mut self, schema: &'a Avro) -> Result<Value, Malformed> {
        let value = self.value(schema)?;
        match self.rest.len() {
            0 => Ok(self.tree.take(value)),
            count => {
                Err(self.malformed(format!("the record ends here, and {count} bytes are left")))
            }
        }
    }

    fn malformed(&self, why: impl Into<String>) -> Malformed {
        let (path, at) = (self.path.text().to_owned(), self.length - self.rest.len());
        Malformed { path, at, why: why.into() }
    }

    fn value(&mut self, schema: &'a Avro) -> Result<NodeId, Malformed> {
        if self.path.depth() > DEPTH_MAX {
            return Err(self.malformed(format!("it is nested more than {DEPTH_MAX} deep")));
        }
        let before = self.rest.len();
        let id = self.node(schema)?;
        if self.rest.len() == before {
            self.empty += 1;
            if self.empty > self.length + EMPTY_VALUES_MAX {
                return Err(
                    self.malformed(format!("more than {} values take no bytes", self.empty - 1))
                );
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
                other => {
                    return Err(self.malformed(format!("a boolean is 0 or 1, not {}", other[0])));
                }
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
                // By its shortest digits: a float that is printed as a double shows digits that
                // nobody wrote.
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
                self.path.item(values.len());
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
                self.path.key(&key);
                let value = self.value(types)?;
                self.path.up();
                // The last value of a repeated key counts, as in other readers.
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
        let index =
            usize::try_from(index).ok().filter(|index| *index < branches.len()).ok_or_else(
                || self.malformed(format!("there is no branch {index}, but {}", branches.len())),
            )?;
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
            return Err(self.malformed(format!(
                "the record ends too soon: {what} of {count} bytes, {left} left"
            )));
        };
        self.rest = rest;
        Ok(taken)
    }

    /// Reads a zigzag number of up to ten bytes.
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
        String::from_utf8(bytes.to_vec())
            .map_err(|_| self.malformed("the string before is not UTF-8"))
    }

    /// The number of items in the next block of an array or a map; `None` at its end.
    fn block(&mut self) -> Result<Option<u64>, Malformed> {
        let count = self.long()?;
        if count < 0 {
            // A negative count is followed by the block's length in bytes, for readers that skip.
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
