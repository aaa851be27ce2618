//! Loads and stores rows of `users` and `sessions`. It knows no event.

use deadpool_postgres::Transaction;
use schemas::user::Role;
use tokio_postgres::{Error, types::ToSql};
use uuid::Uuid;

use super::rows::{Rows, Session, User};
use crate::postgres::error::storable;

/// The word of `words` that equals `text`. A constraint of the table allows no other text.
fn one_of(text: &str, words: &[&'static str]) -> &'static str {
    words.iter().find(|word| **word == text).copied().unwrap_or(words[0])
}

/// Loads the rows of users and of their sessions.
pub(super) async fn load(transaction: &Transaction<'_>, ids: &[Uuid]) -> Result<Rows, Error> {
    let mut rows = Rows::default();
    let sql = "SELECT user_id, email, email_fingerprint, email_since, name, role, status, version,
             registered_at, ended_at
         FROM users WHERE user_id = ANY($1)";
    let statement = transaction.prepare_cached(sql).await?;
    for row in transaction.query(&statement, &[&ids]).await? {
        let user = User {
            email: row.get(1),
            email_fingerprint: row.get(2),
            email_since: row.get(3),
            name: row.get(4),
            role: one_of(row.get(5), &[Role::User.as_str(), Role::Admin.as_str()]),
            status: one_of(row.get(6), &["registering", "active", "refused", "deactivated"]),
            version: row.get(7),
            registered_at: row.get(8),
            ended_at: row.get(9),
        };
        rows.users.insert(row.get(0), user);
    }
    let sql =
        "SELECT session_id, user_id, generation, refresh_hash, started_at, refreshed_at, expires_at
         FROM sessions WHERE user_id = ANY($1)";
    let statement = transaction.prepare_cached(sql).await?;
    for row in transaction.query(&statement, &[&ids]).await? {
        let session = Session {
            user_id: row.get(1),
            generation: row.get(2),
            refresh_hash: row.get(3),
            started_at: row.get(4),
            refreshed_at: row.get(5),
            expires_at: row.get(6),
        };
        rows.sessions.insert(row.get(0), session);
    }
    Ok(rows)
}

/// All rows as one array for each column.
macro_rules! column {
    ($rows:expr, $row:ident => $value:expr) => {
        &$rows.values().map(|$row| $value).collect::<Vec<_>>() as &(dyn ToSql + Sync)
    };
}

/// Writes all rows, one statement for each table.
pub(super) async fn store(transaction: &Transaction<'_>, rows: &Rows) -> Result<(), Error> {
    let users = &rows.users;
    let sql = "INSERT INTO users (user_id, email, email_fingerprint, email_since, name, role,
                   status, version, registered_at, ended_at)
               SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::text[],
                   $6::text[], $7::text[], $8::bigint[], $9::bigint[], $10::bigint[])
               ON CONFLICT (user_id) DO UPDATE SET email = excluded.email,
                   email_fingerprint = excluded.email_fingerprint,
                   email_since = excluded.email_since, name = excluded.name, role = excluded.role,
                   status = excluded.status, version = excluded.version,
                   registered_at = excluded.registered_at, ended_at = excluded.ended_at";
    let statement = transaction.prepare_cached(sql).await?;
    let ids: Vec<Uuid> = users.keys().copied().collect();
    let columns = [
        &ids,
        column!(users, row => storable(&row.email)),
        column!(users, row => row.email_fingerprint.as_deref().map(storable)),
        column!(users, row => row.email_since),
        column!(users, row => storable(&row.name)),
        column!(users, row => row.role),
        column!(users, row => row.status),
        column!(users, row => row.version),
        column!(users, row => row.registered_at),
        column!(users, row => row.ended_at),
    ];
    transaction.execute(&statement, &columns).await?;

    let sessions = &rows.sessions;
    if !sessions.is_empty() {
        let sql = "INSERT INTO sessions (session_id, user_id, generation, refresh_hash, started_at,
                       refreshed_at, expires_at)
                   SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::int[], $4::text[],
                       $5::bigint[], $6::bigint[], $7::bigint[])
                   ON CONFLICT (session_id) DO UPDATE SET generation = excluded.generation,
                       refresh_hash = excluded.refresh_hash, refreshed_at = excluded.refreshed_at";
        let statement = transaction.prepare_cached(sql).await?;
        let ids: Vec<Uuid> = sessions.keys().copied().collect();
        let columns = [
            &ids,
            column!(sessions, row => row.user_id),
            column!(sessions, row => row.generation),
            column!(sessions, row => storable(&row.refresh_hash)),
            column!(sessions, row => row.started_at),
            column!(sessions, row => row.refreshed_at),
            column!(sessions, row => row.expires_at),
        ];
        transaction.execute(&statement, &columns).await?;
    }
    if !rows.ended.is_empty() {
        transaction
            .execute("DELETE FROM sessions WHERE session_id = ANY($1)", &[&rows.ended])
            .await?;
    }
    Ok(())
}
