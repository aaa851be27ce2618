//! How the brokers are reached: addresses, TLS and SASL, for librdkafka and rskafka. It opens no
//! connection, and never prints the password.

#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc};

use clap::ValueEnum;
use rdkafka::ClientConfig;
use rskafka::client::{ClientBuilder, Credentials, SaslConfig};
use secrecy::{ExposeSecret as _, SecretString};

use crate::{settings::SettingError, tls::Tls};

/// Addresses of the brokers and the log-in, for every program.
#[derive(Clone, Debug, clap::Args)]
pub struct BrokerSettings {
    /// Brokers to begin with, `host:port`, comma separated.
    #[arg(long, env = "MILLRACE_BROKERS", default_value = "127.0.0.1:9092")]
    pub brokers: String,
    /// Whether connections to the brokers use TLS.
    #[arg(
        long,
        env = "MILLRACE_BROKERS_TLS",
        action = clap::ArgAction::Set,
        num_args = 0..=1,
        default_value_t = false,
        default_missing_value = "true"
    )]
    pub brokers_tls: bool,
    /// The SASL mechanism; unset: connections have no user.
    #[arg(long, env = "MILLRACE_SASL_MECHANISM", value_enum)]
    pub sasl_mechanism: Option<Mechanism>,
    /// The SASL user.
    #[arg(long, env = "MILLRACE_SASL_USER")]
    pub sasl_user: Option<String>,
    /// The password of the SASL user.
    #[arg(long, env = "MILLRACE_SASL_PASSWORD", hide_env_values = true)]
    pub sasl_password: Option<SecretString>,
}

/// A SASL mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mechanism {
    /// Challenge and response with SHA-256.
    #[value(name = "SCRAM-SHA-256")]
    ScramSha256,
    /// Challenge and response with SHA-512.
    #[value(name = "SCRAM-SHA-512")]
    ScramSha512,
    /// The client sends the password itself; only with TLS.
    #[value(name = "PLAIN")]
    Plain,
}

impl Mechanism {
    fn name(self) -> &'static str {
        match self {
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
            Self::Plain => "PLAIN",
        }
    }
}

/// How clients reach the brokers. A list of addresses alone means connections without TLS and SASL.
/// Clones share the content.
#[derive(Clone)]
pub struct Brokers(Arc<Connection>);

struct Connection {
    addresses: String,
    tls: Option<Encryption>,
    sasl: Option<Sasl>,
}

struct Encryption {
    tls: Tls,
    /// For rskafka.
    rustls: Arc<rustls::ClientConfig>,
}

struct Sasl {
    mechanism: Mechanism,
    user: String,
    password: SecretString,
}

impl fmt::Debug for Brokers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = self.0.sasl.as_ref().map(|sasl| (sasl.mechanism, &sasl.user));
        f.debug_struct("Brokers")
            .field("addresses", &self.0.addresses)
            .field("tls", &self.0.tls.as_ref().map(|encryption| &encryption.tls))
            .field("sasl", &user)
            .finish()
    }
}

impl fmt::Display for Brokers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.addresses)
    }
}

impl From<&str> for Brokers {
    fn from(addresses: &str) -> Self {
        let addresses: Vec<_> = addresses.split(',').map(str::trim).collect();
        Self(Arc::new(Connection { addresses: addresses.join(","), tls: None, sasl: None }))
    }
}

impl From<&String> for Brokers {
    fn from(addresses: &String) -> Self {
        addresses.as_str().into()
    }
}

impl From<&Brokers> for Brokers {
    fn from(brokers: &Brokers) -> Self {
        brokers.clone()
    }
}

impl BrokerSettings {
    /// Checks the settings. Connections use `tls` if the settings enable TLS.
    ///
    /// # Errors
    /// If an address is malformed, or settings are missing or contradict each other.
    pub fn open(&self, tls: &Tls) -> Result<Brokers, SettingError> {
        let addresses: Vec<_> = self.brokers.split(',').map(str::trim).collect();
        for address in &addresses {
            let port =
                address.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port);
            if port.is_none_or(|port| port.parse::<u16>().is_err()) {
                let why = format!("'{address}': expected host:port, and commas between several");
                return Err(SettingError::Wrong { variable: "MILLRACE_BROKERS", why });
            }
        }
        let tls = match self.brokers_tls {
            false => None,
            true => {
                let rustls = Arc::new(tls.client_config_with_identity()?);
                Some(Encryption { tls: tls.clone(), rustls })
            }
        };
        let sasl = self.sasl(tls.is_some())?;
        Ok(Brokers(Arc::new(Connection { addresses: addresses.join(","), tls, sasl })))
    }

    fn sasl(&self, encrypted: bool) -> Result<Option<Sasl>, SettingError> {
        let wrong =
            |variable, why: &str| Err(SettingError::Wrong { variable, why: why.to_owned() });
        match (self.sasl_mechanism, &self.sasl_user, &self.sasl_password) {
            (None, None, None) => Ok(None),
            (None, _, _) => wrong(
                "MILLRACE_SASL_MECHANISM",
                "expected SCRAM-SHA-256, SCRAM-SHA-512 or PLAIN where MILLRACE_SASL_USER or \
                 MILLRACE_SASL_PASSWORD is set",
            ),
            (Some(Mechanism::Plain), _, _) if !encrypted => wrong(
                "MILLRACE_SASL_MECHANISM",
                "PLAIN sends the password itself: expected MILLRACE_BROKERS_TLS=true with it",
            ),
            (Some(_), None, _) => {
                wrong("MILLRACE_SASL_USER", "expected a user where MILLRACE_SASL_MECHANISM is set")
            }
            (Some(_), _, None) => wrong(
                "MILLRACE_SASL_PASSWORD",
                "expected a password, or a file of it in MILLRACE_SASL_PASSWORD_FILE, where \
                 MILLRACE_SASL_MECHANISM is set",
            ),
            (Some(mechanism), Some(user), Some(password)) => {
                Ok(Some(Sasl { mechanism, user: user.clone(), password: password.clone() }))
            }
        }
    }
}

impl Brokers {
    /// The settings that all clients of librdkafka share.
    pub(crate) fn librdkafka(&self) -> ClientConfig {
        // Before librdkafka initializes OpenSSL, and without a handler that frees its state when
        // the process exits: threads of clients that are still being closed use it until the end.
        openssl_sys::init();
        let Connection { addresses, tls, sasl } = &*self.0;
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", addresses);
        let protocol = match (tls, sasl) {
            (None, None) => return config,
            (Some(_), None) => "ssl",
            (None, Some(_)) => "sasl_plaintext",
            (Some(_), Some(_)) => "sasl_ssl",
        };
        config.set("security.protocol", protocol);
        if let Some(Encryption { tls, .. }) = tls {
            // Without a file, OpenSSL trusts the system's authorities.
            if let Some(file) = tls.ca_file() {
                config.set("ssl.ca.location", file.to_string_lossy());
            }
            if let Some((cert, key)) = tls.identity_files() {
                config.set("ssl.certificate.location", cert.to_string_lossy());
                config.set("ssl.key.location", key.to_string_lossy());
            }
        }
        if let Some(Sasl { mechanism, user, password }) = sasl {
            config
                .set("sasl.mechanism", mechanism.name())
                .set("sasl.username", user)
                .set("sasl.password", password.expose_secret());
        }
        config
    }

    /// The settings that all clients of rskafka share.
    pub(crate) fn rskafka(&self) -> ClientBuilder {
        let Connection { addresses, tls, sasl } = &*self.0;
        let mut builder = ClientBuilder::new(addresses.split(',').map(str::to_owned).collect());
        if let Some(Encryption { rustls, .. }) = tls {
            builder = builder.tls_config(rustls.clone());
        }
        if let Some(Sasl { mechanism, user, password }) = sasl {
            let credentials = Credentials::new(user.clone(), password.expose_secret().to_owned());
            builder = builder.sasl_config(match mechanism {
                Mechanism::ScramSha256 => SaslConfig::ScramSha256(credentials),
                Mechanism::ScramSha512 => SaslConfig::ScramSha512(credentials),
                Mechanism::Plain => SaslConfig::Plain(credentials),
            });
        }
        builder
    }
}
