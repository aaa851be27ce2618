//! Gateway configuration: one struct, from arguments or the environment. It reads the files of
//! secrets that the settings name, and binds nothing.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{Parser, value_parser};
use projections::settings::ConnectionSettings;
use redpanda::settings;
use schemas::chain;
use secrecy::SecretString;

use crate::{
    auth::{LoadError, Passwords, SigningKeys},
    client::Networks,
    input,
    limit::Limit,
    load,
    secret::{Secret, SecretError},
    streams::Bounds,
};

const SECRET_FILE: &str = "MILLRACE_SECRET_FILE";
const ADMIN_PASSWORD_FILE: &str = "MILLRACE_ADMIN_PASSWORD_FILE";

/// The gateway's settings. A wrong one ends the process with exit code 64 before it binds anything.
#[derive(Clone, Debug, Parser)]
#[command(
    version,
    about = "Millrace's HTTP gateway: writes commands to topics and reads projections"
)]
pub struct Config {
    /// The brokers, the registry and the stores.
    #[command(flatten)]
    pub connections: ConnectionSettings,
    /// Address and port of the API.
    #[arg(long, env = "MILLRACE_LISTEN", default_value = "127.0.0.1:3101")]
    pub listen: SocketAddr,
    /// Address and port of /metrics, /livez and detailed /readyz; must not be reachable from
    /// outside.
    #[arg(long, env = "MILLRACE_INTERNAL", default_value = "127.0.0.1:9100")]
    pub internal: SocketAddr,
    /// Load balancers whose `X-Forwarded-For` is trusted: IP addresses or networks (CIDR),
    /// separated by commas.
    #[arg(long, env = "MILLRACE_TRUSTED_PROXIES", default_value = "")]
    pub trusted_proxies: Networks,
    /// Folder of the Ed25519 keys of access tokens: `<kid>.pem`, PKCS8. The last one by name signs,
    /// all are published.
    #[arg(long, env = "MILLRACE_JWT_KEYS")]
    pub jwt_keys: PathBuf,
    /// File with the secret that the gateway's other keys derive from: 64 hexadecimal digits.
    #[arg(long, env = "MILLRACE_SECRET_FILE")]
    pub secret_file: PathBuf,
    /// E-mail address of the first admin, whom the gateway registers at its start.
    #[arg(long, env = "MILLRACE_ADMIN_EMAIL", requires = "admin_password_file")]
    pub admin_email: Option<String>,
    /// File with the first admin's password.
    #[arg(long, env = "MILLRACE_ADMIN_PASSWORD_FILE", requires = "admin_email")]
    pub admin_password_file: Option<PathBuf>,
    /// Requests that one client address may send in a window.
    #[arg(long, env = "MILLRACE_RATE_LIMIT", default_value_t = 100,
          value_parser = value_parser!(u32).range(1..=1_000_000))]
    pub rate_limit: u32,
    /// Length of a window, in seconds.
    #[arg(long, env = "MILLRACE_RATE_WINDOW_S", default_value_t = 900,
          value_parser = value_parser!(u32).range(1..=86_400))]
    pub rate_window_s: u32,
    /// Open connections at most; further clients wait in the kernel's queue.
    #[arg(long, env = "MILLRACE_CONNECTIONS_MAX", default_value_t = 4096,
          value_parser = value_parser!(u32).range(1..=100_000))]
    pub connections_max: u32,
    /// Commands without an outcome at most, whether their requests wait or not; further ones get
    /// 503.
    #[arg(long, env = "MILLRACE_COMMANDS_MAX", default_value_t = 96,
          value_parser = value_parser!(u32).range(1..=100_000))]
    pub commands_max: u32,
    /// Reads in flight at most; further ones get 503. A live stream counts until it begins.
    #[arg(long, env = "MILLRACE_READS_MAX", default_value_t = 96,
          value_parser = value_parser!(u32).range(1..=100_000))]
    pub reads_max: u32,
    /// Requests about accounts and sessions in flight at most; further ones get 503.
    #[arg(long, env = "MILLRACE_LOG_INS_MAX", default_value_t = 64,
          value_parser = value_parser!(u32).range(1..=100_000))]
    pub log_ins_max: u32,
    /// Reads that wait for an outcome or a version at most; further ones are answered at once.
    #[arg(long, env = "MILLRACE_WAITS_MAX", default_value_t = 48,
          value_parser = value_parser!(u32).range(1..=100_000))]
    pub waits_max: u32,
    /// The latency of commands and log-ins, in milliseconds, above which fewer are let in at the
    /// same time; half of it for reads.
    #[arg(long, env = "MILLRACE_LATENCY_TARGET_MS", default_value_t = 600,
          value_parser = value_parser!(u64).range(10..=60_000))]
    pub latency_target_ms: u64,
    /// Clients of streams, of events and of statistics, at most.
    #[arg(long, env = "MILLRACE_STREAMS_MAX", default_value_t = 512,
          value_parser = value_parser!(u32).range(1..=100_000))]
    pub streams_max: u32,
    /// Streams of one user at most; a further one ends the user's oldest.
    #[arg(long, env = "MILLRACE_STREAMS_USER_MAX", default_value_t = 8,
          value_parser = value_parser!(u32).range(1..=100_000))]
    pub streams_user_max: u32,
    /// Streams of one client address at most; a further one ends the address's oldest.
    #[arg(long, env = "MILLRACE_STREAMS_ADDRESS_MAX", default_value_t = 64,
          value_parser = value_parser!(u32).range(1..=100_000))]
    pub streams_address_max: u32,
    /// Whether everyone may read how many orders there are, how they fare and what sells best, also
    /// without an account.
    #[arg(long, env = "MILLRACE_PUBLIC_DASHBOARD", default_value_t = false,
          action = clap::ArgAction::Set)]
    pub public_dashboard: bool,
    /// The Prometheus that scrapes the services, for the pipeline's figures on the dashboard;
    /// without it the dashboard shows none.
    #[arg(long, env = "MILLRACE_PROMETHEUS_URL")]
    pub prometheus_url: Option<reqwest::Url>,
    /// Passwords hashed at the same time. The default is half of the machine's cores.
    #[arg(long, env = "MILLRACE_HASHERS", default_value_t = hashers(),
          value_parser = value_parser!(u32).range(1..=64))]
    pub hashers: u32,
    /// Deadline of a command's write to the log, in milliseconds.
    #[arg(long, env = "MILLRACE_WRITE_DEADLINE_MS", default_value_t = 5000,
          value_parser = value_parser!(u64).range(100..=60_000))]
    pub write_deadline_ms: u64,
    /// Time for requests in flight to finish after SIGTERM, in seconds.
    #[arg(long, env = "MILLRACE_DRAIN_S", default_value_t = 20,
          value_parser = value_parser!(u64).range(0..=300))]
    pub drain_s: u64,
}

/// The content of the files of secrets.
pub struct Secrets {
    /// The secret that keys derive from.
    pub secret: Secret,
    /// The keys of access tokens.
    pub signing: SigningKeys,
    /// The first admin's e-mail address, in its normal form, and password.
    pub admin: Option<(String, SecretString)>,
}

/// A setting can't be used, or the file that it names.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file can't be read.
    #[error("{variable}: can't read {path}")]
    File {
        /// The variable that names the file.
        variable: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file of the secret holds something else.
    #[error("{SECRET_FILE}: {path}")]
    Secret {
        /// The file.
        path: PathBuf,
        /// Why.
        source: SecretError,
    },
    /// The first admin's address is invalid.
    #[error("MILLRACE_ADMIN_EMAIL: expected an address such as ada@example.org, found {0:?}")]
    AdminEmail(String),
    /// The first admin's password is too short or too long.
    #[error(
        "{ADMIN_PASSWORD_FILE}: {path}: expected a password of at least 8 characters and at most \
         128 bytes"
    )]
    AdminPassword {
        /// The file.
        path: PathBuf,
    },
    /// The signing keys can't be loaded.
    #[error("MILLRACE_JWT_KEYS")]
    Keys(#[from] LoadError),
}

impl Config {
    /// Reads arguments, environment and files of secrets. When one is wrong, prints one line and
    /// ends the process with exit code 64 (0 for `--help` and `--version`).
    pub fn from_env() -> (Self, Secrets) {
        let config: Self = settings::parse();
        match config.secrets() {
            Ok(secrets) => (config, secrets),
            Err(error) => {
                eprintln!("error: {}", chain(&error));
                std::process::exit(64);
            }
        }
    }

    /// Reads the files of secrets, and checks the first admin's address.
    ///
    /// # Errors
    /// Returns an error when a file is missing or malformed, or the address is.
    pub fn secrets(&self) -> Result<Secrets, ConfigError> {
        let secret = Secret::parse(read(SECRET_FILE, &self.secret_file)?.trim())
            .map_err(|source| ConfigError::Secret { path: self.secret_file.clone(), source })?;
        let signing = SigningKeys::load(&self.jwt_keys)?;
        Ok(Secrets { secret, signing, admin: self.admin()? })
    }

    fn admin(&self) -> Result<Option<(String, SecretString)>, ConfigError> {
        let (Some(email), Some(path)) = (&self.admin_email, &self.admin_password_file) else {
            return Ok(None);
        };
        let wrong = |_| ConfigError::AdminEmail(email.clone());
        let normal = input::email(email).map_err(wrong)?;
        let password = SecretString::from(read(ADMIN_PASSWORD_FILE, path)?.trim());
        let wrong = |_| ConfigError::AdminPassword { path: path.clone() };
        Passwords::check_length("password", &password).map_err(wrong)?;
        Ok(Some((normal, password)))
    }

    /// The limit of requests of one address.
    pub fn limit(&self) -> Limit {
        Limit { requests: self.rate_limit, window_s: self.rate_window_s }
    }

    /// The bounds of requests in flight.
    pub fn load(&self) -> load::Bounds {
        load::Bounds {
            commands_max: self.commands_max as usize,
            reads_max: self.reads_max as usize,
            log_ins_max: self.log_ins_max as usize,
            waits_max: self.waits_max as usize,
            latency_target: Duration::from_millis(self.latency_target_ms),
        }
    }

    /// The bounds of the live stream's clients.
    pub fn streams(&self) -> Bounds {
        Bounds {
            all_max: self.streams_max as usize,
            user_max: self.streams_user_max as usize,
            address_max: self.streams_address_max as usize,
        }
    }

    /// The deadline of a command's write to the log.
    pub fn write_timeout(&self) -> Duration {
        Duration::from_millis(self.write_deadline_ms)
    }
}

/// The default of `hashers`: a flood of log-ins leaves half of the machine to other work.
fn hashers() -> u32 {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    u32::try_from(cores / 2).unwrap_or(1).clamp(1, 64)
}

fn read(variable: &'static str, path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|source| ConfigError::File {
        variable,
        path: path.into(),
        source,
    })
}

#[cfg(test)]
mod tests;
