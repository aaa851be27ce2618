//! The simulated accounts.

use gateway::reads::{AccountReads, Credential, Read, User};
use uuid::Uuid;

use crate::support::world::World;

impl AccountReads for World {
    fn user(&self, id: Uuid) -> Read<'_, Option<User>> {
        self.get(move |inner| inner.users.get(&id).cloned())
    }
    fn session_began(&self, session_id: Uuid) -> Read<'_, Option<i64>> {
        self.get(move |inner| inner.sessions.get(&session_id).copied())
    }
    fn credential_by_email<'a>(
        &'a self,
        email_fingerprint: &'a str,
    ) -> Read<'a, Option<Credential>> {
        self.get(move |inner| {
            inner.credentials.values().find(|(f, _)| f == email_fingerprint).map(|(_, c)| c.clone())
        })
    }
    fn credential(&self, user_id: Uuid) -> Read<'_, Option<Credential>> {
        self.get(move |inner| inner.credentials.get(&user_id).map(|(_, c)| c.clone()))
    }
}
