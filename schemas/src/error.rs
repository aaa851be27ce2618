//! What can be wrong with a record's bytes, or with a codec that is to read or write them.

/// Why a value could not be read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// No schema is known under this id: ask the registry, let the codec
    /// [learn](crate::Codec::learn) it, try again.
    #[error("schema id {0} is not known here yet")]
    UnknownId(u32),
    /// The bytes are not what they claim to be; trying again will not help.
    #[error("malformed record: {0}")]
    Malformed(String),
    /// A sound record that has no business here.
    #[error("a record of {found} is not expected here, but one of {}", if expected.is_empty() { "none".to_owned() } else { expected.join(", ") })]
    Unexpected {
        /// The full names of what may come here.
        expected: Vec<&'static str>,
        /// The full name of what came.
        found: String,
    },
    /// What the writer's schema says can't be read as what the reader's schema wants.
    #[error("what was written as {name} can't be read here: {why}")]
    Unresolvable {
        /// The full name of the record, or its id where that is all there is.
        name: String,
        /// What is in the way.
        why: String,
    },
    /// The codec was given no id for this schema, so nothing can be written with it.
    #[error("{0} has no id: register it first (`provision` does)")]
    Unregistered(&'static str),
    /// The value does not fit its own schema: a fault of the program.
    #[error("a value of {name} does not fit its schema: {why}")]
    Unwritable {
        /// The full name of the record.
        name: &'static str,
        /// What does not fit.
        why: String,
    },
}
