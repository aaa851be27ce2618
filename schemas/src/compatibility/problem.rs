//! What a problem is, and what people are told of it.

use std::fmt;

use crate::avro::Span;

/// How much a problem weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Readers that keep to the specification read it; others do not, or lose something.
    Warning,
    /// It is read without an error, as something else than was written.
    Meaning,
    /// It can't be read.
    Break,
}

macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $name:ident = $id:literal, $severity:ident;)+) => {
        /// The kinds of problems.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Kind {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Kind {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The name that people and tools know it by.
            pub const fn id(self) -> &'static str {
                match self {
                    $(Self::$name => $id,)+
                }
            }

            /// How much it weighs.
            pub const fn severity(self) -> Severity {
                match self {
                    $(Self::$name => Severity::$severity,)+
                }
            }

            /// What it is, and why it is a problem.
            pub const fn explanation(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($doc, "\n",)+).trim_ascii(),)+
                }
            }
        }
    };
}

kinds! {
    /// A reader needs a field that was not written, and the reader's schema has no default for it.
    FieldWithoutDefault = "field-without-default", Break;
    /// A value of the written type is never one of the read type. Only int may be read as long,
    /// float or double, long as float or double, float as double, and string and bytes as each
    /// other.
    TypeChanged = "type-changed", Break;
    /// A union was written, and one of its branches can't be read; or the reader's union has no
    /// branch for what was written.
    BranchUnknown = "branch-unknown", Break;
    /// A symbol may be written that the reader's enum does not have, and the reader's enum has no
    /// "default" symbol for it.
    SymbolUnknown = "symbol-unknown", Break;
    /// Records, enums and fixed are read only as types of the same name, or of one that has the
    /// written name as an alias.
    NameChanged = "name-changed", Break;
    /// A fixed type is read only with the size with which it was written.
    SizeChanged = "size-changed", Break;
    /// The logical type differs, so that the same bytes mean something else: milliseconds become
    /// microseconds, a price moves its point. Readers follow the specification and report nothing,
    /// which makes it worse than a break.
    LogicalTypeChanged = "logical-type-changed", Meaning;
    /// Bytes are read as a string. The specification allows it, but bytes that are no UTF-8 fail,
    /// and only the values tell.
    BytesAsText = "bytes-as-text", Warning;
    /// A whole number is read as a floating-point number that can't hold all of its digits: float
    /// has 24 bits for them, double has 53.
    Rounded = "rounded", Warning;
    /// A field or type is found by an alias. Java, Python, Ruby, C# and Karapace follow aliases;
    /// Redpanda's registry refuses the schema (read from its source), and apache-avro for Rust does
    /// not follow the aliases of fields.
    ReadByAlias = "read-by-alias", Warning;
    /// Only the namespace of a type differs. The specification and Java match names without it;
    /// Redpanda's registry refuses the schema (read from its source).
    NamespaceChanged = "namespace-changed", Warning;
    /// A field of type null was added. The specification takes its default, null; Redpanda's
    /// registry holds that for no default and refuses the schema (read from its source).
    NullFieldAdded = "null-field-added", Warning;
}

/// A place where what was written can't be read, or not by everyone, or not as it was meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What kind of problem it is.
    pub kind: Kind,
    /// Where: names of fields with dots between, `[]` for the items of an array, `{}` for the
    /// values of a map, `|long` for a branch of a union; empty for the type itself.
    pub path: String,
    /// What stands in the writer's schema; nothing, if it lacks the field.
    pub written: Option<String>,
    /// What stands in the reader's schema.
    pub read: String,
    /// The place in the writer's text: the record, where the field is missing.
    pub written_at: Option<Span>,
    /// The place in the reader's text.
    pub read_at: Option<Span>,
    /// The symbol, field, or default that the explanation is about.
    pub(super) detail: String,
}

impl Problem {
    /// What is in the way, in a sentence.
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

/// Which way of reading is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// New readers read old records.
    Backward,
    /// Readers that know an old version read new records.
    Forward,
}

/// Why a schema can't stand beside one that was released before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Break {
    /// What it was released as, in words: `version 3`.
    pub release: String,
    /// Who is reading what.
    pub direction: Direction,
    /// What is in the way.
    pub problem: Problem,
}

impl Break {
    /// What the released version has in this place.
    pub fn before(&self) -> Option<&str> {
        match self.direction {
            Direction::Backward => self.problem.written.as_deref(),
            Direction::Forward => Some(&self.problem.read),
        }
    }

    /// What the new schema has in this place.
    pub fn after(&self) -> Option<&str> {
        match self.direction {
            Direction::Backward => Some(&self.problem.read),
            Direction::Forward => self.problem.written.as_deref(),
        }
    }

    /// The place in the released text.
    pub fn before_at(&self) -> Option<Span> {
        match self.direction {
            Direction::Backward => self.problem.written_at,
            Direction::Forward => self.problem.read_at,
        }
    }

    /// The place in the new text.
    pub fn after_at(&self) -> Option<Span> {
        match self.direction {
            Direction::Backward => self.problem.read_at,
            Direction::Forward => self.problem.written_at,
        }
    }

    /// What has happened, in a sentence.
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

    /// Who breaks, or what else goes wrong.
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

    /// In which order to deploy, if one helps.
    pub fn deploy(&self) -> &'static str {
        match self.direction {
            _ if self.problem.kind == Kind::NullFieldAdded => "any order",
            Direction::Backward => "no order helps while such records are on a topic",
            Direction::Forward => {
                "every reader before the first writer, with no way back for readers"
            }
        }
    }

    /// What to do instead.
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
