//! Users and their sessions. Who has been deactivated or refused leaves no personal data behind
//! here.

use std::collections::BTreeMap;

use deadpool_postgres::Transaction;
use futures_util::future::BoxFuture;
use redpanda::log::TopicPartition;
use schemas::{
    Codec,
    user::{self, Role},
};
use tokio_postgres::{Error, types::ToSql};
use uuid::Uuid;

use super::{Postgres, failed, position, storable};
use crate::{
    StoreError,
    deadline::WRITE_MAX,
    projection::{Batch, Claim, Event, Projection, Retention, events, follows},
};

/// For how long an expired session stays: clocks differ.
const EXPIRED_MS: i64 = 24 * 3_600_000;

/// The projection.
pub(crate) struct Users {
    pub(crate) postgres: Postgres,
}

impl Projection for Users {
    fn name(&self) -> &'static str {
        "users"
    }

    fn topics(&self) -> &'static [&'static str] {
        &["user.events"]
    }

    fn prepare(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.postgres.migrate())
    }

    fn claim<'a>(&'a self, place: &'a TopicPartition) -> BoxFuture<'a, Result<Claim, StoreError>> {
        Box::pin(position::claim(&self.postgres, self.name(), place))
    }

    fn held<'a>(
        &'a self,
        place: &'a TopicPartition,
    ) -> BoxFuture<'a, Result<Option<Claim>, StoreError>> {
        Box::pin(position::held(&self.postgres, self.name(), place))
    }

    fn bury<'a>(
        &'a self,
        batch: &'a Batch<'a>,
        why: &'a str,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(position::bury(&self.postgres, self.name(), batch, why))
    }

    /// Expired sessions, and users without personal data whom the processor has forgotten too.
    fn remove(&self, retention: Retention) -> BoxFuture<'_, Result<usize, StoreError>> {
        let sessions = "DELETE FROM sessions WHERE session_id IN
                            (SELECT session_id FROM sessions WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)";
        let users = "DELETE FROM users WHERE user_id IN
                         (SELECT user_id FROM users WHERE ended_at < $1 ORDER BY ended_at LIMIT $2)";
        Box::pin(async move {
            let expired = self.postgres.remove(sessions, retention.now_ms - EXPIRED_MS).await?;
            let ended = self.postgres.remove(users, retention.before_ms()).await?;
            Ok(expired.max(ended))
        })
    }

    fn erase(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(position::erase(&self.postgres, self.name(), &["sessions", "users"]))
    }

    fn apply<'a>(
        &'a self,
        batch: &'a Batch<'a>,
        codec: &'a Codec,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        let writing = async move {
            let events = events::<user::Event>(batch, codec)?;
            let failed = failed("writing users");
            let mut client = self.postgres.get().await?;
            let transaction = client.transaction().await.map_err(&failed)?;
            position::advance(&transaction, self.name(), batch).await?;
            let ids: Vec<Uuid> = events.iter().filter_map(|event| event.key.parse().ok()).collect();
            let mut rows = load(&transaction, &ids).await.map_err(&failed)?;
            for event in events {
                rows.apply(&event)?;
            }
            store(&transaction, &rows).await.map_err(&failed)?;
            transaction.commit().await.map_err(&failed)
        };
        Box::pin(self.postgres.within(WRITE_MAX, "writing users", writing))
    }
}

/// A row of `users`.
#[derive(Clone, Debug, PartialEq)]
struct User {
    email: String,
    email_fingerprint: Option<String>,
    email_since: i64,
    name: String,
    role: &'static str,
    status: &'static str,
    version: i64,
    registered_at: i64,
    ended_at: Option<i64>,
}

/// A row of `sessions`.
#[derive(Clone, Debug, PartialEq)]
struct Session {
    user_id: Uuid,
    generation: i32,
    refresh_hash: String,
    started_at: i64,
    refreshed_at: i64,
    expires_at: i64,
}

/// The rows that a batch is about.
#[derive(Debug, Default)]
struct Rows {
    users: BTreeMap<Uuid, User>,
    sessions: BTreeMap<Uuid, Session>,
    ended: Vec<Uuid>,
}

const BLANK: User = User {
    email: String::new(),
    email_fingerprint: None,
    email_since: 0,
    name: String::new(),
    role: Role::User.as_str(),
    status: "registering",
    version: 0,
    registered_at: 0,
    ended_at: None,
};

impl User {
    /// Leaves nothing personal.
    fn forget(&mut self, status: &'static str, at: i64) {
        *self = Self {
            role: self.role,
            status,
            version: self.version,
            registered_at: self.registered_at,
            ended_at: Some(at),
            ..BLANK
        };
    }

    /// Whether an event begins a new life of a key that the processor had forgotten.
    fn begins_anew(&self, event: &Event<'_, user::Event>) -> bool {
        matches!(event.message, user::Event::RegistrationStarted(_))
            && event.version == 1
            && self.ended_at.is_some_and(|ended_at| ended_at < event.at)
    }
}

impl Rows {
    fn apply(&mut self, event: &Event<'_, user::Event>) -> Result<(), StoreError> {
        use user::Event as E;
        let user_id = user_id(&event.message);
        let row = self.users.entry(user_id).or_insert(BLANK);
        if row.begins_anew(event) {
            *row = BLANK;
        }
        if !follows("user", event.key, row.version, event.version)? {
            return Ok(());
        }
        row.version = event.version;
        match event.message.clone() {
            E::RegistrationStarted(started) => {
                let (email, name, role) = (started.email, started.name, started.role.as_str());
                *row = User { email, name, role, registered_at: started.started_at, ..row.clone() };
            }
            E::UserRegistered(registered) => {
                *row = User {
                    email: registered.email,
                    email_fingerprint: Some(registered.email_fingerprint),
                    email_since: event.at,
                    name: registered.name,
                    role: registered.role.as_str(),
                    status: "active",
                    registered_at: registered.registered_at,
                    ..row.clone()
                };
            }
            E::RegistrationRefused(_) => row.forget("refused", event.at),
            E::NameChanged(changed) => row.name = changed.name,
            E::EmailChanged(changed) => {
                let (email, fingerprint) = (changed.email, Some(changed.email_fingerprint));
                *row = User {
                    email,
                    email_fingerprint: fingerprint,
                    email_since: event.at,
                    ..row.clone()
                };
            }
            E::UserDeactivated(_) => {
                row.forget("deactivated", event.at);
                let sessions =
                    self.sessions.iter().filter(|(_, session)| session.user_id == user_id);
                self.ended.extend(sessions.map(|(id, _)| *id));
                self.sessions.retain(|_, session| session.user_id != user_id);
            }
            E::SessionStarted(started) => {
                let session = Session {
                    user_id,
                    generation: 0,
                    refresh_hash: started.refresh_hash,
                    started_at: started.started_at,
                    refreshed_at: started.started_at,
                    expires_at: started.expires_at,
                };
                self.sessions.insert(started.session_id, session);
            }
            E::SessionRefreshed(refreshed) => {
                if let Some(session) = self.sessions.get_mut(&refreshed.session_id) {
                    session.generation = refreshed.generation;
                    session.refresh_hash = refreshed.refresh_hash;
                    session.refreshed_at = refreshed.refreshed_at;
                }
            }
            E::SessionEnded(ended) => {
                self.sessions.remove(&ended.session_id);
                self.ended.push(ended.session_id);
            }
            E::EmailChangeStarted(_)
            | E::EmailChangeRefused(_)
            | E::PasswordChanged(_)
            | E::PasswordRehashed(_) => {}
        }
        Ok(())
    }
}

fn user_id(event: &user::Event) -> Uuid {
    use user::Event as E;
    match event {
        E::EmailChangeRefused(e) => e.user_id,
        E::EmailChangeStarted(e) => e.user_id,
        E::EmailChanged(e) => e.user_id,
        E::NameChanged(e) => e.user_id,
        E::PasswordChanged(e) => e.user_id,
        E::PasswordRehashed(e) => e.user_id,
        E::RegistrationRefused(e) => e.user_id,
        E::RegistrationStarted(e) => e.user_id,
        E::SessionEnded(e) => e.user_id,
        E::SessionRefreshed(e) => e.user_id,
        E::SessionStarted(e) => e.user_id,
        E::UserDeactivated(e) => e.user_id,
        E::UserRegistered(e) => e.user_id,
    }
}

fn one_of(text: &str, words: &[&'static str]) -> &'static str {
    words.iter().find(|word| **word == text).copied().unwrap_or(words[0])
}

async fn load(transaction: &Transaction<'_>, ids: &[Uuid]) -> Result<Rows, Error> {
    let mut rows = Rows::default();
    let sql =
        "SELECT user_id, email, email_fingerprint, email_since, name, role, status, version, registered_at, ended_at
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

/// Writes a column of all rows as one array.
macro_rules! column {
    ($rows:expr, $row:ident => $value:expr) => {
        &$rows.values().map(|$row| $value).collect::<Vec<_>>() as &(dyn ToSql + Sync)
    };
}

async fn store(transaction: &Transaction<'_>, rows: &Rows) -> Result<(), Error> {
    let users = &rows.users;
    let sql = "INSERT INTO users (user_id, email, email_fingerprint, email_since, name, role, status, version, registered_at, ended_at)
               SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[],
                                    $7::text[], $8::bigint[], $9::bigint[], $10::bigint[])
               ON CONFLICT (user_id) DO UPDATE SET email = excluded.email,
                   email_fingerprint = excluded.email_fingerprint, email_since = excluded.email_since,
                   name = excluded.name, role = excluded.role, status = excluded.status,
                   version = excluded.version, registered_at = excluded.registered_at, ended_at = excluded.ended_at";
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
        let sql = "INSERT INTO sessions
                       (session_id, user_id, generation, refresh_hash, started_at, refreshed_at, expires_at)
                   SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::int[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[])
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
