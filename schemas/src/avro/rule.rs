//! The rules of the specification, and how a text breaks one.

use std::fmt;

use super::model::Span;

/// A problem that makes a text no valid schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// The rule that it breaks.
    pub rule: Rule,
    /// The path in the schema, as in [`Problem::path`](crate::compatibility::Problem::path).
    pub path: String,
    /// The range in the text.
    pub span: Span,
    /// What is wrong, in a sentence.
    pub message: String,
    /// How to fix it.
    pub help: Option<String>,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        match &self.help {
            Some(help) => write!(f, " ({help})"),
            None => Ok(()),
        }
    }
}

macro_rules! rules {
    ($($(#[doc = $doc:literal])+ $name:ident = $id:literal,)+) => {
        /// The rules that every schema must keep.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Rule {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Rule {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The rule's id for people and tools.
            pub const fn id(self) -> &'static str {
                match self {
                    $(Self::$name => $id,)+
                }
            }

            /// What the rule demands, and why.
            pub const fn explanation(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($doc, "\n",)+).trim_ascii(),)+
                }
            }
        }
    };
}

rules! {
    /// A schema is JSON: no comments, no trailing commas, at most 128 levels deep.
    Json = "json",
    /// No object has the same attribute twice. JSON does not say which of the two counts, and
    /// readers differ.
    DuplicateKey = "duplicate-key",
    /// Every type has the attributes that it needs, each with a value of the right kind: a record
    /// has "fields", an enum "symbols", an array "items", a map "values", a fixed "size"; aliases
    /// are a list of strings; a doc is a string; a field's order is "ascending", "descending" or
    /// "ignore".
    Attribute = "attribute",
    /// A type is a primitive (null, boolean, int, long, float, double, bytes, string), a
    /// definition, a union, or the name of a type that this file or another one defines. A name
    /// without a dot is looked up in the namespace around it.
    UnknownType = "unknown-type",
    /// A type is defined before it is used, from left to right. Java 1.12 takes the other order
    /// too; other readers fail.
    ForwardReference = "forward-reference",
    /// "type" inside an object names a primitive or starts a definition. A union or a reference
    /// stands by itself: {"name": "f", "type": "shop.Line"}, not {"name": "f", "type": {"type":
    /// "shop.Line"}}. Rust and C# take the nested form; Java and Python do not.
    NestedType = "nested-type",
    /// Names, the parts of namespaces, fields and symbols are letters, digits and _, and do not
    /// start with a digit. Letters are those of ASCII.
    Name = "name",
    /// The name of a primitive type is no name for another one, in any namespace.
    PrimitiveName = "primitive-name",
    /// A full name has one definition; later uses refer to it by name.
    DuplicateType = "duplicate-type",
    /// The fields of a record have different names.
    DuplicateField = "duplicate-field",
    /// The symbols of an enum differ.
    DuplicateSymbol = "duplicate-symbol",
    /// A field's default is a value of its type, or, for a union, of one of its branches. Bytes and
    /// fixed are strings of the characters U+0000 to U+00FF; a record's default has every field
    /// that has no default itself.
    Default = "default",
    /// An enum's default is one of its symbols.
    EnumDefault = "enum-default",
    /// A union holds no union directly: write all branches into one.
    NestedUnion = "nested-union",
    /// A union has at most one branch of each type; only records, enums and fixed may come more
    /// than once, with different names. A reader could not tell the branches apart.
    DuplicateBranch = "duplicate-branch",
    /// The size of a fixed type is a whole number of bytes, not negative.
    FixedSize = "fixed-size",
    /// An alias belongs to one field, and is no other field's name: a reader would not know which
    /// one is meant.
    AmbiguousAlias = "ambiguous-alias",
}
