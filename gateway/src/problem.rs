//! How every failure looks: one `Problem`, `application/problem+json` after RFC 9457, warp's own
//! rejections included. Never says more than the client may know: causes are logged where they are
//! handled.

use std::{convert::Infallible, fmt, time::Duration};

use serde_json::{Map, Value, json};
use warp::{
    Rejection, Reply,
    http::{HeaderName, HeaderValue, StatusCode, header},
    reject::Reject,
    reply::Response,
};

/// A failure as the client sees it.
#[derive(Clone)]
pub struct Problem {
    status: StatusCode,
    /// A word for programs; the last part of the type.
    code: String,
    detail: String,
    /// Further members.
    more: Map<String, Value>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl fmt::Debug for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Problem({} {}: {})", self.status.as_u16(), self.code, self.detail)
    }
}

impl Reject for Problem {}

impl Problem {
    /// A failure with this status; `code` is a word for programs, `detail` a sentence for people.
    pub fn new(status: StatusCode, code: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            status,
            code: code.into(),
            detail: detail.into(),
            more: Map::new(),
            headers: Vec::new(),
        }
    }

    /// The request can't be understood or holds a value that is not allowed.
    pub fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", detail)
    }

    /// One member of the body has a value that is not allowed.
    pub fn field(name: &str, detail: impl Into<String>) -> Self {
        Self::invalid(format!("{name}: {}", detail.into())).with("field", json!(name))
    }

    /// There is no such thing, or it is another's.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "There is nothing here.")
    }

    /// The path is known, but not with this method.
    pub fn method_not_allowed(allowed: &[&str]) -> Self {
        let allowed = allowed.join(", ");
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            format!("Allowed here: {allowed}."),
        )
        .header(header::ALLOW, &allowed)
    }

    /// Nobody is logged in, or the token is no good.
    pub fn unauthorized(code: &str, detail: &str) -> Self {
        let challenge = match code {
            "invalid_token" => r#"Bearer realm="millrace", error="invalid_token""#,
            _ => r#"Bearer realm="millrace""#,
        };
        Self::new(StatusCode::UNAUTHORIZED, code, detail)
            .header(header::WWW_AUTHENTICATE, challenge)
    }

    /// Logged in, but not as someone who may.
    pub fn forbidden() -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "This is for admins.")
    }

    /// Address and password do not belong together. Says the same for an unknown address.
    pub fn wrong_credentials() -> Self {
        Self::unauthorized("wrong_credentials", "The address or the password is wrong.")
    }

    /// Something that the gateway needs does not answer.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
            .retry_after(Duration::from_secs(1))
    }

    /// So many requests are being answered that this one is not begun.
    pub fn overloaded() -> Self {
        let detail = "Too many requests are being answered. Nothing of this one has been done.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", detail)
            .retry_after(Duration::from_secs(1))
    }

    /// Too many requests, or too many wrong passwords.
    pub fn too_many(code: &str, detail: &str, wait: Duration) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, code, detail).retry_after(wait)
    }

    /// What the representation was expected to be is not what it is.
    pub fn precondition_failed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::PRECONDITION_FAILED, "version_mismatch", detail)
    }

    /// Adds a member to the body.
    #[must_use]
    pub fn with(mut self, name: &str, value: Value) -> Self {
        self.more.insert(name.to_owned(), value);
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((name, value));
        }
        self
    }

    /// Says when to try again: whole seconds, rounded up.
    #[must_use]
    pub fn retry_after(self, wait: Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        self.header(header::RETRY_AFTER, &seconds.max(1).to_string())
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The word for programs.
    pub fn code(&self) -> &str {
        &self.code
    }
}

impl Reply for Problem {
    fn into_response(self) -> Response {
        let mut body = Map::new();
        body.insert("type".into(), json!(format!("urn:millrace:problem:{}", self.code)));
        body.insert("title".into(), json!(self.status.canonical_reason().unwrap_or("Failure")));
        body.insert("status".into(), json!(self.status.as_u16()));
        body.insert("detail".into(), json!(self.detail));
        body.insert("code".into(), json!(self.code));
        body.extend(self.more);
        let mut response = warp::reply::json(&body).into_response();
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        for (name, value) in self.headers {
            headers.insert(name, value);
        }
        response
    }
}

/// Renders whatever a filter rejected with.
///
/// # Errors
/// Never: each rejection becomes a response.
pub async fn recover(rejection: Rejection) -> Result<Response, Infallible> {
    let problem = if let Some(problem) = rejection.find::<Problem>() {
        problem.clone()
    } else if rejection.is_not_found() {
        Problem::not_found()
    } else if rejection.find::<warp::reject::MethodNotAllowed>().is_some() {
        // The outer routes answer this themselves, the inner ones take nothing else.
        Problem::method_not_allowed(&["GET"])
    } else if rejection.find::<warp::reject::PayloadTooLarge>().is_some() {
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "The body is too large.")
    } else if rejection.find::<warp::reject::LengthRequired>().is_some() {
        Problem::new(StatusCode::LENGTH_REQUIRED, "length_required", "Say how long the body is.")
    } else if rejection.find::<warp::reject::UnsupportedMediaType>().is_some() {
        Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "Send application/json.",
        )
    } else {
        tracing::debug!(?rejection, "a rejection without a problem of its own");
        Problem::invalid("The request can't be understood.")
    };
    Ok(problem.into_response())
}
