//! The types of parsed schemas. References between them are ids in one list, which `schemas` holds.

use std::{fmt, ops::Range};

use serde_json::Value;

use super::ignored::Ignored;

/// A range of bytes in one of the parsed texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// The index of the text among those that were parsed.
    pub source: u32,
    /// The first byte.
    pub start: u32,
    /// The byte after the last.
    pub end: u32,
}

impl Span {
    /// The range in the text.
    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// The id of a type in its [`Schemas`](super::Schemas).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TypeId(pub(super) u32);

/// The id of a placeholder for a type that could not be read.
pub(super) const NULL: TypeId = TypeId(0);

/// A use of a type: as a field's type, an array's items, or a branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Use {
    /// The type.
    pub id: TypeId,
    /// The text of the use: the type's definition, or the name that refers to it.
    pub span: Span,
}

/// A full name: namespace and name, with a dot between.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(pub(super) String);

impl Name {
    /// Namespace and name, with a dot between.
    pub fn full(&self) -> &str {
        &self.0
    }

    /// The part after the last dot.
    pub fn simple(&self) -> &str {
        self.0.rsplit('.').next().unwrap_or(&self.0)
    }

    /// The part before the last dot; empty for the null namespace.
    pub fn namespace(&self) -> &str {
        self.0.rsplit_once('.').map_or("", |(namespace, _)| namespace)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A type with its attributes.
#[derive(Clone, Debug)]
pub struct Type {
    /// Its kind.
    pub kind: Kind,
    /// The text of its definition; `None` for primitive types without attributes.
    pub span: Option<Span>,
    /// Its logical type, if that is well formed and on the right type.
    pub logical: Option<Logical>,
    /// A logical type that readers ignore, and why they do.
    pub ignored_logical: Option<(Span, Ignored)>,
    /// Attributes that the specification does not define, such as `pii`.
    pub extra: Vec<(String, Value)>,
}

/// The kinds of types.
#[derive(Clone, Debug)]
pub enum Kind {
    /// No value.
    Null,
    /// True or false.
    Boolean,
    /// 32 bits, signed.
    Int,
    /// 64 bits, signed.
    Long,
    /// 32 bits, IEEE 754.
    Float,
    /// 64 bits, IEEE 754.
    Double,
    /// Any bytes.
    Bytes,
    /// Text in UTF-8.
    String,
    /// A list of items of one type.
    Array(Use),
    /// Values of one type by string.
    Map(Use),
    /// One of several types.
    Union(Vec<Use>),
    /// Named fields.
    Record(Record),
    /// One of several symbols.
    Enum(Enum),
    /// A fixed number of bytes.
    Fixed(Fixed),
}

/// A record's definition.
#[derive(Clone, Debug)]
pub struct Record {
    /// Its full name.
    pub name: Name,
    /// The text of the name.
    pub name_span: Span,
    /// Full names in a writer's schema that a reader takes for this one.
    pub aliases: Vec<(Name, Span)>,
    /// Its doc.
    pub doc: Option<String>,
    /// Its fields, in their order on the wire.
    pub fields: Vec<Field>,
}

/// A field of a record.
#[derive(Clone, Debug)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// The text of the name.
    pub name_span: Span,
    /// The text of the whole field.
    pub span: Span,
    /// Names in a writer's schema that a reader takes for this one.
    pub aliases: Vec<(String, Span)>,
    /// Its doc.
    pub doc: Option<String>,
    /// How records are sorted by it: "ascending", which is the default, "descending" or "ignore".
    pub order: String,
    /// Its type.
    pub kind: Use,
    /// The value that a reader sees if the field was not written.
    pub default: Option<Default>,
    /// Attributes that the specification does not define, each with the text of its name.
    pub extra: Vec<(String, Value, Span)>,
}

/// A field's default.
#[derive(Clone, Debug)]
pub struct Default {
    /// The value, in Avro's JSON form for defaults.
    pub json: Value,
    /// The text of the value.
    pub span: Span,
}

/// An enum's definition.
#[derive(Clone, Debug)]
pub struct Enum {
    /// Its full name.
    pub name: Name,
    /// The text of the name.
    pub name_span: Span,
    /// Full names in a writer's schema that a reader takes for this one.
    pub aliases: Vec<(Name, Span)>,
    /// Its doc.
    pub doc: Option<String>,
    /// Its symbols.
    pub symbols: Vec<(String, Span)>,
    /// The symbol that readers take for symbols that they do not know.
    pub default: Option<String>,
}

/// A fixed type's definition.
#[derive(Clone, Debug)]
pub struct Fixed {
    /// Its full name.
    pub name: Name,
    /// The text of the name.
    pub name_span: Span,
    /// Full names in a writer's schema that a reader takes for this one.
    pub aliases: Vec<(Name, Span)>,
    /// Its doc.
    pub doc: Option<String>,
    /// The number of its bytes.
    pub size: u64,
}

/// The meaning of a value beyond its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Logical {
    /// A number with a fixed count of digits after the point.
    Decimal {
        /// The largest number of digits.
        precision: u64,
        /// The number of digits after the point.
        scale: u64,
    },
    /// A logical type without parameters, by its name in the specification.
    Plain(&'static str),
}

impl fmt::Display for Logical {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decimal { precision, scale } => write!(f, "decimal({precision}, {scale})"),
            Self::Plain(name) => f.write_str(name),
        }
    }
}

impl Kind {
    /// The kind's word in the specification.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "boolean",
            Self::Int => "int",
            Self::Long => "long",
            Self::Float => "float",
            Self::Double => "double",
            Self::Bytes => "bytes",
            Self::String => "string",
            Self::Array(_) => "array",
            Self::Map(_) => "map",
            Self::Union(_) => "union",
            Self::Record(_) => "record",
            Self::Enum(_) => "enum",
            Self::Fixed(_) => "fixed",
        }
    }

    /// The full name of a named type.
    pub fn name(&self) -> Option<&Name> {
        match self {
            Self::Record(one) => Some(&one.name),
            Self::Enum(one) => Some(&one.name),
            Self::Fixed(one) => Some(&one.name),
            _ => None,
        }
    }

    /// The text of the name of a named type.
    pub fn name_span(&self) -> Option<Span> {
        match self {
            Self::Record(one) => Some(one.name_span),
            Self::Enum(one) => Some(one.name_span),
            Self::Fixed(one) => Some(one.name_span),
            _ => None,
        }
    }

    /// The aliases of a named type.
    pub fn aliases(&self) -> &[(Name, Span)] {
        match self {
            Self::Record(one) => &one.aliases,
            Self::Enum(one) => &one.aliases,
            Self::Fixed(one) => &one.aliases,
            _ => &[],
        }
    }

    /// The doc of a named type.
    pub fn doc(&self) -> Option<&str> {
        match self {
            Self::Record(one) => one.doc.as_deref(),
            Self::Enum(one) => one.doc.as_deref(),
            Self::Fixed(one) => one.doc.as_deref(),
            _ => None,
        }
    }
}
