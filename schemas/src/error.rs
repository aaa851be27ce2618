//! Errors of reading and writing records.

use std::{error::Error, fmt, sync::Arc};

/// Why a value could not be read or written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CodecError {
    /// The codec knows no schema under this id. Ask the registry, let the codec
    /// [learn](crate::Codec::learn) the schema, and try again.
    UnknownId(u32),
    /// The bytes are no record of their schema. A retry does not help.
    Malformed {
        /// The full name of the record, if the bytes say which one it is.
        name: Option<String>,
        /// What is wrong with the bytes.
        cause: Cause,
    },
    /// A valid record that the caller does not take.
    Unexpected {
        /// The full names of the records that the caller takes.
        expected: Vec<&'static str>,
        /// The full name of the record.
        found: String,
    },
    /// The reader's schema can't read what the writer's schema describes.
    Unresolvable {
        /// The full name of the record, or its schema id if the name is unknown.
        name: String,
        /// Why the schema can't be used.
        cause: Cause,
    },
    /// The codec has no id for this schema, so it can't write its records.
    Unregistered(&'static str),
    /// The value does not fit its own schema: a defect of the program.
    Unwritable {
        /// The full name of the record.
        name: &'static str,
        /// What does not fit.
        cause: Cause,
    },
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownId(id) => write!(f, "schema id {id} is not known here yet"),
            Self::Malformed { name: Some(name), cause } => {
                write!(f, "malformed record: {name}: {cause}")
            }
            Self::Malformed { name: None, cause } => write!(f, "malformed record: {cause}"),
            Self::Unexpected { expected, found } => {
                let expected =
                    if expected.is_empty() { "none".to_owned() } else { expected.join(", ") };
                write!(f, "a record of {found} is not expected here, but one of {expected}")
            }
            Self::Unresolvable { name, cause } => {
                write!(f, "what was written as {name} can't be read here: {cause}")
            }
            Self::Unregistered(name) => {
                write!(f, "{name} has no id: register it first (`provision` does)")
            }
            Self::Unwritable { name, cause } => {
                write!(f, "a value of {name} does not fit its schema: {cause}")
            }
        }
    }
}

impl Error for CodecError {
    /// The error below the [`Cause`], whose own text is part of this error's text.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Malformed { cause, .. }
            | Self::Unresolvable { cause, .. }
            | Self::Unwritable { cause, .. } => cause.error().source(),
            Self::UnknownId(_) | Self::Unexpected { .. } | Self::Unregistered(_) => None,
        }
    }
}

/// The error that a [`CodecError`] comes from. Two causes are equal if their texts are.
#[derive(Clone)]
pub struct Cause(Arc<dyn Error + Send + Sync>);

impl Cause {
    /// The error itself, for a downcast.
    pub fn error(&self) -> &(dyn Error + Send + Sync + 'static) {
        &*self.0
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for Cause {
    fn from(error: E) -> Self {
        Self(Arc::new(error))
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl PartialEq for Cause {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

impl Eq for Cause {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codec_error_keeps_its_cause_and_the_source_of_the_cause() {
        #[derive(Debug, thiserror::Error)]
        #[error("outer")]
        struct Outer(#[source] std::fmt::Error);

        let cause = Cause::from(Outer(std::fmt::Error));
        let error = CodecError::Malformed { name: Some("a.R".to_owned()), cause: cause.clone() };

        assert_eq!(error.to_string(), "malformed record: a.R: outer");
        assert!(error.source().is_some_and(|source| source.is::<std::fmt::Error>()));
        assert!(cause.error().is::<Outer>());
    }
}
