//! A record as JSON for people, and back.
//!
//! The JSON is what rpk 26 prints and takes: Avro's JSON encoding with the branches of unions bare,
//! `bytes` and `fixed` as strings of the characters U+0000 to U+00FF, logical types as the numbers
//! and strings below them, and floats that are no numbers as `"NaN"`, `"Infinity"` and
//! `"-Infinity"`. A bare value that would be read back as another branch is printed as Avro has it,
//! `{"long": 5}`, so that printed JSON always becomes the same bytes again.
//!
//! The files, in the order in which a record passes them:
//!
//! - `strict`: JSON text to a value; the only part without the feature `tools`.
//! - `converter`: the entry: one schema, both directions; `error` has its errors.
//! - `avro_to_json` and `json_to_avro`: a walk along the schema in each direction.
//! - `kind` says how values of a type are written, `leaf` how a value without parts is written,
//!   `branches` which branch of a union a value fits, `path` where a walk is.
//!
//! Nothing here knows the wire format: see [`crate::Codec`] for that.

#[cfg(feature = "tools")]
mod avro_to_json;
#[cfg(feature = "tools")]
mod branches;
#[cfg(feature = "tools")]
mod converter;
#[cfg(feature = "tools")]
mod error;
#[cfg(feature = "tools")]
mod json_to_avro;
#[cfg(feature = "tools")]
mod kind;
#[cfg(feature = "tools")]
mod leaf;
#[cfg(feature = "tools")]
mod path;
mod strict;
#[cfg(all(test, feature = "tools"))]
mod tests;

#[cfg(feature = "tools")]
pub use converter::Converter;
#[cfg(feature = "tools")]
pub use error::{Malformed, Misfit, Unusable};
#[cfg(feature = "tools")]
pub(crate) use json_to_avro::MISSING;
pub use strict::parse;
