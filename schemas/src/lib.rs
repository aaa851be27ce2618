//! The schemas of Millrace's records: Rust types generated from them, and the way from those types
//! to bytes and back.
//!
//! Every program uses this half:
//!
//! - [`generated`](order): a module for each context, with a type for each record and an enum for
//!   each topic that carries several records.
//! - [`Codec`]: the wire format, with resolution of records that other versions wrote.
//! - [`headers`]: the names of the headers beside a value.
//! - [`json::parse`]: JSON, read strictly.
//! - [`chain()`]: the text of an error with its sources, for logs, dead letters and terminals.
//! - [`bounds`] and [`refusals`]: what a command may hold, and the codes of refused ones.
//!
//! The feature `tools` adds what judges, converts and masks. Crates that use a registry or show
//! records turn it on; the domain does not compile it:
//!
//! - `avro`: schemas, parsed strictly, with every problem and its place.
//! - `compatibility`: whether records of one schema can be read with another.
//! - `json::Converter`: a record as JSON for people, and back.
//! - `Shown`, `personal`: a record as people see it, with personal fields masked.
//! - `edited`: a value that an operator has edited as JSON, checked and written.
//! - `same`, `self_contained`: schemas compared and joined whatever their spelling.
//!
//! The library does no I/O and asks no registry: schema ids are arguments, and a codec returns an
//! error that names the id it lacks.

#![forbid(unsafe_code)]

mod all;
#[cfg(feature = "tools")]
pub mod avro;
pub mod bounds;
#[cfg(feature = "tools")]
mod canonical;
mod chain;
mod codec;
#[cfg(feature = "tools")]
pub mod compatibility;
#[cfg(feature = "tools")]
pub mod edited;
mod error;
mod generated;
pub mod headers;
pub mod json;
mod message;
mod nested;
#[cfg(feature = "tools")]
pub mod personal;
pub mod refusals;
mod schema;
#[cfg(feature = "tools")]
mod shown;
#[cfg(test)]
mod tests;

/// For `messages!`, in crates that do not use serde themselves.
#[doc(hidden)]
pub use serde as __serde;

pub use all::{all, named};
#[cfg(feature = "tools")]
pub use canonical::{same, self_contained};
pub use chain::chain;
pub use codec::{Codec, Datum, Use, split};
pub use error::{Cause, CodecError};
pub use generated::*;
pub use message::{Message, Never, Record};
pub use nested::context;
pub use schema::{Deprecated, Schema};
#[cfg(feature = "tools")]
pub use shown::Shown;
