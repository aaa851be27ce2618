//! What the gateway can be told: one struct, from arguments or the environment. Reads the files of
//! secrets that it names, and binds nothing.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Parser;
use projections::settings::StoreSettings;
use redpanda::{brokers::BrokerSettings, registry::RegistrySettings, settings, tls::TlsSettings};
use secrecy::SecretString;

use crate::{
    auth::{LoadError, SigningKeys},
    client::Networks,
    secret::Secret,
    streams::Bounds,
};

/// Settings of the gateway. Wrong ones end it with exit code 64 before it binds anything.
#[derive(Clone, Debug, Parser)]
#[command(
    version,
    about = "Millrace's HTTP gateway: writes commands to topics and reads projections"
)]
pub struct Config {
    /// The log.
    #[command(flatten)]
    pub brokers: BrokerSettings,
    /// The schema registry.
    #[command(flatten)]
    pub registry: RegistrySettings,
    /// The stores.
    #[command(flatten)]
    pub stores: StoreSettings,
    /// Whom TLS connections trust.
    #[command(flatten)]
    pub tls: TlsSettings,
    /// Where the API answers.
    #[arg(long, env = "MILLRACE_LISTEN", default_value = "127.0.0.1:3101")]
    pub listen: SocketAddr,
    /// Where /metrics, /livez and /readyz with details answer; not for the outside.
    #[arg(long, env = "MILLRACE_INNER", default_value = "127.0.0.1:9100")]
    pub inner: SocketAddr,
    /// Balancers whose `X-Forwarded-For` is believed: addresses or CIDRs, comma separated.
    #[arg(long, env = "MILLRACE_TRUSTED_PROXIES", default_value = "")]
    pub trusted_proxies: Networks,
    /// A folder of Ed25519 keys, PKCS8 PEM, `<kid>.pem`. The newest by name signs; all are
    /// published.
    #[arg(long, env = "MILLRACE_JWT_KEYS")]
    pub jwt_keys: PathBuf,
    /// A file with 64 hexadecimal digits, from which the gateway's other keys are derived.
    #[arg(long, env = "MILLRACE_SECRET_FILE")]
    pub secret_file: PathBuf,
    /// E-mail address of the first admin, who is registered at start.
    #[arg(long, env = "MILLRACE_ADMIN_EMAIL", requires = "admin_password_file")]
    pub admin_email: Option<String>,
    /// A file with the first admin's password.
    #[arg(long, env = "MILLRACE_ADMIN_PASSWORD_FILE", requires = "admin_email")]
    pub admin_password_file: Option<PathBuf>,
    /// Requests that one client address may send in a window.
    #[arg(long, env = "MILLRACE_RATE_LIMIT", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub rate_limit: u32,
    /// Seconds of a window.
    #[arg(long, env = "MILLRACE_RATE_WINDOW_S", default_value_t = 900, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub rate_window_s: u32,
    /// Connections at once; more are left waiting in the kernel's queue.
    #[arg(long, env = "MILLRACE_CONNECTIONS_MAX", default_value_t = 4096, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub connections_max: u32,
    /// Requests that are answered at once; more get 503. Streams count until they begin.
    #[arg(long, env = "MILLRACE_REQUESTS_MAX", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub requests_max: u32,
    /// Clients of the live stream at once.
    #[arg(long, env = "MILLRACE_STREAMS_MAX", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub streams_max: u32,
    /// Clients of the live stream at once for one user; one more ends the user's oldest.
    #[arg(long, env = "MILLRACE_STREAMS_USER_MAX", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub streams_user_max: u32,
    /// Clients of the live stream at once for one address; one more ends the address's oldest.
    #[arg(long, env = "MILLRACE_STREAMS_ADDRESS_MAX", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub streams_address_max: u32,
    /// Passwords hashed at once; others wait, and past eight times as many are turned away.
    #[arg(long, env = "MILLRACE_HASHERS", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub hashers: u32,
    /// Milliseconds that the log has to take a command.
    #[arg(long, env = "MILLRACE_WRITE_DEADLINE_MS", default_value_t = 5000, value_parser = clap::value_parser!(u64).range(100..=60_000))]
    pub write_deadline_ms: u64,
    /// Seconds that requests in flight have to finish after SIGTERM.
    #[arg(long, env = "MILLRACE_DRAIN_S", default_value_t = 20, value_parser = clap::value_parser!(u64).range(0..=300))]
    pub drain_s: u64,
}

/// The secrets that the settings name, read.
pub struct Secrets {
    /// What other keys are derived from.
    pub secret: Secret,
    /// The keys of tokens.
    pub signing: SigningKeys,
    /// The first admin.
    pub admin: Option<(String, SecretString)>,
}

/// A setting that parses, but is of no use.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file can't be read.
    #[error("{variable}: can't read {path}: {source}")]
    File {
        /// The variable that names the file.
        variable: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file holds something else.
    #[error("{variable}: {path}: {why}")]
    Content {
        /// The variable that names the file.
        variable: &'static str,
        /// The file.
        path: PathBuf,
        /// What it should hold.
        why: String,
    },
    /// The folder of signing keys is of no use.
    #[error("MILLRACE_JWT_KEYS: {0}")]
    Keys(#[from] LoadError),
}

impl Config {
    /// Reads arguments and environment with the secrets they name; on wrong ones says what is wrong
    /// in one line and ends with exit code 64 (0 for `--help` and `--version`).
    pub fn from_env() -> (Self, Secrets) {
        let config: Self = settings::parse();
        match config.secrets() {
            Ok(secrets) => (config, secrets),
            Err(error) => {
                eprintln!("error: {error}");
                std::process::exit(64);
            }
        }
    }

    /// Reads the files of secrets.
    ///
    /// # Errors
    /// When one is missing or holds something else.
    pub fn secrets(&self) -> Result<Secrets, ConfigError> {
        let variable = "MILLRACE_SECRET_FILE";
        let secret = Secret::parse(read(variable, &self.secret_file)?.trim()).map_err(|why| {
            ConfigError::Content { variable, path: self.secret_file.clone(), why: why.to_owned() }
        })?;
        let signing = SigningKeys::load(&self.jwt_keys)?;
        let admin = match (&self.admin_email, &self.admin_password_file) {
            (Some(email), Some(path)) => {
                let variable = "MILLRACE_ADMIN_PASSWORD_FILE";
                let password = read(variable, path)?.trim().to_owned();
                if !(8..=128).contains(&password.len()) {
                    let why = "a password has 8 to 128 bytes".to_owned();
                    return Err(ConfigError::Content { variable, path: path.clone(), why });
                }
                Some((email.clone(), SecretString::from(password)))
            }
            _ => None,
        };
        Ok(Secrets { secret, signing, admin })
    }

    /// How many may watch the live stream.
    pub fn streams(&self) -> Bounds {
        Bounds {
            all_max: self.streams_max as usize,
            user_max: self.streams_user_max as usize,
            address_max: self.streams_address_max as usize,
        }
    }

    /// How long the log has to take a command.
    pub fn write_deadline(&self) -> Duration {
        Duration::from_millis(self.write_deadline_ms)
    }
}

fn read(variable: &'static str, path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|source| ConfigError::File {
        variable,
        path: path.into(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Result<Config, clap::Error> {
        let always = ["gateway", "--jwt-keys", "keys", "--secret-file", "secret"];
        Config::try_parse_from(always.iter().chain(arguments))
    }

    #[test]
    fn wrong_settings_are_told_before_anything_is_bound() {
        assert!(parsed(&["--rate-limit", "7", "--trusted-proxies", "10.0.0.0/8,::1"]).is_ok());
        for wrong in [
            ["--rate-limit", "0"],
            ["--listen", "nowhere"],
            ["--trusted-proxies", "example.org"],
            ["--admin-email", "a@example.org"],
        ] {
            assert!(parsed(&wrong).is_err(), "{wrong:?}");
        }
        let error = parsed(&[]).expect("settings").secrets().err().expect("no such file");
        assert!(
            error.to_string().starts_with("MILLRACE_SECRET_FILE: can't read secret"),
            "{error}"
        );
    }
}
