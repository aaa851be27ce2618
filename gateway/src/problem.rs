//! Failures as the client sees them: one `Problem`, `application/problem+json` by RFC 9457. It
//! never says more than the client may know: causes are logged where they are handled.

use std::{convert::Infallible, fmt, time::Duration};

use serde_json::{Map, Value, json};
use warp::{
    Rejection, Reply,
    http::{HeaderName, HeaderValue, StatusCode, header},
    reject::MethodNotAllowed,
    reply::Response,
};

/// A failure as the client sees it.
#[derive(Clone)]
pub struct Problem {
    status: StatusCode,
    /// A word for programs; the last part of the type.
    code: String,
    /// A sentence for people.
    detail: String,
    /// Further fields of the body.
    more: Map<String, Value>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl fmt::Debug for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Problem({} {}: {})", self.status.as_u16(), self.code, self.detail)
    }
}

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

    /// 400: the request can't be understood or holds a value that is not allowed.
    pub fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", detail)
    }

    /// 400: a field of the body, or a parameter of the query, has a value that is not allowed.
    pub fn field(name: &str, expected: impl Into<String>) -> Self {
        Self::invalid(format!("{name}: {}", expected.into())).with("field", json!(name))
    }

    /// 404: the resource does not exist, or it belongs to another user.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "This resource does not exist.")
    }

    /// 405: the path is known, but not with this method.
    pub fn method_not_allowed(allowed: &[&str]) -> Self {
        let allowed = allowed.join(", ");
        let detail = format!("This path allows {allowed}.");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
            .header(header::ALLOW, &allowed)
    }

    /// 422: the `Idempotency-Key` was used for another request.
    pub fn key_reused() -> Self {
        let detail = "This Idempotency-Key was used for another request.";
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused", detail)
    }

    /// 401: the request has no token, or one that is not valid.
    pub fn unauthorized(code: &str, detail: &str) -> Self {
        let challenge = match code {
            "invalid_token" => r#"Bearer realm="millrace", error="invalid_token""#,
            _ => r#"Bearer realm="millrace""#,
        };
        Self::new(StatusCode::UNAUTHORIZED, code, detail)
            .header(header::WWW_AUTHENTICATE, challenge)
    }

    /// 401: the password was given too long ago (RFC 9470). The client gives it again, which issues
    /// a new token, and repeats the request.
    pub fn step_up(max_age: Duration) -> Self {
        const CODE: &str = "insufficient_user_authentication";
        let seconds = max_age.as_secs();
        let detail = format!(
            "This needs the password again: log in, and repeat the request within {seconds} s."
        );
        let challenge = format!(r#"Bearer realm="millrace", error="{CODE}", max_age="{seconds}""#);
        Self::new(StatusCode::UNAUTHORIZED, CODE, detail)
            .header(header::WWW_AUTHENTICATE, &challenge)
            .with("max_age", json!(seconds))
    }

    /// 403: only admins may do this.
    pub fn forbidden() -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "Only admins may do this.")
    }

    /// 401: address and password do not match. The same for an unknown address.
    pub fn wrong_credentials() -> Self {
        Self::unauthorized("wrong_credentials", "The address or the password is wrong.")
    }

    /// 503: a part that the gateway needs does not answer.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
            .retry_after(Duration::from_secs(1))
    }

    /// 503: too many requests are in flight, so this one was not begun.
    pub fn overloaded(wait: Duration) -> Self {
        let detail = "Too many requests are in flight. This one was not begun.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", detail).retry_after(wait)
    }

    /// 429: too many requests, or too many wrong passwords.
    pub fn too_many(code: &str, detail: &str, wait: Duration) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, code, detail).retry_after(wait)
    }

    /// 412: the representation is not the one that the request expects.
    pub fn precondition_failed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::PRECONDITION_FAILED, "version_mismatch", detail)
    }

    /// 500: a fault of the gateway. Logs what was tried and why it failed. The client learns
    /// neither.
    pub fn internal(doing: &str, error: &dyn fmt::Display) -> Self {
        tracing::error!(%error, "{doing} failed");
        let detail = "An internal error occurred.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
    }

    /// The status of the response.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Adds a field to the body.
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

    /// Adds `Retry-After`, in whole seconds, rounded up.
    #[must_use]
    pub fn retry_after(self, wait: Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        self.header(header::RETRY_AFTER, &seconds.max(1).to_string())
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

/// Renders the rejections of warp's filters. Only the internal listener's routes reject, for
/// another path or method; all of them take GET alone.
///
/// # Errors
/// Never: each rejection becomes a response.
pub async fn recover(rejection: Rejection) -> Result<Response, Infallible> {
    let problem = if rejection.is_not_found() {
        Problem::not_found()
    } else if rejection.find::<MethodNotAllowed>().is_some() {
        Problem::method_not_allowed(&["GET"])
    } else {
        tracing::debug!(?rejection, "a filter rejected a request for an unknown reason");
        Problem::invalid("The request can't be understood.")
    };
    Ok(problem.into_response())
}
