//! How requests to the registry are authenticated. The password is never shown.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret as _, SecretString};

use crate::{settings::SettingError, tls::Tls};

/// Certificates and log-in of a client of the registry.
#[derive(Clone, Debug, Default)]
pub(super) struct Credentials {
    pub(super) tls: Tls,
    pub(super) user: Option<String>,
    pub(super) password: Option<SecretString>,
}

impl Credentials {
    /// The `Authorization` header; `None` without a user.
    pub(super) fn authorization(&self) -> Result<Option<HeaderValue>, SettingError> {
        let wrong =
            |variable, why: &str| Err(SettingError::Wrong { variable, why: why.to_owned() });
        let (user, password) = match (&self.user, &self.password) {
            (None, None) => return Ok(None),
            (Some(user), Some(password)) => (user, password.expose_secret()),
            (Some(_), None) => {
                return wrong(
                    "MILLRACE_REGISTRY_PASSWORD",
                    "expected a password, or a file of it in MILLRACE_REGISTRY_PASSWORD_FILE, \
                     where MILLRACE_REGISTRY_USER is set",
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
