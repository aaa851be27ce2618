//! The kinds of compatibility problems: one table, with the id, the severity and the explanation of
//! each.

/// How serious a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Readers that follow the specification can read it; others fail, or lose something.
    Warning,
    /// It is read without an error, as another value than was written.
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

            /// Its id for people and tools.
            pub const fn id(self) -> &'static str {
                match self {
                    $(Self::$name => $id,)+
                }
            }

            /// How serious it is.
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
