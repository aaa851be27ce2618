//! Static things, made once: the live page, the OpenAPI document, the public keys.

use std::sync::LazyLock;

use base64::{Engine, prelude::BASE64_STANDARD};
use sha2::{Digest, Sha256};
use warp::{
    Reply,
    http::{StatusCode, header},
};

use crate::call::{Answer, Call, set};

const PAGE: &str = include_str!("../../page/index.html");
/// The API, for programs.
pub(crate) const OPENAPI: &str = include_str!("../../openapi.json");

/// The page may run its own script, use its own style and talk to this server: nothing else.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = |tag: &str| {
        let (open, close) = (format!("<{tag}>"), format!("</{tag}>"));
        let text =
            PAGE.split_once(&open).and_then(|(_, rest)| rest.split_once(&close)).map_or("", |(text, _)| text);
        BASE64_STANDARD.encode(Sha256::digest(text))
    };
    format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        hash("script"),
        hash("style")
    )
});

/// GET /
pub(super) async fn show(_call: Call) -> Answer {
    let mut response = warp::reply::html(PAGE).into_response();
    set(&mut response, header::CONTENT_SECURITY_POLICY, &POLICY);
    set(&mut response, header::CACHE_CONTROL, "no-cache");
    Ok(response)
}

/// GET /openapi.json
pub(super) async fn openapi(_call: Call) -> Answer {
    let mut response = OPENAPI.into_response();
    set(&mut response, header::CONTENT_TYPE, "application/json");
    set(&mut response, header::CACHE_CONTROL, "public, max-age=60");
    Ok(response)
}

/// GET /.well-known/jwks.json
pub(super) async fn jwks(call: Call) -> Answer {
    let mut response = call.representation(StatusCode::OK, &call.state.tokens.keys().jwks(), None);
    set(&mut response, header::CACHE_CONTROL, "public, max-age=300");
    Ok(response)
}
