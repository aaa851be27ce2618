//! What Millrace's records look like: Avro schemas, Rust types made from them, and the way to bytes
//! and back.
//!
//! - [`generated`](order): a module for each context, with a type for each record and an enum for
//!   each place where one of several records may come.
//! - [`Codec`]: the wire format, with resolution of what older writers wrote.
//! - [`headers`]: the names of the headers that stand beside a value.
//! - [`avro`]: schemas, read strictly, with every problem and its place.
//! - [`json`]: a record as JSON for people, and back.
//! - [`compatibility`]: whether what one schema wrote can be read with another.
//! - [`bounds`] and [`refusals`]: what a command may hold, and the codes of refused ones.
//!
//! There is no I/O in here and no registry: ids come in as values, and a codec says which one it
//! lacks.

#![forbid(unsafe_code)]

pub mod avro;
pub mod bounds;
mod canonical;
mod codec;
pub mod compatibility;
mod error;
mod generated;
pub mod headers;
pub mod json;
mod nested;
mod parsed;
pub mod refusals;
mod schema;
#[cfg(test)]
mod tests;

/// For `messages!`, in crates that do not use serde themselves.
#[doc(hidden)]
pub use serde as __serde;

pub use canonical::{same, self_contained};
pub use codec::{Codec, Datum, Use, split};
pub use error::CodecError;
pub use generated::*;
pub use nested::context;
pub use schema::{Deprecated, Message, Never, Record, Schema, all, named};
