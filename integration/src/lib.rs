//! The native stack and the tests that run on it. [`stack`] starts and supervises the real servers
//! without Docker, [`gate`] makes Kafka answer as Redpanda does, [`demo`] runs a demo order over
//! HTTP, [`client`] is a client of the API for tests, [`mail`] a mail server, and [`cluster`] moves
//! leaders and changes topics. Nothing in the system depends on this crate. It never looks inside a
//! process: it uses HTTP, topics and signals, as users do.
#![forbid(unsafe_code)]

/// Prints a line to standard output. Unlike `println!` it does not panic when the reader of a pipe
/// has ended, because the program may still have processes to stop.
#[macro_export]
macro_rules! say {
    ($($line:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout(), $($line)*);
    }};
}

/// Prints a warning to standard error. Unlike `eprintln!` it does not panic when the reader of a
/// pipe has ended.
#[macro_export]
macro_rules! tell {
    ($($line:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), $($line)*);
    }};
}

/// The text of an error with its sources, for people. It is written like that of `schemas::chain`,
/// which this crate can't use: a source that the text already ends with is left out.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    for source in anyhow::Chain::new(error).skip(1).map(ToString::to_string) {
        if !text.ends_with(&source) {
            text.push_str(": ");
            text.push_str(&source);
        }
    }
    text
}

/// The builder of an HTTP client for plain HTTP. It trusts no authority, because loading those of
/// the system takes longer than many requests. It also installs the process's TLS provider,
/// because reqwest is compiled without one.
pub fn http() -> reqwest::ClientBuilder {
    // A second call finds the provider of the first one.
    drop(rustls::crypto::ring::default_provider().install_default());
    reqwest::Client::builder().tls_certs_only([])
}

/// Sends a GET request to `url`.
///
/// # Errors
/// If no response arrives.
pub async fn get(url: impl reqwest::IntoUrl) -> reqwest::Result<reqwest::Response> {
    http().build()?.get(url).send().await
}

pub mod client;
pub mod cluster;
pub mod demo;
pub mod gate;
pub mod mail;
mod options;
pub mod stack;

pub use options::options;
