//! A request that failed at one address, and whether another address or a later attempt may answer.
//! It shows URLs as they are; `addresses` masks them.

use std::error::Error as _;

use schema_registry_converter::error::SRCError;
use schemas::chain;

/// A request without a successful answer.
#[derive(Debug)]
pub(super) struct Failure {
    /// The status of the answer; `None` if no answer could be read.
    pub(super) status: Option<u16>,
    /// The answer's text, or why no answer arrived.
    pub(super) cause: String,
}

impl Failure {
    pub(super) fn is(&self, status: u16) -> bool {
        self.status == Some(status)
    }

    /// Whether the same request may succeed later, or at another address now.
    pub(super) fn is_transient(&self) -> bool {
        self.status.is_none_or(|status| matches!(status, 408 | 425 | 429 | 500..))
    }
}

impl From<SRCError> for Failure {
    fn from(error: SRCError) -> Self {
        // The converter keeps the status in its text only: "... failed with status 404 Not Found".
        let status = error.error.split_once("failed with status ").and_then(|(_, rest)| {
            rest.split_whitespace().next().and_then(|number| number.parse().ok())
        });
        let sources = error.source().map(|source| format!(": {}", chain(source)));
        Self { status, cause: format!("{}{}", error.error, sources.unwrap_or_default()) }
    }
}

impl From<reqwest::Error> for Failure {
    fn from(error: reqwest::Error) -> Self {
        let status = error.status().map(|status| status.as_u16());
        Self { status, cause: chain(&error) }
    }
}
