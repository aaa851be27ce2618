//! A request to the gateway. It is sent by [`super::Client`].

use std::time::Duration;

use reqwest::Method;

/// A request.
pub(crate) struct Request<'a> {
    pub(super) method: Method,
    pub(super) path: &'a str,
    pub(super) query: &'a [(&'a str, &'a str)],
    /// A document in JSON.
    pub(super) body: Option<String>,
    pub(super) headers: &'a [(&'static str, String)],
    /// How long the gateway may wait before it answers.
    pub(super) wait: Duration,
}

impl<'a> Request<'a> {
    /// Reads a resource.
    pub(crate) fn get(path: &'a str) -> Self {
        let (query, headers, wait) = (&[], &[], Duration::ZERO);
        Self { method: Method::GET, path, query, body: None, headers, wait }
    }

    /// Sends a document, which is JSON.
    pub(crate) fn post(path: &'a str, body: String) -> Self {
        Self { method: Method::POST, body: Some(body), ..Self::get(path) }
    }

    /// Ends a resource.
    pub(crate) fn delete(path: &'a str) -> Self {
        Self { method: Method::DELETE, ..Self::get(path) }
    }

    /// With parameters.
    pub(crate) fn query(self, query: &'a [(&'a str, &'a str)]) -> Self {
        Self { query, ..self }
    }

    /// With headers.
    pub(crate) fn headers(self, headers: &'a [(&'static str, String)]) -> Self {
        Self { headers, ..self }
    }

    /// The gateway may wait so long before it answers.
    pub(crate) fn wait(self, wait: Duration) -> Self {
        Self { wait, ..self }
    }
}
