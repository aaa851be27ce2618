//! Documents that are built once: the live page, the dashboard, the page of a trace, the operator's
//! desk, the OpenAPI document, the public keys.

use std::sync::LazyLock;

use base64::{Engine, prelude::BASE64_STANDARD};
use sha2::{Digest, Sha256};
use uuid::Uuid;
use warp::{
    Reply,
    http::{StatusCode, header},
    reply::Response,
};

use crate::{
    call::{Answer, Call},
    headers::set,
    problem::Problem,
    record_place::RecordPlace,
};

/// What a page is joined from, so that it needs no further request.
struct Page {
    html: String,
    /// Its content security policy: the page may run its own script, use its own style, and send
    /// requests to this server.
    policy: String,
}

const LOGO: &str = include_str!("../../page/logo.svg");
/// The log-in form of every page. Its part that creates an account is hidden until the script of
/// the live page shows it.
const LOG_IN: &str = include_str!("../../page/log-in.html");
const STYLE: &str = include_str!("../../page/page.css");
const OPENAPI: &str = include_str!("../../openapi.json");

static LIVE: LazyLock<Page> = LazyLock::new(|| {
    let script = concat!(
        include_str!("../../page/api.js"),
        include_str!("../../page/events.js"),
        include_str!("../../page/shop.js"),
        include_str!("../../page/stream.js"),
        include_str!("../../page/page.js"),
    );
    Page::new(include_str!("../../page/index.html"), STYLE, script)
});

static DASHBOARD: LazyLock<Page> = LazyLock::new(|| {
    let style = [
        STYLE,
        include_str!("../../page/uplot/uPlot.min.css"),
        include_str!("../../page/dashboard.css"),
    ];
    let script = concat!(
        include_str!("../../page/uplot/uPlot.iife.min.js"),
        include_str!("../../page/api.js"),
        include_str!("../../page/events.js"),
        include_str!("../../page/door.js"),
        include_str!("../../page/charts.js"),
        include_str!("../../page/dashboard.js"),
    );
    Page::new(include_str!("../../page/dashboard.html"), &style.concat(), script)
});

static TRACE: LazyLock<Page> = LazyLock::new(|| {
    let style = [STYLE, include_str!("../../page/trace.css")];
    let script = concat!(
        include_str!("../../page/api.js"),
        include_str!("../../page/door.js"),
        include_str!("../../page/tree.js"),
        include_str!("../../page/trace.js"),
    );
    Page::new(include_str!("../../page/trace.html"), &style.concat(), script)
});

static OPERATIONS: LazyLock<Page> = LazyLock::new(|| {
    let style = [STYLE, include_str!("../../page/operations.css")];
    let script = concat!(
        include_str!("../../page/api.js"),
        include_str!("../../page/events.js"),
        include_str!("../../page/door.js"),
        include_str!("../../page/entries.js"),
        include_str!("../../page/figures.js"),
        include_str!("../../page/lists.js"),
        include_str!("../../page/actions.js"),
        include_str!("../../page/step-up.js"),
        include_str!("../../page/operations.js"),
    );
    Page::new(include_str!("../../page/operations.html"), &style.concat(), script)
});

impl Page {
    /// Joins a page. The places of the logo, of the log-in form, of the style and of the script are
    /// empty elements in its `html`.
    fn new(html: &str, style: &str, script: &str) -> Self {
        let hash = |text: &str| BASE64_STANDARD.encode(Sha256::digest(text));
        let policy = format!(
            "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; \
             connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; \
             frame-ancestors 'none'",
            hash(script),
            hash(style)
        );
        let html = html
            .replace("<svg></svg>", LOGO.trim_end())
            .replace("<form></form>", LOG_IN.trim_end())
            .replace("<style></style>", &format!("<style>{style}</style>"))
            .replace("<script></script>", &format!("<script>{script}</script>"));
        Self { html, policy }
    }

    fn response(&self) -> Response {
        let mut response = warp::reply::html(self.html.clone()).into_response();
        set(&mut response, header::CONTENT_SECURITY_POLICY, &self.policy);
        set(&mut response, header::CACHE_CONTROL, "no-cache");
        response
    }
}

/// GET /
pub(super) async fn show(_call: Call) -> Answer {
    Ok(LIVE.response())
}

/// GET /dashboard
pub(super) async fn dashboard(_call: Call) -> Answer {
    Ok(DASHBOARD.response())
}

/// GET /commands/{id} and GET /orders/{id}
pub(super) async fn trace(_call: Call, id: String) -> Answer {
    Uuid::parse_str(&id).map_err(|_| Problem::not_found())?;
    Ok(TRACE.response())
}

/// GET /records/{id}
pub(super) async fn trace_by_record(_call: Call, id: String) -> Answer {
    RecordPlace::parse(&id).ok_or_else(Problem::not_found)?;
    Ok(TRACE.response())
}

/// GET /operations
pub(super) async fn operations(_call: Call) -> Answer {
    Ok(OPERATIONS.response())
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

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    #[test]
    fn every_page_has_one_place_for_each_part() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("page");
        for entry in fs::read_dir(folder).expect("the pages") {
            let path = entry.expect("one").path();
            let text = fs::read(&path).unwrap_or_default();
            let html = String::from_utf8_lossy(&text);
            if !html.starts_with("<!doctype html>") {
                continue;
            }
            for place in ["<svg></svg>", "<form></form>", "<style></style>", "<script></script>"] {
                assert_eq!(html.matches(place).count(), 1, "{place} in {}", path.display());
            }
        }
    }
}
