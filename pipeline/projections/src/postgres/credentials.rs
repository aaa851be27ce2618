//! Credentials: the newest password hash of each user, deleted with its tombstone. It checks no
//! password.

use std::collections::BTreeMap;

use deadpool_postgres::Transaction;
use schemas::{Codec, Message as _, Schema, user::Credential, user::Role};
use tokio_postgres::Row;
use uuid::Uuid;

use super::{
    error::{failed, storable},
    model::{Model, Removal},
    reads::{Reads, role},
};
use crate::{
    StoreError,
    event::{key, message, records, unfit},
    projection::{Batch, Retention},
};

/// How long the log keeps a tombstone at least (`delete.retention.ms` of compacted topics). A
/// projector that was behind for longer, or whose table was restored from an older backup, may have
/// missed it.
const TOMBSTONE_MS: i64 = 7 * 24 * 3_600_000;

/// The projection. Its topic is compacted: there are no versions that follow each other, and the
/// newest record of a key counts.
pub(crate) struct Credentials;

impl Model for Credentials {
    const WRITING: &'static str = "writing credentials";
    /// The newest record of each user; `None` is a tombstone.
    type Changes<'a> = BTreeMap<Uuid, Option<Credential>>;
    type Written = ();

    fn name(&self) -> &'static str {
        "credentials"
    }

    fn topics(&self) -> &'static [&'static str] {
        &["user.credentials"]
    }

    fn schemas() -> &'static [&'static Schema] {
        Credential::schemas()
    }

    fn erasure(&self) -> Vec<&'static str> {
        vec!["DELETE FROM credentials"]
    }

    fn decode(
        batches: &[Batch<'_>],
        codec: &Codec,
    ) -> Result<BTreeMap<Uuid, Option<Credential>>, StoreError> {
        let mut newest = BTreeMap::new();
        for record in records(batches) {
            let user_id =
                key(record)?.parse().map_err(|_| unfit(record, "expected a user id as its key"))?;
            newest.insert(user_id, message(record, codec)?);
        }
        Ok(newest)
    }

    async fn write(
        &self,
        transaction: &Transaction<'_>,
        newest: &Self::Changes<'_>,
    ) -> Result<(), StoreError> {
        let failed = failed(Self::WRITING);
        let mut deleted = Vec::new();
        let (mut ids, mut hashes, mut versions, mut times) = (vec![], vec![], vec![], vec![]);
        for (user_id, credential) in newest {
            let Some(credential) = credential else {
                deleted.push(*user_id);
                continue;
            };
            ids.push(*user_id);
            hashes.push(storable(&credential.password_hash));
            versions.push(credential.credential_version);
            times.push(credential.changed_at);
        }
        if !ids.is_empty() {
            let sql =
                "INSERT INTO credentials (user_id, password_hash, credential_version, changed_at)
                 SELECT * FROM unnest($1::uuid[], $2::text[], $3::int[], $4::bigint[])
                 ON CONFLICT (user_id) DO UPDATE SET password_hash = excluded.password_hash,
                     credential_version = excluded.credential_version,
                     changed_at = excluded.changed_at";
            let statement = transaction.prepare_cached(sql).await.map_err(&failed)?;
            transaction
                .execute(&statement, &[&ids, &hashes, &versions, &times])
                .await
                .map_err(&failed)?;
        }
        if !deleted.is_empty() {
            let sql = "DELETE FROM credentials WHERE user_id = ANY($1)";
            transaction.execute(sql, &[&deleted]).await.map_err(&failed)?;
        }
        Ok(())
    }

    /// Credentials of users who have left, whose tombstone was missed. A credential without a row
    /// of its user stays, because in a rebuild it may come first; and so does one that is newer
    /// than the user's end, because the row is behind.
    fn removals(retention: Retention) -> Vec<Removal> {
        let sql = "DELETE FROM credentials WHERE user_id IN
                       (SELECT user_id FROM users JOIN credentials USING (user_id)
                        WHERE ended_at < $1 AND changed_at <= ended_at
                        ORDER BY ended_at LIMIT $2)";
        vec![Removal { sql, before_ms: retention.now_ms - TOMBSTONE_MS }]
    }
}

/// What a log-in is checked against.
#[derive(Clone, PartialEq, Eq)]
pub struct LoginRow {
    /// The user.
    pub user_id: Uuid,
    /// The user's role.
    pub role: Role,
    /// The password's hash, as a PHC string.
    pub password_hash: String,
    /// The number of the user's password, from 1.
    pub credential_version: i32,
    /// Whether the user can log in.
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

impl Reads {
    /// The credential that a log-in with this address is checked against.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn login(&self, email_fingerprint: &str) -> Result<Option<LoginRow>, StoreError> {
        // Two users have one address here until the release by the former one has arrived: the
        // later claim wins.
        let sql =
            "SELECT u.user_id, u.role, c.password_hash, c.credential_version, u.status = 'active'
             FROM users u JOIN credentials c USING (user_id)
             WHERE u.email_fingerprint = $1 ORDER BY u.email_since DESC LIMIT 1";
        Ok(self.one("reading a log-in", sql, email_fingerprint).await?.map(|row| login(&row)))
    }

    /// The credential that a user's password is checked against.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn credential(&self, user_id: Uuid) -> Result<Option<LoginRow>, StoreError> {
        let sql =
            "SELECT u.user_id, u.role, c.password_hash, c.credential_version, u.status = 'active'
             FROM users u JOIN credentials c USING (user_id) WHERE u.user_id = $1";
        Ok(self.one("reading a credential", sql, user_id).await?.map(|row| login(&row)))
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
