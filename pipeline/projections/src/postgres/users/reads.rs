//! What the gateway reads of users and sessions. Never writes.

use schemas::user::Role;
use uuid::Uuid;

use crate::{
    StoreError,
    postgres::reads::{Reads, role},
};

/// A user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserRow {
    /// The user's id.
    pub user_id: Uuid,
    /// The e-mail address; empty once deactivated.
    pub email: String,
    /// The name; empty once deactivated.
    pub name: String,
    /// The role.
    pub role: Role,
    /// `registering`, `active`, `refused` or `deactivated`.
    pub status: String,
    /// The version.
    pub version: i64,
    /// When the user was registered, or the registration began.
    pub registered_at: i64,
}

impl UserRow {
    /// Whether the user can log in.
    pub fn is_active(&self) -> bool {
        self.status == "active"
    }
}

/// A living session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRow {
    /// The session's id.
    pub session_id: Uuid,
    /// The user.
    pub user_id: Uuid,
    /// The number of refreshes.
    pub generation: i32,
    /// When it was started.
    pub started_at: i64,
    /// When it was last refreshed.
    pub refreshed_at: i64,
    /// When it ends.
    pub expires_at: i64,
}

impl Reads {
    /// A user in any status.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn user(&self, user_id: Uuid) -> Result<Option<UserRow>, StoreError> {
        let sql = "SELECT user_id, email, name, role, status, version, registered_at
                   FROM users WHERE user_id = $1";
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

    /// The version of a user.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn user_version(&self, user_id: Uuid) -> Result<Option<i64>, StoreError> {
        let sql = "SELECT version FROM users WHERE user_id = $1";
        let row = self.one("reading a user", sql, user_id).await?;
        Ok(row.map(|row| row.get(0)))
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
}
