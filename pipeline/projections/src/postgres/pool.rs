//! The pool of connections. It bounds the wait for a connection, a statement and an answer.

use std::{
    str::FromStr,
    time::{Duration, Instant},
};

use deadpool_postgres::{
    Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime,
};
use redpanda::tls::Tls;
use schemas::chain;
use secrecy::{ExposeSecret as _, SecretString};
use tokio_postgres::{NoTls, config::SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{
    error::{failed, is_about_credentials},
    migrations,
};
use crate::{
    StoreError,
    deadline::{self, READ_MAX},
};

/// The wait for a connection, or for a free one of the pool.
pub(super) const CONNECT_MAX: Duration = Duration::from_secs(2);
/// The time after which the server cancels a statement.
const STATEMENT_MS_MAX: u32 = 10_000;
/// The time without a statement after which the server ends a transaction. An owner that is paused,
/// or whose machine is gone, locks the rows of its positions, and the next owner's claim waits for
/// them.
const SILENT_MS_MAX: u32 = 10_000;
/// The deadline of a migration as a whole. A step may rewrite a table or build an index of it, and
/// other instances wait meanwhile. What is not a step has the deadline of a write, see
/// `migrations.rs`.
const MIGRATE_MAX: Duration = Duration::from_secs(3600);
/// The time without an acknowledgement after which a connection counts as broken.
const SILENT_MAX: Duration = Duration::from_secs(10);

/// A pool of connections. Clones share it.
#[derive(Clone)]
pub struct Postgres {
    pool: Pool,
}

impl Postgres {
    /// A pool of up to `connections_max` connections to the server at `url`. It connects when a
    /// connection is first needed.
    ///
    /// # Errors
    /// When the URL is malformed.
    pub fn new(url: &str, connections_max: usize) -> Result<Self, StoreError> {
        Self::with_password(url, None, &Tls::default(), connections_max)
    }

    /// The same with a password that replaces that of the URL, in which some characters need an
    /// encoding. With `sslmode=require` in the URL, connections use `tls`.
    ///
    /// # Errors
    /// When the URL is malformed, or TLS can't be used.
    pub fn with_password(
        url: &str,
        password: Option<&SecretString>,
        tls: &Tls,
        connections_max: usize,
    ) -> Result<Self, StoreError> {
        let doing = "reading the URL of PostgreSQL";
        let mut config = tokio_postgres::Config::from_str(url)
            .map_err(|error| StoreError::failed(doing, error))?;
        if config.get_options().is_none() {
            config.options(format!(
                "-c statement_timeout={STATEMENT_MS_MAX} \
                 -c idle_in_transaction_session_timeout={SILENT_MS_MAX} \
                 -c client_min_messages=warning"
            ));
        }
        if let Some(password) = password {
            config.password(password.expose_secret());
        }
        config.connect_timeout(CONNECT_MAX);
        // They find out that the other end of an idle connection is gone.
        config.keepalives_idle(SILENT_MAX).keepalives_interval(CONNECT_MAX).keepalives_retries(3);
        config.tcp_user_timeout(SILENT_MAX);
        config.application_name("millrace");
        let manager = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = match config.get_ssl_mode() {
            SslMode::Require => {
                let rustls =
                    tls.client_config().map_err(|error| StoreError::failed(doing, error))?;
                Manager::from_config(config, MakeRustlsConnect::new(rustls), manager)
            }
            // The default, `prefer`, would encrypt although no setting asks for it.
            _ => Manager::from_config(config, NoTls, manager),
        };
        let pool = Pool::builder(manager)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(CONNECT_MAX))
            .create_timeout(Some(CONNECT_MAX))
            .max_size(connections_max.max(1))
            .build()
            .map_err(|error| StoreError::failed("making a pool for PostgreSQL", error))?;
        Ok(Self { pool })
    }

    /// Migrates the tables to this program's version. Idempotent; several instances may call it at
    /// once.
    ///
    /// # Errors
    /// When the server does not answer or refuses a statement.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        let migrating = async { migrations::run(&mut *self.get().await?).await };
        let migrated = deadline::within(MIGRATE_MAX, migrations::DOING, migrating).await;
        if migrated.is_err() {
            // It may have been late long before this deadline, as in `within`.
            self.pool.retain(|_, _| false);
        }
        migrated
    }

    /// Checks that the server answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        let doing = "asking PostgreSQL";
        let asking = async {
            self.get().await?.simple_query("SELECT 1").await.map_err(failed(doing))?;
            Ok(())
        };
        self.within(READ_MAX, doing, asking).await
    }

    /// Runs `work`, and returns an error if it has not ended within `at_most`. Then it closes every
    /// connection of the pool: one that has swallowed a request will swallow the next one too.
    pub(super) async fn within<T>(
        &self,
        at_most: Duration,
        doing: &'static str,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let begun = Instant::now();
        let done = deadline::within(at_most, doing, work).await;
        if done.is_err() && begun.elapsed() >= at_most {
            self.pool.retain(|_, _| false);
        }
        done
    }

    /// A connection of the pool.
    pub(super) async fn get(&self) -> Result<Object, StoreError> {
        self.pool.get().await.map_err(|error| {
            let refused = match &error {
                PoolError::Backend(error) => error.code().is_some_and(is_about_credentials),
                _ => false,
            };
            match refused {
                true => StoreError::Credentials { store: "PostgreSQL", why: chain(&error) },
                false => StoreError::failed("connecting to PostgreSQL", error),
            }
        })
    }
}
