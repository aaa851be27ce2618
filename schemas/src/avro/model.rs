//! What parsed schemas look like: types in one list, with references resolved to places in it.

use std::{collections::HashMap, fmt, ops::Range};

use serde_json::Value;

/// A place in one of the parsed texts, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// Which text, in the order in which they were given.
    pub source: u32,
    /// The first byte.
    pub start: u32,
    /// The byte after the last.
    pub end: u32,
}

impl Span {
    /// The bytes in the text.
    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// Where a type stands in its [`Schemas`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TypeId(pub(super) u32);

/// What a placeholder stands as, where a type could not be read.
pub(super) const NULL: TypeId = TypeId(0);

/// A place where a type is used: as a field's type, an array's items, or a branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Use {
    /// The type.
    pub id: TypeId,
    /// Where it is used: its definition, or the name that refers to it.
    pub span: Span,
}

/// A full name: namespace and name, with a dot between.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(pub(super) String);

impl Name {
    /// Namespace and name.
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

/// A type and what is said of it.
#[derive(Clone, Debug)]
pub struct Type {
    /// What it is.
    pub kind: Kind,
    /// Its definition; for primitive types without attributes, no place.
    pub span: Option<Span>,
    /// Its logical type, if that is well formed and stands on the right type.
    pub logical: Option<Logical>,
    /// Where a logical type stands that readers ignore, and why they do.
    pub ignored_logical: Option<(Span, String)>,
    /// Attributes that the specification does not know, such as `pii`.
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
    /// Where the name stands.
    pub name_span: Span,
    /// Full names that a reader takes for this one, with their places.
    pub aliases: Vec<(Name, Span)>,
    /// What it is for.
    pub doc: Option<String>,
    /// Its fields, in their order on the wire.
    pub fields: Vec<Field>,
}

/// A field of a record.
#[derive(Clone, Debug)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Where the name stands.
    pub name_span: Span,
    /// The whole field.
    pub span: Span,
    /// Names in a writer's schema that a reader takes for this one, with their places.
    pub aliases: Vec<(String, Span)>,
    /// What it is for.
    pub doc: Option<String>,
    /// How it counts when records are sorted: "ascending", which is the default, "descending" or
    /// "ignore".
    pub order: String,
    /// Its type.
    pub kind: Use,
    /// What a reader sees if it was not written.
    pub default: Option<Default>,
    /// Attributes that the specification does not know, with the places of their names.
    pub extra: Vec<(String, Value, Span)>,
}

/// A field's default.
#[derive(Clone, Debug)]
pub struct Default {
    /// The value, in Avro's JSON form for defaults.
    pub json: Value,
    /// Where it stands.
    pub span: Span,
}

/// An enum's definition.
#[derive(Clone, Debug)]
pub struct Enum {
    /// Its full name.
    pub name: Name,
    /// Where the name stands.
    pub name_span: Span,
    /// Full names that a reader takes for this one, with their places.
    pub aliases: Vec<(Name, Span)>,
    /// What it is for.
    pub doc: Option<String>,
    /// Its symbols with their places.
    pub symbols: Vec<(String, Span)>,
    /// The symbol that stands for those that a reader does not know.
    pub default: Option<String>,
}

/// A fixed type's definition.
#[derive(Clone, Debug)]
pub struct Fixed {
    /// Its full name.
    pub name: Name,
    /// Where the name stands.
    pub name_span: Span,
    /// Full names that a reader takes for this one, with their places.
    pub aliases: Vec<(Name, Span)>,
    /// What it is for.
    pub doc: Option<String>,
    /// How many bytes it has.
    pub size: u64,
}

/// What a value means beyond its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Logical {
    /// A number with a fixed count of digits after the point.
    Decimal {
        /// How many digits it has at most.
        precision: u64,
        /// How many of them stand after the point.
        scale: u64,
    },
    /// One without parameters, by its name in the specification.
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

/// The types of one or more texts.
#[derive(Clone, Debug)]
pub struct Schemas {
    pub(super) types: Vec<Type>,
    pub(super) roots: Vec<Option<Use>>,
    pub(super) names: HashMap<String, TypeId>,
}

impl Schemas {
    /// The type at `id`.
    pub fn get(&self, id: TypeId) -> &Type {
        &self.types[id.0 as usize]
    }

    /// What a text says, by its place among those that were parsed; `None` if it could not be read.
    pub fn root(&self, source: usize) -> Option<Root<'_>> {
        let at = self.roots.get(source).copied().flatten()?;
        Some(Root { schemas: self, at })
    }

    /// The definition of a full name.
    pub fn named(&self, full: &str) -> Option<TypeId> {
        self.names.get(full).copied()
    }

    /// All types that have attributes or a definition of their own, in the order of the texts.
    pub fn types(&self) -> impl Iterator<Item = &Type> {
        self.types.iter().filter(|one| one.span.is_some())
    }

    /// The type in words: `array of uuid (string)`.
    pub fn describe(&self, id: TypeId) -> String {
        let one = self.get(id);
        let plain = match &one.kind {
            Kind::Array(items) => format!("array of {}", self.describe(items.id)),
            Kind::Map(values) => format!("map of {}", self.describe(values.id)),
            Kind::Union(branches) => {
                let branches: Vec<_> =
                    branches.iter().map(|branch| self.describe(branch.id)).collect();
                format!(
                    "union of {}",
                    if branches.is_empty() { "nothing".to_owned() } else { branches.join(", ") }
                )
            }
            Kind::Record(record) => format!("record {}", record.name),
            Kind::Enum(one) => format!("enum {}", one.name),
            Kind::Fixed(fixed) => format!("fixed {} ({} bytes)", fixed.name, fixed.size),
            kind => kind.word().to_owned(),
        };
        match one.logical {
            Some(logical) => format!("{logical} ({plain})"),
            None => plain,
        }
    }
}

/// A type with the texts that it is from.
#[derive(Clone, Copy, Debug)]
pub struct Root<'a> {
    /// All types that it may use.
    pub schemas: &'a Schemas,
    /// The type.
    pub at: Use,
}

impl<'a> Root<'a> {
    /// The type itself.
    pub fn kind(&self) -> &'a Kind {
        &self.schemas.get(self.at.id).kind
    }

    /// Its full name, if it has one.
    pub fn name(&self) -> Option<&'a Name> {
        self.kind().name()
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

    /// Where the name of a named type stands.
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
