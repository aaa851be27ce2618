//! Invariant E: what the read models hold, against the fold of the events. It asks the stores
//! themselves, not the code that writes them.

mod compare;
mod letters;
mod models;
mod statistics;
mod traces;
mod watch;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use futures_util::TryStreamExt;
use mongodb::bson::{Document, doc};
use tokio_postgres::NoTls;

pub use watch::Watch;

/// The addresses of the stores.
#[derive(Clone)]
pub struct Stores {
    /// PostgreSQL's URL.
    pub postgres: String,
    /// MongoDB's URL.
    pub mongo: String,
    /// Redis' URL.
    pub redis: String,
}

/// A trigger that records in PostgreSQL every position that goes back, so that none is missed
/// between two checks.
const AUDIT: &str = "
CREATE TABLE IF NOT EXISTS proof_went_back (what text NOT NULL);
CREATE OR REPLACE FUNCTION proof_went_back() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO proof_went_back VALUES (format('%s %s[%s] went back from %s (epoch %s) to %s (epoch %s)',
        NEW.projection, NEW.topic, NEW.partition, OLD.next, OLD.epoch, NEW.next, NEW.epoch));
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER proof_went_back AFTER UPDATE ON positions FOR EACH ROW
    WHEN (NEW.next < OLD.next OR NEW.epoch < OLD.epoch OR (NEW.next IS NULL AND OLD.next IS NOT NULL))
    EXECUTE FUNCTION proof_went_back();";

/// Reads the `_id` and a field of all documents that match a filter.
async fn texts(
    collection: &mongodb::Collection<Document>,
    filter: Document,
    field: &str,
) -> anyhow::Result<Vec<(String, String)>> {
    let found: Vec<Document> =
        collection.find(filter).projection(doc! { field: 1 }).await?.try_collect().await?;
    let texts = |document: &Document| {
        let text = |field| document.get_str(field).ok().map(str::to_owned);
        Some((text("_id")?, text(field)?))
    };
    Ok(found.iter().filter_map(texts).collect())
}

impl Stores {
    async fn postgres(&self) -> anyhow::Result<tokio_postgres::Client> {
        let connecting = tokio_postgres::connect(&self.postgres, NoTls);
        let (client, connection) =
            tokio::time::timeout(Duration::from_secs(2), connecting).await??;
        tokio::spawn(connection);
        Ok(client)
    }

    async fn mongo(&self) -> anyhow::Result<mongodb::Database> {
        let mut options = mongodb::options::ClientOptions::parse(&self.mongo).await?;
        options.server_selection_timeout = Some(Duration::from_secs(2));
        Ok(mongodb::Client::with_options(options)?.database("millrace"))
    }

    async fn redis(&self) -> anyhow::Result<redis::aio::MultiplexedConnection> {
        let connecting = redis::Client::open(&*self.redis)?;
        let connecting = connecting.get_multiplexed_async_connection();
        Ok(tokio::time::timeout(Duration::from_secs(2), connecting).await??)
    }

    /// The notifications to registered users whose mail is requested, and neither sent nor failed.
    /// Mails to other users are retried for minutes, whatever the mail server does.
    ///
    /// # Errors
    /// When MongoDB does not answer.
    pub async fn mails_waiting(&self) -> anyhow::Result<HashSet<String>> {
        let mongo = self.mongo().await?;
        let (notifications, recipients) =
            (mongo.collection("notifications"), mongo.collection("recipients"));
        let requested = texts(&notifications, doc! { "mail": "requested" }, "user_id").await?;
        let registered = texts(&recipients, doc! { "email": { "$ne": null } }, "email").await?;
        let registered: HashSet<_> = registered.into_iter().map(|(user, _)| user).collect();
        let waiting = requested.into_iter().filter(|(_, user)| registered.contains(user));
        Ok(waiting.map(|(notification, _)| notification).collect())
    }

    /// Creates the trigger that records positions that go back.
    ///
    /// # Errors
    /// When it does not answer or refuses.
    pub async fn audit(&self) -> anyhow::Result<()> {
        Ok(self.postgres().await?.batch_execute(AUDIT).await?)
    }

    /// The positions of the projection of the order service's outcomes, by partition.
    ///
    /// # Errors
    /// When PostgreSQL does not answer.
    pub async fn outcomes_at(&self) -> anyhow::Result<Vec<i64>> {
        let sql = "SELECT coalesce(next, 0) FROM positions WHERE projection = 'order-outcomes'
                   ORDER BY partition";
        let rows = self.postgres().await?.query(sql, &[]).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// Empties Redis.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn empty_redis(&self) -> anyhow::Result<()> {
        Ok(redis::cmd("FLUSHALL").query_async(&mut self.redis().await?).await?)
    }
}

async fn documents(
    mongo: &mongodb::Database,
    collection: &str,
) -> anyhow::Result<HashMap<String, Document>> {
    let found: Vec<Document> =
        mongo.collection(collection).find(doc! {}).await?.try_collect().await?;
    Ok(found
        .into_iter()
        .map(|document| (document.get_str("_id").unwrap_or_default().to_owned(), document))
        .collect())
}

fn number(document: &Document, field: &str) -> Option<i64> {
    document.get_i64(field).ok().or_else(|| document.get_i32(field).ok().map(i64::from))
}
