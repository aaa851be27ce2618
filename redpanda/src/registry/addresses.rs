//! The registry's addresses: any of them may answer, and a request fails over to the next one.
//!
//! An answer that another address would give as well (`404`, a refused schema) never fails over:
//! only a connection that fails, a timeout, `408`, `425`, `429` or a `5xx` status does.

use std::{
    ffi::OsStr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use clap::builder::TypedValueParser;
use reqwest::{
    Client, Url,
    header::{AUTHORIZATION, HeaderMap, HeaderValue},
};
use schema_registry_converter::{async_impl::schema_registry::SrSettings, error::SRCError};
use secrecy::ExposeSecret as _;

use super::{Access, RegistryError};
use crate::settings::SettingError;

/// The time that one address has for an answer.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// The time that one address has to accept a connection.
const CONNECT_MAX: Duration = Duration::from_secs(2);

/// One address of the registry.
#[derive(Debug)]
pub(super) struct Address {
    pub(super) url: String,
    /// The URL without its credentials, for messages.
    shown: String,
    /// For requests that the converter has.
    pub(super) settings: SrSettings,
    /// For those that it lacks.
    pub(super) http: Client,
}

/// A request that got no answer or not the one that was hoped for.
#[derive(Debug)]
pub(super) struct Failure {
    /// The status of the answer; `None` when there was none that could be read.
    status: Option<u16>,
    cause: String,
}

impl Failure {
    pub(super) fn is(&self, status: u16) -> bool {
        self.status == Some(status)
    }

    /// The answer's text, or what went wrong.
    pub(super) fn cause(&self) -> &str {
        &self.cause
    }

    /// Whether the same request may succeed later, or at another address now.
    pub(super) fn is_passing(&self) -> bool {
        self.status.is_none_or(|status| matches!(status, 408 | 425 | 429 | 500..))
    }
}

impl From<SRCError> for Failure {
    fn from(error: SRCError) -> Self {
        // The converter keeps the status in its text only: "... failed with status 404 Not Found".
        let status = error.error.split_once("failed with status ").and_then(|(_, rest)| {
            rest.split_whitespace().next().and_then(|number| number.parse().ok())
        });
        let mut cause = error.error.clone();
        let mut source = std::error::Error::source(&error);
        while let Some(error) = source {
            cause.push_str(&format!(": {error}"));
            source = error.source();
        }
        Self { status, cause }
    }
}

impl From<reqwest::Error> for Failure {
    fn from(error: reqwest::Error) -> Self {
        let mut cause = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(error) = source {
            cause.push_str(&format!(": {error}"));
            source = error.source();
        }
        Self { status: error.status().map(|status| status.as_u16()), cause }
    }
}

impl Access {
    /// The header by which the registry knows who asks.
    fn authorization(&self) -> Result<Option<HeaderValue>, RegistryError> {
        let wrong = |variable, why: &str| {
            Err(RegistryError::Setting(SettingError::Wrong { variable, why: why.to_owned() }))
        };
        let (user, password) = match (&self.user, &self.password) {
            (None, None) => return Ok(None),
            (Some(user), Some(password)) => (user, password.expose_secret()),
            (Some(_), None) => {
                return wrong(
                    "MILLRACE_REGISTRY_PASSWORD",
                    "expected a password, or a file of it in MILLRACE_REGISTRY_PASSWORD_FILE, where \
                     MILLRACE_REGISTRY_USER is set",
                );
            }
            (None, Some(_)) => {
                return wrong(
                    "MILLRACE_REGISTRY_USER",
                    "expected a user where MILLRACE_REGISTRY_PASSWORD is set",
                );
            }
        };
        if user.contains(':') {
            return wrong("MILLRACE_REGISTRY_USER", "expected no colon in it (RFC 7617)");
        }
        let encoded = BASE64_STANDARD.encode(format!("{user}:{password}"));
        let mut header = HeaderValue::try_from(format!("Basic {encoded}"))
            .unwrap_or_else(|_| unreachable!("base64 is ASCII"));
        header.set_sensitive(true);
        Ok(Some(header))
    }
}

/// All addresses of the registry. Clones share which one answered last.
#[derive(Clone, Debug)]
pub(super) struct Addresses {
    all: Arc<[Arc<Address>]>,
    /// The index of the address that answered last: the next request starts with it, so that a dead
    /// address costs one timeout and not one for each request.
    preferred: Arc<AtomicUsize>,
}

impl Addresses {
    pub(super) fn new(urls: &str, access: &Access) -> Result<Self, RegistryError> {
        let mut all = Vec::new();
        let login = access.authorization()?;
        for url in super::checked_urls(urls)?.split(',') {
            let url = url.to_owned();
            let shown = masked(&url);
            let unusable = |cause: String| RegistryError::Address { url: shown.clone(), cause };
            let encrypted = url.starts_with("https:");
            if login.is_some() && !encrypted {
                let cause = "expected https, because a password is sent to it".to_owned();
                return Err(RegistryError::Address { url: shown, cause });
            }
            let rustls = match encrypted {
                true => Some(access.tls.client_config_with_identity()?),
                false => None,
            };
            let client = || {
                let mut client = Client::builder().no_proxy().connect_timeout(CONNECT_MAX);
                if let Some(login) = &login {
                    client = client
                        .default_headers(HeaderMap::from_iter([(AUTHORIZATION, login.clone())]));
                }
                match &rustls {
                    Some(rustls) => client.tls_backend_preconfigured(rustls.clone()),
                    None => client,
                }
            };
            let settings = SrSettings::new_builder(url.clone())
                .set_timeout(ANSWER_MAX)
                .build_with(client())
                .map_err(|error| unusable(error.to_string()))?;
            let http = client().timeout(ANSWER_MAX).build();
            let http = http.map_err(|error| unusable(error.to_string()))?;
            all.push(Arc::new(Address { url, shown, settings, http }));
        }
        Ok(Self { all: all.into(), preferred: Arc::default() })
    }

    /// The addresses as they were configured but for credentials, for messages.
    pub(super) fn text(&self) -> String {
        let urls: Vec<_> = self.all.iter().map(|address| address.shown.as_str()).collect();
        urls.join(", ")
    }

    /// The first answer of an address to `request`, beginning with the one that answered last.
    pub(super) async fn first<T, F>(
        &self,
        request: impl Fn(Arc<Address>) -> F,
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let (count, preferred) = (self.all.len(), self.preferred.load(Ordering::Relaxed));
        let mut causes = Vec::new();
        let mut status = None;
        for index in (0..count).map(|step| (preferred + step) % count) {
            let address = &self.all[index];
            let answer = request(address.clone()).await;
            // The converter's errors name the URL with its credentials.
            let answer = answer.map_err(|Failure { status, cause }| Failure {
                status,
                cause: cause.replace(&address.url, &address.shown),
            });
            match answer {
                Err(failure) if failure.is_passing() => {
                    status = failure.status;
                    causes.push(match count {
                        1 => failure.cause,
                        _ => format!("{}: {}", address.shown, failure.cause),
                    });
                }
                answer => {
                    self.preferred.store(index, Ordering::Relaxed);
                    return answer;
                }
            }
        }
        Err(Failure { status, cause: causes.join("; ") })
    }
}

/// The text of a URL for people: everything between its scheme and its last `@` is masked, because
/// a password may stand there. It need not be a URL that can be parsed.
fn masked(url: &str) -> String {
    let (scheme, rest) = url.split_at(url.find("://").map_or(0, |at| at + 3));
    match rest.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}***@{host}"),
        None => url.to_owned(),
    }
}

/// Checks a list of registry URLs and returns it in its normal form: no spaces, no trailing
/// slashes.
///
/// # Errors
/// When the list is empty or one of its items is not an `http` or `https` URL.
pub fn checked_urls(urls: &str) -> Result<String, RegistryError> {
    let checked: Result<Vec<_>, _> = urls
        .split(',')
        .map(|url| {
            let url = url.trim().trim_end_matches('/');
            let wrong = |cause: String| {
                // A comma in a password splits it over two items: only the whole list shows where
                // it ends.
                let url = if urls.contains('@') { masked(urls) } else { url.to_owned() };
                RegistryError::Address { url, cause }
            };
            let parsed = Url::parse(url).map_err(|error| wrong(error.to_string()))?;
            match parsed.scheme() {
                "http" | "https" => Ok(url.to_owned()),
                other => Err(wrong(format!("{other} is neither http nor https"))),
            }
        })
        .collect();
    Ok(checked?.join(","))
}

/// [`checked_urls`] as a parser for clap. With a function, clap's own error prints the whole value,
/// and that may hold a password.
#[derive(Clone, Copy, Debug)]
pub struct UrlsParser;

impl TypedValueParser for UrlsParser {
    type Value = String;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<String, clap::Error> {
        checked_urls(&value.to_string_lossy()).map_err(|error| {
            let argument = argument.map(|argument| format!("{argument}: ")).unwrap_or_default();
            let error = format!("{argument}{error}\n");
            clap::Error::raw(clap::error::ErrorKind::ValueValidation, error).with_cmd(command)
        })
    }
}
