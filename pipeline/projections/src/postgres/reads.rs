//! The connection through which the gateway reads PostgreSQL. The reads of a table stand in the
//! file of its projection. Never writes.

use schemas::user::Role;
use tokio_postgres::{Row, types::ToSql};

use super::{error::failed, pool::Postgres};
use crate::{StoreError, deadline::READ_MAX};

/// Reads users, credentials, sessions, outcomes, statistics, and what operators see. Clones share
/// the pool.
#[derive(Clone)]
pub struct Reads {
    postgres: Postgres,
}

impl Reads {
    /// Reads through this pool.
    pub fn new(postgres: Postgres) -> Self {
        Self { postgres }
    }

    /// Checks that the server answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.postgres.ping().await
    }

    /// The first row that a query with one parameter returns.
    pub(super) async fn one(
        &self,
        doing: &'static str,
        sql: &str,
        key: impl ToSql + Sync,
    ) -> Result<Option<Row>, StoreError> {
        let reading = async {
            let client = self.postgres.get().await?;
            let statement = client.prepare_cached(sql).await.map_err(failed(doing))?;
            client.query_opt(&statement, &[&key]).await.map_err(failed(doing))
        };
        self.postgres.within(READ_MAX, doing, reading).await
    }

    /// All rows that a query returns. It bounds their number itself.
    pub(super) async fn all(
        &self,
        doing: &'static str,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, StoreError> {
        let reading = async {
            let client = self.postgres.get().await?;
            let statement = client.prepare_cached(sql).await.map_err(failed(doing))?;
            client.query(&statement, parameters).await.map_err(failed(doing))
        };
        self.postgres.within(READ_MAX, doing, reading).await
    }
}

/// A column `role`. The table's constraint allows no third value.
pub(super) fn role(text: &str) -> Role {
    if text == Role::Admin.as_str() { Role::Admin } else { Role::User }
}
