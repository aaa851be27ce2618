//! Avro schemas, parsed strictly: whatever the specification (1.12) forbids is a problem, even if
//! implementations accept it.
//!
//! [`parse`] takes any number of texts that may use each other's types, and reports every problem
//! with its place in the text. A logical type on the wrong type is no problem, because the
//! specification says that readers ignore it; the model keeps the reason. [`Definitions`] joins
//! texts into one. Nothing here reads files or decodes values.

mod default;
mod ignored;
mod inline;
mod json;
mod logical;
mod model;
mod names;
mod parse;
mod primitive;
mod rule;
mod schemas;

pub use default::Unfit;
pub use ignored::Ignored;
pub use inline::{Definitions, InlineError};
pub use json::json_path;
pub use model::{
    Default, Enum, Field, Fixed, Kind, Logical, Name, Record, Span, Type, TypeId, Use,
};
pub use parse::{Parsed, parse, parse_one};
pub use rule::{Invalid, Rule};
pub use schemas::{Root, Schemas};
