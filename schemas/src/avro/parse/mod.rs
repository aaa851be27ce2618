//! From JSON texts to [`Schemas`], with every problem on the way.
//!
//! `reader` has the state and reports problems, `types` reads a type of any kind, `named` what
//! records, enums and fixed types have in common, `record` and `symbols` their rest. Whether names
//! and defaults are right is checked once all texts are read.

mod named;
mod reader;
mod record;
mod symbols;
mod types;

use serde_json::Value;

use super::{default, names, rule::Invalid, schemas::Schemas};
use reader::Reader;

/// Parsed schemas with their problems. Only without problems do the schemas mean what their authors
/// wrote.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// All types of all texts.
    pub schemas: Schemas,
    /// The texts as JSON, for [`Definitions`](super::Definitions); `None` for a text that is not
    /// JSON.
    pub json: Vec<Option<Value>>,
    /// Every problem, in the order of the texts.
    pub problems: Vec<Invalid>,
}

/// Parses texts that may use the types of each other, in any order.
pub fn parse(texts: &[&str]) -> Parsed {
    let mut reader = Reader::new();
    for (source, text) in (0..).zip(texts) {
        reader.source = source;
        reader.text(text);
    }
    names::undefined(&reader.named, &mut reader.problems);
    names::duplicate_branches(&reader.schemas, &mut reader.problems);
    default::check(&reader.schemas, &mut reader.problems);
    reader.problems.sort_by_key(|problem| problem.span);
    Parsed { schemas: reader.schemas, json: reader.json, problems: reader.problems }
}

/// Parses one text that uses no types of others.
///
/// # Errors
/// Every problem of the text.
pub fn parse_one(text: &str) -> Result<Schemas, Vec<Invalid>> {
    let parsed = parse(&[text]);
    if parsed.problems.is_empty() { Ok(parsed.schemas) } else { Err(parsed.problems) }
}
