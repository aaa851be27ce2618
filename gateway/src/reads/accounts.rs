//! Users, their sessions and their credentials, as the gateway reads them.

use serde::Serialize;
use uuid::Uuid;

use crate::{answers::Read, auth::Role};

/// A user.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct User {
    /// The user's id.
    pub id: Uuid,
    /// The e-mail address.
    pub email: String,
    /// The name.
    pub name: String,
    /// The user's role.
    pub role: Role,
    /// The aggregate's version.
    pub version: i64,
}

/// What a password is verified against.
#[derive(Clone, Debug, PartialEq)]
pub struct Credential {
    /// The user.
    pub user_id: Uuid,
    /// The user's role.
    pub role: Role,
    /// The password's hash, as a PHC string.
    pub password_hash: String,
    /// The number of the user's password, from 1.
    pub credential_version: i32,
}

/// The part of [`super::Reads`] that knows accounts.
pub trait AccountReads: Send + Sync {
    /// A user; `None` also for a deactivated one.
    fn user(&self, id: Uuid) -> Read<'_, Option<User>>;
    /// When a living session began, in milliseconds.
    fn session_began(&self, session_id: Uuid) -> Read<'_, Option<i64>>;
    /// The credential of the user with this address.
    fn credential_by_email<'a>(
        &'a self,
        email_fingerprint: &'a str,
    ) -> Read<'a, Option<Credential>>;
    /// The credential of this user.
    fn credential(&self, user_id: Uuid) -> Read<'_, Option<Credential>>;
}
