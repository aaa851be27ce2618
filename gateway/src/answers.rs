//! The answers of stores: a value or an error, and pages of lists. It names no read model.

use futures_util::future::BoxFuture;
use schemas::chain;

use crate::{
    health::{self, Cause},
    problem::Problem,
};

/// A store did not answer, or not with what was expected.
#[derive(Clone, Debug, thiserror::Error)]
#[error("reading {what}")]
pub struct ReadError {
    /// What was read.
    pub what: &'static str,
    /// Why that failed.
    pub source: Cause,
}

impl ReadError {
    /// Reading `what` failed for this reason.
    pub fn new(
        what: &'static str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self { what, source: health::cause(source) }
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        tracing::error!(error = chain(&error), "a store did not answer");
        Problem::unavailable("A store does not answer.")
    }
}

/// The answer of a store.
pub type Read<'a, T> = BoxFuture<'a, Result<T, ReadError>>;

/// The entries of a page of a list, unless the client asks for another number.
pub const PAGE_SIZE_DEFAULT: usize = 20;

/// A page of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// The cursor of the next page, if there is one.
    pub next: Option<String>,
}
