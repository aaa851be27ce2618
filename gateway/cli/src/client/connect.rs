//! The connection: TLS with the trusted authorities, no redirects, no proxy, a deadline.

use std::{path::Path, time::Duration};

use reqwest::{Certificate, Url, redirect::Policy};

use crate::failure::{Failure, chain};

/// The deadline of a connection, TLS included.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// A client of `url` that trusts the authorities of a file, or those of the system.
///
/// # Errors
/// If the file can't be read or has no certificates, or TLS can't be set up.
pub(super) fn client(url: &Url, ca_file: Option<&Path>) -> Result<reqwest::Client, Failure> {
    let mut builder = reqwest::Client::builder()
        .connect_timeout(CONNECT_MAX)
        .redirect(Policy::none())
        // A proxy of the environment would read the tokens and passwords of plain HTTP.
        .no_proxy()
        .user_agent(concat!("millrace/", env!("CARGO_PKG_VERSION")));
    if let Some(file) = ca_file {
        builder = builder.tls_certs_only(authorities(file)?);
    } else if url.scheme() == "http" {
        // Loading those of the system would take longer than the request.
        builder = builder.tls_certs_only([]);
    }
    builder.build().map_err(|error| Failure::Failed(format!("no client: {}", chain(&error))))
}

fn authorities(file: &Path) -> Result<Vec<Certificate>, Failure> {
    let wrong = |why: &dyn std::fmt::Display| {
        Failure::Usage(format!("--ca-file (MILLRACE_CA_FILE) {}: {why}", file.display()))
    };
    let pem = std::fs::read(file).map_err(|error| wrong(&error))?;
    match Certificate::from_pem_bundle(&pem) {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(wrong(&"expected certificates in PEM")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_of_authorities_without_certificates_is_wrong_usage() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        for (path, expected) in
            [(file.path(), "expected certificates in PEM"), (Path::new("/nowhere"), "No such file")]
        {
            let failure = authorities(path).map(|found| found.len()).expect_err(expected);
            assert!(failure.to_string().contains(expected), "{failure}");
            assert_eq!(failure.exit_code(), 64);
        }
    }
}
