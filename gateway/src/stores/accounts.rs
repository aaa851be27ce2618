//! Users, sessions and credentials from PostgreSQL.

use futures_util::FutureExt;
use uuid::Uuid;

use super::{Stores, failed, shape};
use crate::reads::{AccountReads, Credential, Read, User};

impl AccountReads for Stores {
    fn user(&self, id: Uuid) -> Read<'_, Option<User>> {
        async move {
            let row = self
                .postgres
                .user(id)
                .await
                .map_err(failed("a user"))?
                .filter(|row| row.is_active());
            Ok(row.map(shape::user))
        }
        .boxed()
    }

    fn session_began(&self, session_id: Uuid) -> Read<'_, Option<i64>> {
        async move {
            let row = self.postgres.session(session_id).await.map_err(failed("a session"))?;
            Ok(row.map(|row| row.started_at))
        }
        .boxed()
    }

    fn credential_by_email<'a>(
        &'a self,
        email_fingerprint: &'a str,
    ) -> Read<'a, Option<Credential>> {
        async move {
            let row =
                self.postgres.login(email_fingerprint).await.map_err(failed("a credential"))?;
            Ok(row.and_then(shape::credential))
        }
        .boxed()
    }

    fn credential(&self, user_id: Uuid) -> Read<'_, Option<Credential>> {
        async move {
            let row = self.postgres.credential(user_id).await.map_err(failed("a credential"))?;
            Ok(row.and_then(shape::credential))
        }
        .boxed()
    }
}
