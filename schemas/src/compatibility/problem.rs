//! One problem between a writer's schema and a reader's.

use std::fmt;

use super::kind::Kind;
use crate::avro::Span;

/// A place where records of the written schema can't be read with the other, or not by every
/// reader, or not with the same meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Its kind.
    pub kind: Kind,
    /// Its path: names of fields with dots between, `[]` for the items of an array, `{}` for the
    /// values of a map, `|long` for a branch of a union; empty for the type itself.
    pub path: String,
    /// The type in the writer's schema; `None` if it lacks the field.
    pub written: Option<String>,
    /// The type in the reader's schema.
    pub read: String,
    /// The range in the writer's text; if the field is missing, that of the record.
    pub written_at: Option<Span>,
    /// The range in the reader's text.
    pub read_at: Option<Span>,
    /// The symbol, field, or default that the explanation concerns.
    pub(super) detail: String,
}

impl Problem {
    /// The reason, in a sentence.
    pub fn why(&self) -> String {
        let read = &self.read;
        let written = self.written.as_deref().unwrap_or("nothing");
        match self.kind {
            Kind::FieldWithoutDefault => {
                "it is not written, and has no default to be read as".to_owned()
            }
            Kind::TypeChanged => format!("{written} can't be read as {read}"),
            Kind::BranchUnknown => format!("{written} may be written, and can't be read as {read}"),
            Kind::SymbolUnknown => {
                format!(
                    "symbol {} is not known, and there is no default symbol to read it as",
                    self.detail
                )
            }
            Kind::NameChanged => {
                format!("{written} can't be read as {read}, whose name is another one")
            }
            Kind::SizeChanged => {
                format!("{written} can't be read as {read}, whose size is another one")
            }
            Kind::LogicalTypeChanged => {
                format!("{written} is read as {read} without an error, and means something else")
            }
            Kind::BytesAsText => {
                "bytes are read as a string, which fails where they are no UTF-8".to_owned()
            }
            Kind::Rounded => format!("{written} is read as {read}, which rounds large numbers"),
            Kind::ReadByAlias => {
                format!(
                    "{written} is read as {read} through an alias, which Redpanda does not follow"
                )
            }
            Kind::NamespaceChanged => {
                format!(
                    "{written} is read as {read}: the specification leaves namespaces out, Redpanda does not"
                )
            }
            Kind::NullFieldAdded => {
                "it is not written; Redpanda holds its default, null, for no default".to_owned()
            }
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "" => f.write_str(&self.why()),
            path => write!(f, "{path}: {}", self.why()),
        }
    }
}

/// The direction in which records are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// New readers read old records.
    Backward,
    /// Readers of an old version read new records.
    Forward,
}
