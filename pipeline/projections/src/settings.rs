//! Where the stores are, for every program that uses them. Passwords and URLs, which may hold one,
//! are never shown.

use redpanda::{settings::SettingError, tls::Tls};
use secrecy::{ExposeSecret as _, SecretString};

use crate::{StoreError, mongo::Mongo, postgres::Postgres, redis::Redis};

/// The stores' addresses. Each is a secret, as a URL may hold a password.
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
    /// Redis, as a connection URL; `rediss` as its scheme uses TLS.
    #[arg(
        long,
        env = "MILLRACE_REDIS_URL",
        default_value = "redis://127.0.0.1:6379",
        hide_env_values = true
    )]
    pub redis_url: SecretString,
}

impl StoreSettings {
    /// A pool of up to `connections_max` connections to PostgreSQL.
    ///
    /// # Errors
    /// When the URL is malformed.
    pub fn postgres(&self, tls: &Tls, connections_max: usize) -> Result<Postgres, SettingError> {
        let (url, password) = (self.postgres_url.expose_secret(), self.postgres_password.as_ref());
        Postgres::with_password(url, password, tls, connections_max)
            .map_err(about("MILLRACE_POSTGRES_URL"))
    }

    /// MongoDB.
    ///
    /// # Errors
    /// When the URL is malformed.
    pub async fn mongo(&self, tls: &Tls) -> Result<Mongo, SettingError> {
        let mongo = Mongo::over(self.mongo_url.expose_secret(), tls).await;
        mongo.map_err(about("MILLRACE_MONGO_URL"))
    }

    /// Redis. To be called on a Tokio runtime.
    ///
    /// # Errors
    /// When the URL is malformed.
    pub fn redis(&self, tls: &Tls) -> Result<Redis, SettingError> {
        Redis::over(self.redis_url.expose_secret(), tls).map_err(about("MILLRACE_REDIS_URL"))
    }
}

fn about(variable: &'static str) -> impl Fn(StoreError) -> SettingError {
    move |error| SettingError::Wrong { variable, why: error.to_string() }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        stores: StoreSettings,
    }

    #[tokio::test]
    async fn url_that_is_no_url_of_its_store_names_the_variable_and_not_the_password() {
        let with = |option: &str, url: &str| {
            Program::try_parse_from(["program", option, url]).expect("arguments").stores
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
