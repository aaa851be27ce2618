//! The registry's addresses: any of them may answer, and a request fails over to the next one.
//!
//! An answer that another address would give as well (`404`, a refused schema) never fails over:
//! only a failed connection, a timeout, `408`, `425`, `429` or a `5xx` status does.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use reqwest::{
    Client,
    header::{AUTHORIZATION, HeaderMap},
};
use schema_registry_converter::async_impl::schema_registry::SrSettings;

use super::{
    credentials::Credentials,
    error::RegistryError,
    failure::Failure,
    urls::{checked_urls, has_login, masked},
};
use crate::tls;

/// The deadline of an answer from one address.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// The deadline of a connection to one address.
const CONNECT_MAX: Duration = Duration::from_secs(2);

/// One address of the registry. `Debug` shows no credentials.
pub(super) struct Address {
    pub(super) url: String,
    /// The URL without its credentials, for messages.
    shown: String,
    /// The client for requests that the converter implements.
    pub(super) settings: SrSettings,
    /// The client for all other requests.
    pub(super) http: Client,
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Address").field(&self.shown).finish()
    }
}

/// All addresses of the registry. Clones share which one answered last.
#[derive(Clone, Debug)]
pub(super) struct Addresses {
    all: Arc<[Arc<Address>]>,
    /// The index of the address that answered last. The next request starts with it, so that a dead
    /// address costs one timeout and not one for each request.
    preferred: Arc<AtomicUsize>,
}

impl Addresses {
    pub(super) fn new(urls: &str, credentials: &Credentials) -> Result<Self, RegistryError> {
        // reqwest has no provider of its own, also for addresses without TLS.
        tls::install_provider();
        let mut all = Vec::new();
        let login = credentials.authorization()?;
        for url in checked_urls(urls)?.split(',') {
            let url = url.to_owned();
            let shown = masked(&url);
            let unusable = |cause: String| RegistryError::Address { url: shown.clone(), cause };
            let encrypted = url.starts_with("https:");
            if (login.is_some() || has_login(&url)) && !encrypted {
                let cause = "expected https, because a password is sent to it".to_owned();
                return Err(RegistryError::Address { url: shown, cause });
            }
            let rustls = match encrypted {
                true => Some(credentials.tls.client_config_with_identity()?),
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
                .map_err(|error| unusable(Failure::from(error).cause))?;
            let http = client().timeout(ANSWER_MAX).build();
            let http = http.map_err(|error| unusable(Failure::from(error).cause))?;
            all.push(Arc::new(Address { url, shown, settings, http }));
        }
        Ok(Self { all: all.into(), preferred: Arc::default() })
    }

    /// The configured addresses without credentials, for messages.
    pub(super) fn text(&self) -> String {
        let urls: Vec<_> = self.all.iter().map(|address| address.shown.as_str()).collect();
        urls.join(", ")
    }

    /// The answer to `request` of the first address that gives one, beginning with the one that
    /// answered last. A failure names what happened at each address.
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
            // The converter's errors contain the URL with its credentials.
            let answer = answer.map_err(|Failure { status, cause }| Failure {
                status,
                cause: cause.replace(&address.url, &address.shown),
            });
            match answer {
                Err(failure) if failure.is_transient() => {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(urls: &str) -> Result<Addresses, RegistryError> {
        Addresses::new(urls, &Credentials::default())
    }

    #[tokio::test]
    async fn credentials_of_an_address_are_masked_in_every_answer_and_in_debug() {
        let addresses = addresses("https://ada:s3cret@127.0.0.1:1").expect("an address");
        for status in [None, Some(401), Some(503)] {
            let request = move |address: Arc<Address>| async move {
                Err::<(), _>(Failure { status, cause: format!("GET {}/subjects", address.url) })
            };
            let failure = addresses.first(request).await.expect_err("no answer");
            assert_eq!(failure.cause, "GET https://***@127.0.0.1:1/subjects");
        }
        let text = format!("{addresses:?}");
        assert!(text.contains("***@127.0.0.1") && !text.contains("s3cret"), "{text}");
    }

    #[test]
    fn password_is_sent_to_https_only() {
        for url in ["http://ada:s3cret@a", "http://ada@a", "https://b,http://ada:s3cret@a"] {
            let error = addresses(url).expect_err(url).to_string();
            let expected = "'http://***@a' can't be the address of a schema registry: expected \
                            https, because a password is sent to it";
            assert_eq!(error, expected);
        }
    }
}
