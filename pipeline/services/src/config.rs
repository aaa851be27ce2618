//! The configuration of a service: one struct, from arguments or the environment. It opens nothing.

use std::{net::SocketAddr, time::Duration};

use clap::Parser;
use projections::settings::ConnectionSettings;
use redpanda::settings;
use secrecy::SecretString;

/// Settings of a service. Wrong ones end it with exit code 64 before it binds anything.
#[derive(Clone, Debug, Parser)]
#[command(version, about)]
pub struct Config {
    /// The brokers, the registry and the stores.
    #[command(flatten)]
    pub connections: ConnectionSettings,
    /// This instance's number. Each running instance of a service has its own, and keeps it over
    /// restarts.
    #[arg(long, env = "MILLRACE_INSTANCE", default_value_t = 0)]
    pub instance: u32,
    /// Worker threads of the engine.
    #[arg(
        long,
        env = "MILLRACE_WORKERS",
        default_value_t = 1,
        value_parser = clap::value_parser!(u32).range(1..=64)
    )]
    pub workers: u32,
    /// Milliseconds after which a batch is committed; 0: as soon as the input drains. Without it
    /// the interval of the notification service is 100, and that of others adapts to the load, up
    /// to 100.
    #[arg(
        long,
        env = "MILLRACE_COMMIT_INTERVAL_MS",
        value_parser = clap::value_parser!(u64).range(0..=5000)
    )]
    pub commit_interval_ms: Option<u64>,
    /// Whether the engine decides a follow-up for one of its own tasks in the transaction that
    /// writes it. Set it to `false` while instances of a version before this setting run.
    #[arg(
        long,
        env = "MILLRACE_LOCAL_FOLLOW_UPS",
        default_value_t = true,
        action = clap::ArgAction::Set
    )]
    pub local_follow_ups: bool,
    /// Records of output that a part of a transaction has at least. For tests: a small number gives
    /// every transaction several parts.
    #[arg(
        long,
        env = "MILLRACE_PART_MIN",
        default_value_t = 2_000,
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub part_min: u32,
    /// Inputs, `topic[partition]`, comma separated, that continue at the log's beginning although
    /// records before it were not read.
    #[arg(long, env = "MILLRACE_ACCEPT_LOSS", value_delimiter = ',')]
    pub accept_loss: Vec<String>,
    /// Days for which a finished order, a notification and a deactivated user are remembered after
    /// their last change. The stores keep them for 30 days more.
    #[arg(
        long,
        env = "MILLRACE_RETENTION_DAYS",
        default_value_t = 90,
        value_parser = clap::value_parser!(u64).range(8..=3650)
    )]
    pub retention_days: u64,
    /// Minutes that take the place of the retention and of the time for which repeats of a command
    /// are recognised, so that a soak of an hour is longer than both.
    #[cfg(feature = "soak")]
    #[arg(long, env = "MILLRACE_RETENTION_MINUTES")]
    pub retention_minutes: Option<u64>,
    /// Address of /metrics, /livez and /readyz; not for the outside.
    #[arg(long, env = "MILLRACE_INTERNAL", default_value = "127.0.0.1:9100")]
    pub internal: SocketAddr,
    /// The mail server, `smtp://` or `smtps://` (TLS); without it no mail is sent. Only the
    /// notification service uses it.
    #[arg(long, env = "MILLRACE_SMTP_URL", hide_env_values = true)]
    pub smtp_url: Option<SecretString>,
    /// The sender of mail.
    #[arg(
        long,
        env = "MILLRACE_MAIL_FROM",
        default_value = "Millrace <no-reply@millrace.invalid>"
    )]
    pub mail_from: String,
}

impl Config {
    /// Reads arguments and environment. If a setting is wrong, it prints why and ends the process
    /// with exit code 64 (0 for `--help` and `--version`).
    pub fn from_env() -> Self {
        settings::parse()
    }

    /// How long processors remember what is finished.
    pub fn retention(&self) -> Duration {
        self.soak_retention().unwrap_or(Duration::from_secs(self.retention_days * 24 * 3600))
    }

    /// The retention of a soak, which is also its horizon for repeats of commands.
    pub(crate) fn soak_retention(&self) -> Option<Duration> {
        #[cfg(feature = "soak")]
        return self.retention_minutes.map(|minutes| Duration::from_secs(minutes * 60));
        #[cfg(not(feature = "soak"))]
        None
    }

    /// The interval between commits; `None` if the service chooses it.
    pub fn commit_interval(&self) -> Option<Duration> {
        self.commit_interval_ms.map(Duration::from_millis)
    }
}
