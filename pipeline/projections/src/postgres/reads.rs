//! What the gateway reads from PostgreSQL. Never writes.

use schemas::{Outcome, Verdict, user::Role};
use tokio_postgres::Row;
use uuid::Uuid;

use super::{Postgres, failed};
use crate::{StoreError, deadline::READ_MAX};

/// A user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserRow {
    /// The user's id.
    pub user_id: Uuid,
    /// The e-mail address; empty once deactivated.
    pub email: String,
    /// The name; empty once deactivated.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// `registering`, `active`, `refused` or `deactivated`.
    pub status: String,
    /// Its version.
    pub version: i64,
    /// When they were registered, or began to be.
    pub registered_at: i64,
}

impl UserRow {
    /// Whether they can log in.
    pub fn is_active(&self) -> bool {
        self.status == "active"
    }
}

/// What a log-in is checked against.
#[derive(Clone, PartialEq, Eq)]
pub struct LoginRow {
    /// Whose it is.
    pub user_id: Uuid,
    /// What they may do.
    pub role: Role,
    /// The password's hash, as a PHC string.
    pub password_hash: String,
    /// Which password of theirs it is.
    pub credential_version: i32,
    /// Whether they can log in.
    pub active: bool,
}

impl std::fmt::Debug for LoginRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoginRow")
            .field("user_id", &self.user_id)
            .field("credential_version", &self.credential_version)
            .field("active", &self.active)
            .finish_non_exhaustive()
    }
}

/// A living session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRow {
    /// The session's id.
    pub session_id: Uuid,
    /// Whose it is.
    pub user_id: Uuid,
    /// How often it was refreshed.
    pub generation: i32,
    /// When it was started.
    pub started_at: i64,
    /// When it was last refreshed.
    pub refreshed_at: i64,
    /// When it ends.
    pub expires_at: i64,
}

/// Reads users, credentials, sessions and outcomes. Clones share the pool.
#[derive(Clone)]
pub struct Reads {
    postgres: Postgres,
}

impl Reads {
    /// Reads over these connections.
    pub fn new(postgres: Postgres) -> Self {
        Self { postgres }
    }

    /// Whether the server answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.postgres.ping().await
    }

    /// A user, at whatever stage of life.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn user(&self, user_id: Uuid) -> Result<Option<UserRow>, StoreError> {
        let sql = "SELECT user_id, email, name, role, status, version, registered_at FROM users WHERE user_id = $1";
        let row = self.one("reading a user", sql, user_id).await?;
        Ok(row.map(|row| UserRow {
            user_id: row.get(0),
            email: row.get(1),
            name: row.get(2),
            role: role(row.get(3)),
            status: row.get(4),
            version: row.get(5),
            registered_at: row.get(6),
        }))
    }

    /// The version of a user, if there is one.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn user_version(&self, user_id: Uuid) -> Result<Option<i64>, StoreError> {
        let row = self
            .one("reading a user", "SELECT version FROM users WHERE user_id = $1", user_id)
            .await?;
        Ok(row.map(|row| row.get(0)))
    }

    /// What a log-in with this address is checked against.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn login(&self, email_fingerprint: &str) -> Result<Option<LoginRow>, StoreError> {
        // Two users can stand here with one address while the release of the former is still on its
        // way: the later wins.
        let sql =
            "SELECT u.user_id, u.role, c.password_hash, c.credential_version, u.status = 'active'
                   FROM users u JOIN credentials c USING (user_id)
                   WHERE u.email_fingerprint = $1 ORDER BY u.email_since DESC LIMIT 1";
        Ok(self.one("reading a log-in", sql, email_fingerprint).await?.map(|row| login(&row)))
    }

    /// What a user's password is checked against.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn credential(&self, user_id: Uuid) -> Result<Option<LoginRow>, StoreError> {
        let sql =
            "SELECT u.user_id, u.role, c.password_hash, c.credential_version, u.status = 'active'
                   FROM users u JOIN credentials c USING (user_id) WHERE u.user_id = $1";
        Ok(self.one("reading a credential", sql, user_id).await?.map(|row| login(&row)))
    }

    /// A living session.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn session(&self, session_id: Uuid) -> Result<Option<SessionRow>, StoreError> {
        let sql = "SELECT session_id, user_id, generation, started_at, refreshed_at, expires_at
                   FROM sessions WHERE session_id = $1";
        Ok(self.one("reading a session", sql, session_id).await?.map(|row| SessionRow {
            session_id: row.get(0),
            user_id: row.get(1),
            generation: row.get(2),
            started_at: row.get(3),
            refreshed_at: row.get(4),
            expires_at: row.get(5),
        }))
    }

    /// What became of a command, once that is known.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn outcome(&self, command_id: Uuid) -> Result<Option<Outcome>, StoreError> {
        let sql = "SELECT command_id, command_type, verdict, code, detail, aggregate, aggregate_id, version,
                          principal, fingerprint, decided_at FROM outcomes WHERE command_id = $1";
        Ok(self.one("reading an outcome", sql, command_id).await?.map(|row| Outcome {
            command_id: row.get(0),
            command_type: row.get(1),
            verdict: verdict(row.get(2)),
            code: row.get(3),
            detail: row.get(4),
            aggregate: row.get(5),
            aggregate_id: row.get(6),
            version: row.get(7),
            principal: row.get(8),
            fingerprint: row.get(9),
            decided_at: row.get(10),
        }))
    }

    async fn one(
        &self,
        doing: &'static str,
        sql: &str,
        key: impl tokio_postgres::types::ToSql + Sync,
    ) -> Result<Option<Row>, StoreError> {
        let reading = async {
            let client = self.postgres.get().await?;
            let statement = client.prepare_cached(sql).await.map_err(failed(doing))?;
            client.query_opt(&statement, &[&key]).await.map_err(failed(doing))
        };
        self.postgres.within(READ_MAX, doing, reading).await
    }
}

fn login(row: &Row) -> LoginRow {
    LoginRow {
        user_id: row.get(0),
        role: role(row.get(1)),
        password_hash: row.get(2),
        credential_version: row.get(3),
        active: row.get(4),
    }
}

/// The table's constraint allows no third word.
fn role(text: &str) -> Role {
    if text == Role::Admin.as_str() { Role::Admin } else { Role::User }
}

fn verdict(text: &str) -> Verdict {
    match text {
        "ACCEPTED" => Verdict::Accepted,
        "REFUSED" => Verdict::Refused,
        _ => Verdict::Failed,
    }
}
