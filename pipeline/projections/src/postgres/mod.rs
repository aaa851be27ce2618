//! PostgreSQL: users, sessions, credentials and outcomes. Rows and position change in one transaction.

mod credentials;
mod migrations;
mod outcomes;
mod position;
mod reads;
mod users;

use std::{str::FromStr, time::Duration};

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime};
use tokio_postgres::NoTls;

pub use reads::{LoginRow, Reads, SessionRow, UserRow};

use crate::{StoreError, projection::Projection, redis::Redis};

/// How long a connection, or a free one of the pool, is waited for.
const CONNECT_MAX: Duration = Duration::from_secs(2);
/// The server gives up a statement after this long.
const STATEMENT_MS_MAX: u32 = 10_000;
/// And ends a transaction in which nobody has said anything for so long: an owner that is paused, or whose machine is gone, holds
/// the rows of its positions, and whoever is to take over waits for them.
const SILENT_MS_MAX: u32 = 10_000;

/// A pool of connections. Clones share it.
#[derive(Clone)]
pub struct Postgres {
    pool: Pool,
}

impl Postgres {
    /// A pool of up to `connections_max` connections to the server at `url`; connects when they are needed.
    ///
    /// # Errors
    /// When the URL is malformed.
    pub fn new(url: &str, connections_max: usize) -> Result<Self, StoreError> {
        let doing = "reading the URL of PostgreSQL";
        let mut config =
            tokio_postgres::Config::from_str(url).map_err(|error| StoreError::failed(doing, error))?;
        if config.get_options().is_none() {
            config.options(format!(
                "-c statement_timeout={STATEMENT_MS_MAX} -c idle_in_transaction_session_timeout={SILENT_MS_MAX}"
            ));
        }
        config.connect_timeout(CONNECT_MAX);
        config.application_name("millrace");
        let manager = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let pool = Pool::builder(Manager::from_config(config, NoTls, manager))
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(CONNECT_MAX))
            .create_timeout(Some(CONNECT_MAX))
            .max_size(connections_max.max(1))
            .build()
            .map_err(|error| StoreError::failed("making a pool for PostgreSQL", error))?;
        Ok(Self { pool })
    }

    /// Brings the tables to this program's version. Idempotent; several instances may do it at once.
    ///
    /// # Errors
    /// When the server does not answer or refuses.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        migrations::run(&mut *self.get().await?).await
    }

    /// Whether the server answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.get().await?.simple_query("SELECT 1").await.map_err(failed("asking PostgreSQL"))?;
        Ok(())
    }

    /// Users and their sessions.
    pub(crate) fn users(&self) -> Box<dyn Projection> {
        Box::new(users::Users { postgres: self.clone() })
    }

    /// What passwords are checked against.
    pub(crate) fn credentials(&self) -> Box<dyn Projection> {
        Box::new(credentials::Credentials { postgres: self.clone() })
    }

    /// What became of commands; tells those who wait over `redis`.
    pub(crate) fn outcomes(&self, redis: &Redis) -> Box<dyn Projection> {
        Box::new(outcomes::Outcomes { postgres: self.clone(), redis: redis.clone() })
    }

    pub(crate) async fn get(&self) -> Result<Object, StoreError> {
        self.pool.get().await.map_err(|error| StoreError::failed("connecting to PostgreSQL", error))
    }
}

pub(crate) fn failed(doing: &'static str) -> impl Fn(tokio_postgres::Error) -> StoreError {
    move |error| StoreError::failed(doing, error)
}
