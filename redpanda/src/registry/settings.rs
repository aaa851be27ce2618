//! The registry's settings of every program. They hold values and connect to nothing.

use secrecy::SecretString;

use super::{
    client::Registry,
    credentials::Credentials,
    error::RegistryError,
    urls::{Urls, UrlsParser},
};
use crate::tls::Tls;

/// The registry's address and log-in, for every program.
#[derive(Clone, Debug, clap::Args)]
pub struct RegistrySettings {
    /// Base URLs of the schema registry, comma separated: a request fails over to the next one.
    #[arg(
        long,
        env = "MILLRACE_REGISTRY_URL",
        default_value = "http://127.0.0.1:8081",
        value_parser = UrlsParser,
        hide_env_values = true
    )]
    pub registry_url: Urls,
    /// The log-in.
    #[command(flatten)]
    pub login: LoginSettings,
}

/// The log-in to the registry, for every program.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct LoginSettings {
    /// User of the schema registry, for HTTP Basic authentication; only with https.
    #[arg(long, env = "MILLRACE_REGISTRY_USER")]
    pub registry_user: Option<String>,
    /// The password of the registry's user.
    #[arg(long, env = "MILLRACE_REGISTRY_PASSWORD", hide_env_values = true)]
    pub registry_password: Option<SecretString>,
}

impl RegistrySettings {
    /// A client of the registry; `https` URLs use `tls`.
    ///
    /// # Errors
    /// If a setting is wrong.
    pub fn open(&self, tls: &Tls) -> Result<Registry, RegistryError> {
        self.login.open(&self.registry_url, tls)
    }
}

impl LoginSettings {
    /// A client of the registry at `urls`; `https` URLs use `tls`.
    ///
    /// # Errors
    /// If a setting is wrong.
    pub fn open(&self, urls: &Urls, tls: &Tls) -> Result<Registry, RegistryError> {
        let (user, password) = (self.registry_user.clone(), self.registry_password.clone());
        Registry::with_credentials(&urls.0, &Credentials { tls: tls.clone(), user, password })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        registry: RegistrySettings,
    }

    #[test]
    fn password_in_a_url_is_not_printed() {
        let arguments = ["program", "--registry-url", "https://a, https://ada:s3cret@b/"];
        let program = Program::try_parse_from(arguments).expect("settings");
        assert_eq!(program.registry.registry_url.0, "https://a,https://ada:s3cret@b");
        let text = format!("{program:?}");
        assert!(text.contains("https://***@b") && !text.contains("s3cret"), "{text}");
    }
}
