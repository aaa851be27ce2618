//! The schema of a record as the registry has it, and its mark of deprecation. No codec and no
//! record types stand here.

use serde::Deserialize;
use serde_json::Value;

/// The schema of a record, as it is registered: its subject is the record's full name, and it has
/// no references.
#[derive(Debug, PartialEq, Eq)]
pub struct Schema {
    /// The full name of the record, which is the subject.
    pub name: &'static str,
    /// The schema with all types that it uses, with docs and other attributes.
    pub json: &'static str,
    /// The folder of its file below `avro`, such as `order/events`, which decides the topics that
    /// carry its records. Empty for a [foreign](Self::foreign) schema.
    pub folder: &'static str,
    /// Its position in [`all`](crate::all), so that a codec finds it without hashing.
    pub(crate) index: usize,
}

/// The position of schemas that are not in [`all`](crate::all).
pub(crate) const FOREIGN: usize = usize::MAX;

impl Schema {
    /// The schema of a record that this crate does not have, such as a benchmark's own.
    /// [`Codec::of`](crate::Codec::of) adds it to a codec.
    pub const fn foreign(name: &'static str, json: &'static str) -> Self {
        Self { name, json, folder: "", index: FOREIGN }
    }
}

/// The schemas of the generated table, each with its position.
pub(crate) const fn numbered<const COUNT: usize>(mut table: [Schema; COUNT]) -> [Schema; COUNT] {
    let mut index = 0;
    while index < COUNT {
        table[index].index = index;
        index += 1;
    }
    table
}

/// An entry of the generated table: folder and full name. The JSON stands beside the table.
macro_rules! entry {
    ($folder:literal, $name:literal) => {
        $crate::Schema {
            folder: $folder,
            ..$crate::Schema::foreign($name, include_str!(concat!("json/", $name, ".json")))
        }
    };
}

pub(crate) use entry;

/// A schema's mark of deprecation: `"deprecated": {"since": "2026-11-25", "successor":
/// "millrace.order.Placed"}`. Records of the schema can still be written and read; the programs
/// that do so report it and name the successor.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deprecated {
    /// The first day on which no program should use the schema, `YYYY-MM-DD`.
    pub since: String,
    /// The full name of the record that replaces it.
    pub successor: String,
}

impl Deprecated {
    /// The mark in a schema's JSON; `None` if there is none, or none of this form.
    pub(crate) fn of(schema: &Value) -> Option<Self> {
        Self::deserialize(schema.get("deprecated")?).ok()
    }
}
