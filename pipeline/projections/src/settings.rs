//! How every program reaches the brokers, the registry and the stores. Passwords, and URLs, which
//! may hold one, are never printed. It opens no connection before a client needs one.

use redpanda::{
    brokers::BrokerSettings, registry::RegistrySettings, settings::SettingError,
    spans::SpanSettings, tls::Tls, tls::TlsSettings,
};
use schemas::chain;
use secrecy::{ExposeSecret as _, SecretString};

use crate::{StoreError, mongo::Mongo, postgres::Postgres, redis::Redis};

/// The settings of all connections, the same for every program.
#[derive(Clone, Debug, clap::Args)]
pub struct ConnectionSettings {
    /// The brokers.
    #[command(flatten)]
    pub brokers: BrokerSettings,
    /// The schema registry.
    #[command(flatten)]
    pub registry: RegistrySettings,
    /// The stores.
    #[command(flatten)]
    pub stores: StoreSettings,
    /// The authorities that TLS connections trust.
    #[command(flatten)]
    pub tls: TlsSettings,
    /// The collector of OpenTelemetry spans.
    #[command(flatten)]
    pub spans: SpanSettings,
}

/// The addresses of the stores. Each is a secret, as a URL may hold a password.
#[derive(Clone, Debug, clap::Args)]
pub struct StoreSettings {
    /// PostgreSQL, as a connection URL; `?sslmode=require` uses TLS.
    #[arg(
        long,
        env = "MILLRACE_POSTGRES_URL",
        default_value = "postgres://millrace@127.0.0.1:5432/millrace",
        hide_env_values = true
    )]
    pub postgres_url: SecretString,
    /// The password for PostgreSQL, which replaces that of the URL: any characters, no encoding.
    #[arg(long, env = "MILLRACE_POSTGRES_PASSWORD", hide_env_values = true)]
    pub postgres_password: Option<SecretString>,
    /// MongoDB, as a connection URL; the database is `millrace`, and `?tls=true` uses TLS.
    #[arg(
        long,
        env = "MILLRACE_MONGO_URL",
        default_value = "mongodb://127.0.0.1:27017",
        hide_env_values = true
    )]
    pub mongo_url: SecretString,
    /// Redis, as a connection URL; the scheme `rediss` uses TLS.
    #[arg(
        long,
        env = "MILLRACE_REDIS_URL",
        default_value = "redis://127.0.0.1:6379",
        hide_env_values = true
    )]
    pub redis_url: SecretString,
}

impl StoreSettings {
    /// Creates the clients of all stores, with up to `postgres_connections_max` connections to
    /// PostgreSQL. They connect when they are first used. Must be called on a Tokio runtime.
    ///
    /// # Errors
    /// When a URL is malformed.
    pub async fn open(
        &self,
        tls: &Tls,
        postgres_connections_max: usize,
    ) -> Result<Stores, SettingError> {
        let postgres = self.postgres(tls, postgres_connections_max)?;
        Ok(Stores { postgres, mongo: self.mongo(tls).await?, redis: self.redis(tls)? })
    }

    /// A pool of up to `connections_max` connections to PostgreSQL.
    ///
    /// # Errors
    /// When the URL is malformed.
    pub fn postgres(&self, tls: &Tls, connections_max: usize) -> Result<Postgres, SettingError> {
        let (url, password) = (self.postgres_url.expose_secret(), self.postgres_password.as_ref());
        Postgres::with_password(url, password, tls, connections_max)
            .map_err(naming("MILLRACE_POSTGRES_URL"))
    }

    /// The database in MongoDB.
    ///
    /// # Errors
    /// When the URL is malformed.
    pub async fn mongo(&self, tls: &Tls) -> Result<Mongo, SettingError> {
        let mongo = Mongo::with_tls(self.mongo_url.expose_secret(), tls).await;
        mongo.map_err(naming("MILLRACE_MONGO_URL"))
    }

    /// The connection to Redis. Must be called on a Tokio runtime.
    ///
    /// # Errors
    /// When the URL is malformed.
    pub fn redis(&self, tls: &Tls) -> Result<Redis, SettingError> {
        Redis::with_tls(self.redis_url.expose_secret(), tls).map_err(naming("MILLRACE_REDIS_URL"))
    }
}

fn naming(variable: &'static str) -> impl Fn(StoreError) -> SettingError {
    move |error| SettingError::Wrong { variable, why: chain(&error) }
}

/// The clients of all stores. Clones share their connections.
#[derive(Clone)]
pub struct Stores {
    /// Users, credentials, sessions, outcomes.
    pub postgres: Postgres,
    /// Orders, products, notifications, recipients.
    pub mongo: Mongo,
    /// Hot reads, notices of outcomes, the live stream.
    pub redis: Redis,
}

#[cfg(test)]
impl Stores {
    /// Clients that would connect to nothing.
    pub(crate) async fn for_tests() -> Self {
        Self {
            postgres: Postgres::new("postgres://millrace@127.0.0.1:1/millrace", 1).expect("a URL"),
            mongo: Mongo::new("mongodb://127.0.0.1:1").await.expect("a URL"),
            redis: Redis::new("redis://127.0.0.1:1").expect("a URL"),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        connections: ConnectionSettings,
    }

    #[tokio::test]
    async fn url_that_is_malformed_names_its_variable_and_not_the_password() {
        let with = |option: &str, url: &str| {
            let program = Program::try_parse_from(["program", option, url]).expect("arguments");
            program.connections.stores
        };
        let tls = Tls::default();
        let postgres = with("--postgres-url", "postgres://u:s3cr3t@here/db?sslmode=perhaps");
        let mongo = with("--mongo-url", "mongodb://u:s3cr3t@here/?tls=perhaps");
        let redis = with("--redis-url", "http://u:s3cr3t@here");
        let shown = format!("{postgres:?}{mongo:?}{redis:?}");
        let errors = [
            ("MILLRACE_POSTGRES_URL", postgres.postgres(&tls, 1).err()),
            ("MILLRACE_MONGO_URL", mongo.mongo(&tls).await.err()),
            ("MILLRACE_REDIS_URL", redis.redis(&tls).err()),
        ];
        assert!(!shown.contains("s3cr3t"), "{shown}");
        for (variable, error) in errors {
            let error = error.expect(variable).to_string();
            assert!(error.starts_with(variable) && !error.contains("s3cr3t"), "{error}");
        }
    }
}
