//! A record as JSON for people, and back.
//!
//! The JSON is what rpk 26 prints and takes: Avro's JSON encoding with the branches of unions bare,
//! `bytes` and `fixed` as strings of the characters U+0000 to U+00FF, logical types as the numbers
//! and strings below them, and floats that are no numbers as `"NaN"`, `"Infinity"` and
//! `"-Infinity"`. Where a bare value would be taken for another branch it stands as Avro has it,
//! `{"long": 5}`, so that what was printed is always written again as the same bytes.
//!
//! It walks bytes and schema side by side and knows of no wire format: see [`crate::Codec`] for
//! that.

mod kind;
mod parse;
mod path;
mod reading;
#[cfg(test)]
mod tests;
mod tree;
mod writing;

use std::fmt;

use apache_avro::{Schema as Avro, schema::ResolvedSchema};
use serde_json::Value;

use kind::Names;
pub use parse::parse;
use reading::Reading;
use writing::Writing;

/// Values in values that are followed so far, and as far as `serde_json` follows them.
const DEPTH_MAX: usize = 120;

/// A text that is no Avro schema, or refers to types that are not given with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an Avro schema: {0}")]
pub struct Unusable(String);

/// Bytes that are not what the schema says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}byte {at}: {why}", prefix(path))]
pub struct Malformed {
    /// Which value: names of fields with dots between, `[3]` for the item of an array, `["k"]` for
    /// the value of a map.
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
        let (schema, referenced) =
            Avro::parse_str_with_list(schema, references).map_err(unusable)?;
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
        Reading::new(&names, avro).whole(&self.schema)
    }

    /// `json` in Avro's binary encoding. Fields that are not there get their default.
    ///
    /// # Errors
    /// Everything that does not fit.
    pub fn to_avro(&self, json: &Value) -> Result<Vec<u8>, Vec<Misfit>> {
        let names = self.names().unwrap_or_default();
        Writing::new(&names).whole(&self.schema, json)
    }

    fn names(&self) -> Result<Names<'_>, apache_avro::Error> {
        let all = self.referenced.iter().chain([&self.schema]).collect();
        Ok(ResolvedSchema::new_with_schemata(all)?.get_names().clone())
    }
}
