//! Documents that are built once: the live page, the OpenAPI document, the public keys.

use std::sync::LazyLock;

use base64::{Engine, prelude::BASE64_STANDARD};
use sha2::{Digest, Sha256};
use warp::{
    Reply,
    http::{StatusCode, header},
};

use crate::{
    call::{Answer, Call},
    headers::set,
};

const STYLE: &str = include_str!("../../page/page.css");
const SCRIPT: &str = concat!(
    include_str!("../../page/api.js"),
    include_str!("../../page/shop.js"),
    include_str!("../../page/stream.js"),
    include_str!("../../page/page.js"),
);
const OPENAPI: &str = include_str!("../../openapi.json");

/// The page with its style and script, so that it needs no further request.
static PAGE: LazyLock<String> = LazyLock::new(|| {
    include_str!("../../page/index.html")
        .replace("<style></style>", &format!("<style>{STYLE}</style>"))
        .replace("<script></script>", &format!("<script>{SCRIPT}</script>"))
});

/// The page may run its own script, use its own style, and send requests to this server.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = |text: &str| BASE64_STANDARD.encode(Sha256::digest(text));
    let (script, style) = (hash(SCRIPT), hash(STYLE));
    format!(
        "default-src 'none'; script-src 'sha256-{script}'; style-src 'sha256-{style}'; \
         connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    )
});

/// GET /
pub(super) async fn show(_call: Call) -> Answer {
    let mut response = warp::reply::html(PAGE.as_str()).into_response();
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
