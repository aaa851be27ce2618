//! A problem between a new schema and a released one, as it is reported: the change, who
//! fails, the order of deployment, and a fix.

use std::fmt;

use super::{
    kind::Kind,
    problem::{Direction, Problem},
};
use crate::avro::Span;

/// Why a schema is not compatible with a released version of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Break {
    /// The name of the released version for people, such as `version 3`.
    pub release: String,
    /// The direction in which records are read.
    pub direction: Direction,
    /// The problem.
    pub problem: Problem,
}

impl Break {
    /// The type in the released version; `None` if it lacks the field.
    pub fn before(&self) -> Option<&str> {
        match self.direction {
            Direction::Backward => self.problem.written.as_deref(),
            Direction::Forward => Some(&self.problem.read),
        }
    }

    /// The type in the new schema; `None` if it lacks the field.
    pub fn after(&self) -> Option<&str> {
        match self.direction {
            Direction::Backward => Some(&self.problem.read),
            Direction::Forward => self.problem.written.as_deref(),
        }
    }

    /// The range in the released text.
    pub fn before_at(&self) -> Option<Span> {
        match self.direction {
            Direction::Backward => self.problem.written_at,
            Direction::Forward => self.problem.read_at,
        }
    }

    /// The range in the new text.
    pub fn after_at(&self) -> Option<Span> {
        match self.direction {
            Direction::Backward => self.problem.read_at,
            Direction::Forward => self.problem.written_at,
        }
    }

    /// The change, in a sentence.
    pub fn what(&self) -> String {
        let Problem { kind, detail, read, .. } = &self.problem;
        let written = self.problem.written.as_deref().unwrap_or_default();
        match (kind, self.direction) {
            (Kind::FieldWithoutDefault, Direction::Backward) => {
                "this field is new, and has no default".to_owned()
            }
            (Kind::FieldWithoutDefault, Direction::Forward) => {
                "this field is gone, and older readers have no default for it".to_owned()
            }
            (Kind::SymbolUnknown, Direction::Backward) => {
                format!("symbol {detail} is gone, and there is no default symbol to read it as")
            }
            (Kind::SymbolUnknown, Direction::Forward) => {
                format!(
                    "symbol {detail} is new, and older readers have no default symbol to read it as"
                )
            }
            (Kind::BranchUnknown, Direction::Backward) => {
                format!("{written} could be written, and can't be read as {read}")
            }
            (Kind::BranchUnknown, Direction::Forward) => {
                format!("{written} can be written now, and older readers can't read it as {read}")
            }
            (Kind::TypeChanged, Direction::Forward) => {
                format!("{written} is written now, and can't be read as {read}")
            }
            _ => self.problem.why(),
        }
    }

    /// Who fails, or what else goes wrong.
    pub fn who(&self) -> String {
        let release = &self.release;
        let (readers, records) = match self.direction {
            Direction::Backward => ("new readers".to_owned(), format!("records of {release}")),
            Direction::Forward => {
                (format!("readers that are not updated ({release})"), "new records".to_owned())
            }
        };
        match self.problem.kind {
            Kind::LogicalTypeChanged => format!("{readers} take {records} for something else"),
            Kind::Rounded => format!("{readers} lose digits of {records}"),
            Kind::BytesAsText => format!("{readers} fail on {records} with bytes that are no text"),
            Kind::ReadByAlias => {
                format!(
                    "{readers} that do not follow aliases fail on {records}; Redpanda refuses the schema"
                )
            }
            Kind::NamespaceChanged => {
                format!(
                    "{readers} that compare namespaces fail on {records}; Redpanda refuses the schema"
                )
            }
            Kind::NullFieldAdded => "nobody; but Redpanda refuses the schema".to_owned(),
            _ => format!("{readers} fail on {records}"),
        }
    }

    /// The order of deployment, if one helps.
    pub fn deploy(&self) -> &'static str {
        match self.direction {
            _ if self.problem.kind == Kind::NullFieldAdded => "any order",
            Direction::Backward => "no order helps while such records are on a topic",
            Direction::Forward => {
                "every reader before the first writer, with no way back for readers"
            }
        }
    }

    /// How to fix it.
    pub fn fix(&self) -> String {
        let Problem { kind, detail, .. } = &self.problem;
        let release = &self.release;
        let (before, after) = (self.before().unwrap_or_default(), self.after().unwrap_or_default());
        match (kind, self.direction) {
            (Kind::FieldWithoutDefault, Direction::Backward) if detail.is_empty() => {
                "make it optional: [\"null\", ...] with \"default\": null".to_owned()
            }
            (Kind::FieldWithoutDefault, Direction::Backward) => {
                format!(
                    "give it a default, such as {detail}, or make it optional: [\"null\", ...] with \"default\": null"
                )
            }
            (Kind::FieldWithoutDefault, Direction::Forward) => {
                format!("keep the field: readers of {release} need it")
            }
            (Kind::TypeChanged | Kind::SizeChanged | Kind::LogicalTypeChanged, _) => {
                format!("keep {before}, and add a field with a default for {after}")
            }
            (Kind::BranchUnknown, Direction::Backward) => {
                format!("keep {before} among the types that are read")
            }
            (Kind::BranchUnknown, Direction::Forward) => {
                format!("take {after} out again, and add an optional field for it")
            }
            (Kind::SymbolUnknown, Direction::Backward) => {
                format!("keep symbol {detail}, or give the enum a \"default\" symbol")
            }
            (Kind::SymbolUnknown, Direction::Forward) => {
                format!(
                    "take symbol {detail} out again, and add a field with an enum of its own that has a \"default\""
                )
            }
            (Kind::NameChanged, _) => {
                format!("keep {before}; a type of another name is a new type, for a new field")
            }
            (Kind::BytesAsText | Kind::Rounded, _) => {
                format!("keep {before}, or make sure of the values")
            }
            (Kind::ReadByAlias | Kind::NamespaceChanged, _) => format!("keep {before}"),
            (Kind::NullFieldAdded, _) => {
                "make it a union: [\"null\", ...] with \"default\": null".to_owned()
            }
        }
    }
}

impl fmt::Display for Break {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = &self.problem.path;
        let colon = if path.is_empty() { "" } else { ": " };
        write!(f, "{path}{colon}{} ({})", self.what(), self.who())
    }
}
