//! Avro schemas, read strictly: what the specification (1.12) forbids is a problem even where
//! implementations let it pass.
//!
//! [`parse`] takes any number of texts that may use each other's types, and reports every problem
//! with its place in the text. Logical types that stand on the wrong type are no problem, because
//! the specification says that readers ignore them; the model keeps why they are ignored. Nothing
//! here reads files or decodes values.

mod default;
mod define;
mod json;
mod logical;
mod model;
mod names;
mod parse;
mod rule;

pub use json::json_path;
pub use model::{
    Default, Enum, Field, Fixed, Kind, Logical, Name, Record, Root, Schemas, Span, Type, TypeId,
    Use,
};
pub use parse::{Parsed, parse, parse_one};
pub use rule::{Invalid, Rule};

/// Whether `name` is one of Avro's primitive types.
pub fn is_primitive(name: &str) -> bool {
    PRIMITIVES.contains(&name)
}

/// Avro's primitive types, in the order of their ids in every [`Schemas`].
const PRIMITIVES: [&str; 8] =
    ["null", "boolean", "int", "long", "float", "double", "bytes", "string"];
