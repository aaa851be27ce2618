//! A request that failed at one address, and whether another address or a later attempt may answer.
//! It shows URLs as they are; `addresses` masks them.

use std::error::Error;

use schema_registry_converter::error::SRCError;

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
        Self { status, cause: with_sources(error.error.clone(), &error) }
    }
}

impl From<reqwest::Error> for Failure {
    fn from(error: reqwest::Error) -> Self {
        let status = error.status().map(|status| status.as_u16());
        Self { status, cause: with_sources(error.to_string(), &error) }
    }
}

/// `text`, followed by the texts of all sources of `error`.
fn with_sources(mut text: String, error: &dyn Error) -> String {
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(&format!(": {error}"));
        source = error.source();
    }
    text
}
