//! The normal form of a request's path (RFC 3986, section 6.2.2): unreserved characters unescaped,
//! escapes in capitals, no dot segments. Routes see only this form, so that equivalent paths are
//! one resource. It never changes the query.

use fluent_uri::Uri as Parsed;
use hyper::Uri;

/// The URI with its path in normal form, or unchanged when the path has none, such as one with a
/// malformed escape.
pub(crate) fn normalized(uri: Uri) -> Uri {
    // The parser needs an authority, because a path may begin with two slashes.
    if !uri.path().starts_with('/') || is_normal(uri.path()) {
        return uri;
    }
    let Ok(parsed) = Parsed::parse(format!("http://h{}", uri.path())) else { return uri };
    let path = parsed.normalize().path().as_str().to_owned();
    if path == uri.path() {
        return uri;
    }
    let whole = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path,
    };
    let Ok(path_and_query) = whole.parse() else { return uri };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(path_and_query);
    Uri::from_parts(parts).unwrap_or(uri)
}

/// Whether a path surely has its normal form: only characters that are never escaped, and no
/// segment that begins with a dot. Most paths have, and need no parser.
fn is_normal(path: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_~.".contains(&byte);
    path.bytes().all(is_plain) && !path.contains("/.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equivalent_paths_have_one_normal_form_and_keep_their_query() {
        for (sent, expected) in [
            ("/v1/products/rye%2Dflour-1kg", "/v1/products/rye-flour-1kg"),
            ("/v1/%6frders?cursor=%2D", "/v1/orders?cursor=%2D"),
            ("/v1/./users/../orders", "/v1/orders"),
            ("/v1/products/a%2fb", "/v1/products/a%2Fb"),
            ("//other/v1/orders", "//other/v1/orders"),
            ("/v1/orders/", "/v1/orders/"),
            ("/%zz", "/%zz"),
            ("http://host/v1/%6Frders", "http://host/v1/orders"),
            ("*", "*"),
        ] {
            let uri = sent.parse::<Uri>().expect("a URI");
            assert_eq!(normalized(uri).to_string(), expected, "{sent}");
        }
    }
}
