//! Response headers: how one is set, and the security headers of every response.

use warp::{
    http::{HeaderName, HeaderValue, header},
    reply::Response,
};

const SECURITY: [(HeaderName, &str); 5] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
];
/// For every response that sets no policy of its own, as the live page does.
const CONTENT_POLICY: &str = "default-src 'none'; frame-ancestors 'none'";

/// Sets a header; a value that is not valid in a header is left out.
pub(crate) fn set(response: &mut Response, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// The response with the security headers.
pub(crate) fn secured(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in SECURITY {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let policy = HeaderValue::from_static(CONTENT_POLICY);
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(policy);
    response
}
