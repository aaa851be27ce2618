//! Users and their sessions. A user who was deactivated or refused leaves no personal data here.
//!
//! - `rows`: folds events into rows
//! - `sql`: loads and stores the rows of a batch
//! - `reads`: what the gateway reads

mod reads;
mod rows;
mod sql;

use deadpool_postgres::Transaction;
use schemas::{Codec, Message as _, Schema, user};
use uuid::Uuid;

pub use reads::{SessionRow, UserRow};

use super::{
    error::failed,
    model::{Model, Removal},
};
use crate::{
    StoreError,
    event::{Event, events},
    projection::{Batch, Retention},
    redis::{Redis, publish_views},
};

/// How long a session stays after it has expired: clocks differ.
const EXPIRED_MS: i64 = 24 * 3_600_000;

/// The projection.
pub(crate) struct Users {
    redis: Redis,
}

impl Users {
    /// The projection that notifies over `redis`.
    pub(crate) fn new(redis: &Redis) -> Self {
        Self { redis: redis.clone() }
    }
}

impl Model for Users {
    const WRITING: &'static str = "writing users";
    const REMOVES_VERSIONS: bool = true;
    type Changes<'a> = Vec<Event<'a, user::Event>>;
    type Written = ();

    fn name(&self) -> &'static str {
        "users"
    }

    fn topics(&self) -> &'static [&'static str] {
        &["user.events"]
    }

    fn schemas() -> &'static [&'static Schema] {
        user::Event::schemas()
    }

    fn erasure(&self) -> Vec<&'static str> {
        vec!["DELETE FROM sessions", "DELETE FROM users"]
    }

    fn decode<'a>(
        batches: &[Batch<'a>],
        codec: &Codec,
    ) -> Result<Vec<Event<'a, user::Event>>, StoreError> {
        events(batches, codec)
    }

    async fn write(
        &self,
        transaction: &Transaction<'_>,
        events: &Self::Changes<'_>,
    ) -> Result<(), StoreError> {
        let failed = failed(Self::WRITING);
        let ids: Vec<Uuid> = events.iter().filter_map(|event| event.key.parse().ok()).collect();
        let mut rows = sql::load(transaction, &ids).await.map_err(&failed)?;
        for event in events {
            rows.apply(event)?;
        }
        sql::store(transaction, &rows).await.map_err(&failed)
    }

    fn committed(&self, events: &Self::Changes<'_>, (): ()) {
        publish_views(&self.redis, "user", events.iter().map(|event| (event.key, event.version)));
    }

    /// Expired sessions, and users without personal data whom the processor has forgotten too. The
    /// row of a user stays while it says that a credential is to be removed.
    fn removals(retention: Retention) -> Vec<Removal> {
        let sessions = "DELETE FROM sessions WHERE session_id IN
                            (SELECT session_id FROM sessions
                             WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)";
        let users = "DELETE FROM users WHERE user_id IN
                         (SELECT user_id FROM users
                          WHERE ended_at < $1 AND NOT EXISTS
                              (SELECT FROM credentials WHERE user_id = users.user_id)
                          ORDER BY ended_at LIMIT $2)";
        let sessions = Removal { sql: sessions, before_ms: retention.now_ms - EXPIRED_MS };
        let users = retention.before_ms.map(|before_ms| Removal { sql: users, before_ms });
        [sessions].into_iter().chain(users).collect()
    }
}
