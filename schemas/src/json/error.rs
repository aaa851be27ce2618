//! What can be wrong with a schema, with bytes, and with JSON, each with its place.

use std::{error::Error, fmt, sync::Arc};

/// A text that is no Avro schema, or that refers to types which are not given with it.
#[derive(Clone, Debug, thiserror::Error)]
#[error("not an Avro schema")]
pub struct Unusable {
    /// The error of apache-avro.
    #[source]
    pub error: Arc<apache_avro::Error>,
}

impl From<apache_avro::Error> for Unusable {
    fn from(error: apache_avro::Error) -> Self {
        Self { error: Arc::new(error) }
    }
}

/// Bytes that do not fit the schema.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}byte {at}: {why}", prefix(path))]
pub struct Malformed {
    /// Which value: names of fields with dots between, `[3]` for the item of an array, `["k"]` for
    /// the value of a map.
    pub path: String,
    /// The position where reading stopped, counted from the first byte of the record.
    pub at: usize,
    /// What is wrong there.
    pub why: String,
}

/// A value in JSON that does not fit the schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// Which value, as in [`Malformed`].
    pub path: String,
    /// What the schema expects.
    pub why: String,
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", prefix(&self.path), self.why)
    }
}

impl Error for Misfit {}

fn prefix(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!("{path}: ") }
}
