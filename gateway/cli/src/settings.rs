//! The connection's settings: where the gateway is, and secrets of the environment.

use std::{path::PathBuf, str::FromStr};

use clap::Args;
use reqwest::Url;
use secrecy::SecretString;

/// What a gateway's URL looks like.
const EXPECTED: &str = "expected http://HOST[:PORT] or https://HOST[:PORT]";

/// Where the gateway is, and who uses it.
#[derive(Debug, Args)]
pub(crate) struct Connection {
    /// URL of the gateway or its load balancer. By default that of the last log-in, or
    /// http://localhost:3000.
    #[arg(long, env = "MILLRACE_URL", global = true, value_parser = base)]
    pub(crate) url: Option<Url>,
    /// A PEM file with the authorities that TLS connections trust, instead of the system's.
    #[arg(long, env = "MILLRACE_CA_FILE", global = true, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
}

/// A secret of the environment. Arguments are visible to other users, so none of them is a secret.
///
/// An empty variable counts as missing.
pub(crate) fn secret(name: &str) -> Option<SecretString> {
    std::env::var(name).ok().filter(|value| !value.is_empty()).map(SecretString::from)
}

/// A text that is no gateway's URL. Clap shows the text of the error, but not that of its source.
#[derive(Debug, thiserror::Error)]
enum UrlError {
    #[error("{0}: {EXPECTED}")]
    NotUrl(<Url as FromStr>::Err),
    #[error("{EXPECTED}")]
    NotGateway,
}

/// The URL to which the paths of the API are added.
fn base(text: &str) -> Result<Url, UrlError> {
    let url: Url = text.parse().map_err(UrlError::NotUrl)?;
    let is_plain = url.username().is_empty() && url.password().is_none();
    let is_whole = url.has_host() && url.query().is_none() && url.fragment().is_none();
    match matches!(url.scheme(), "http" | "https") && is_plain && is_whole {
        true => Ok(url),
        false => Err(UrlError::NotGateway),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_of_no_gateway_is_refused_with_what_was_expected() {
        for wrong in ["localhost", "ftp://host", "http://me:secret@host", "http://host/?q", ""] {
            let error = base(wrong).expect_err(wrong).to_string();
            assert!(error.contains("expected http://HOST"), "{wrong}: {error}");
        }
        assert_eq!(base("https://shop.example:8443/api").expect("a URL").path(), "/api");
    }
}
