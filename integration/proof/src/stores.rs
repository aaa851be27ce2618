//! E: what the read models hold, against the fold of the events; asked of the stores themselves,
//! not through the code that writes them. Positions are watched while faults happen: they never go
//! back. Redis' are not, because it may be emptied.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use futures_util::TryStreamExt;
use mongodb::bson::{Document, doc};
use redis::AsyncCommands;
use schemas::{notification, order, stock, user};
use tokio_postgres::NoTls;
use uuid::Uuid;

use crate::ledger::{Damage, Ledger, Violation};

/// How often positions are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Where the stores are.
#[derive(Clone)]
pub struct Stores {
    /// PostgreSQL's URL.
    pub postgres: String,
    /// MongoDB's URL.
    pub mongo: String,
    /// Redis' URL.
    pub redis: String,
}

/// Notes in PostgreSQL itself what must never happen there, so that none is missed between two
/// looks.
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

/// A field of all documents that a filter finds.
async fn texts(
    collection: &mongodb::Collection<Document>,
    filter: Document,
    field: &str,
) -> anyhow::Result<Vec<String>> {
    let found: Vec<Document> =
        collection.find(filter).projection(doc! { field: 1 }).await?.try_collect().await?;
    Ok(found
        .iter()
        .filter_map(|document| document.get_str(field).ok())
        .map(str::to_owned)
        .collect())
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

    /// How many notifications to registered users have a mail that is asked for and neither sent
    /// nor given up. Mails to others are tried again for minutes, whatever the mail server does.
    ///
    /// # Errors
    /// When MongoDB does not answer.
    pub async fn mails_requested(&self) -> anyhow::Result<u64> {
        let mongo = self.mongo().await?;
        let (notifications, recipients) =
            (mongo.collection("notifications"), mongo.collection("recipients"));
        let users = texts(&notifications, doc! { "mail": "requested" }, "user_id").await?;
        let registered = doc! { "_id": { "$in": &users }, "email": { "$ne": null } };
        let registered: HashSet<_> =
            texts(&recipients, registered, "_id").await?.into_iter().collect();
        Ok(users.iter().filter(|user| registered.contains(*user)).count() as u64)
    }

    async fn redis(&self) -> anyhow::Result<redis::aio::MultiplexedConnection> {
        let connecting = redis::Client::open(&*self.redis)?;
        let connecting = connecting.get_multiplexed_async_connection();
        Ok(tokio::time::timeout(Duration::from_secs(2), connecting).await??)
    }

    /// Prepares PostgreSQL to note positions that go back.
    ///
    /// # Errors
    /// When it does not answer or refuses.
    pub async fn audit(&self) -> anyhow::Result<()> {
        Ok(self.postgres().await?.batch_execute(AUDIT).await?)
    }

    /// Where the projection of outcomes stands, partition by partition.
    ///
    /// # Errors
    /// When PostgreSQL does not answer.
    pub async fn outcomes_at(&self) -> anyhow::Result<Vec<i64>> {
        let sql = "SELECT coalesce(next, 0) FROM positions WHERE projection = 'outcomes' ORDER BY partition";
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

    /// Compares the stores with the ledger.
    pub async fn compare(&self, ledger: &Ledger) -> anyhow::Result<Vec<Violation>> {
        let mut broken = Vec::new();
        let torn = |what: String| Violation::new('E', Damage::Torn, what);
        let postgres = self.postgres().await.context("PostgreSQL")?;
        let rows = postgres.query("SELECT command_id, verdict, version FROM outcomes", &[]).await?;
        let stored: HashMap<Uuid, (String, i64)> =
            rows.iter().map(|row| (row.get(0), (row.get(1), row.get(2)))).collect();
        for (id, told) in &ledger.outcomes {
            let first = told
                .outcomes
                .first()
                .map(|outcome| (outcome.verdict.as_str().to_owned(), outcome.version));
            if stored.get(id) != first.as_ref() {
                broken.push(torn(format!(
                    "outcome {id}: PostgreSQL has {:?}, the topic {first:?}",
                    stored.get(id)
                )));
            }
        }
        let rows = postgres.query("SELECT user_id, status, version FROM users", &[]).await?;
        let stored: HashMap<String, (String, i64)> = rows
            .iter()
            .map(|row| (row.get::<_, Uuid>(0).to_string(), (row.get(1), row.get(2))))
            .collect();
        for (id, (version, state)) in &ledger.users.aggregates {
            let last = ledger.users.events.get(id).and_then(|events| events.last());
            let status = match state {
                _ if matches!(last, Some(user::Event::RegistrationRefused(_))) => "refused",
                Some(user::State::Registering(_)) => "registering",
                Some(user::State::Active(_)) => "active",
                Some(user::State::Deactivated(_)) => "deactivated",
                None => "refused",
            };
            if stored.get(id) != Some(&(status.to_owned(), *version)) {
                broken.push(torn(format!(
                    "user {id}: PostgreSQL has {:?}, the events {status} {version}",
                    stored.get(id)
                )));
            }
        }
        let mongo = self.mongo().await?;
        let stored = documents(&mongo, "orders").await.context("MongoDB")?;
        for (id, (version, state)) in &ledger.orders.aggregates {
            let status = match state {
                Some(order::State::Placed(_)) => "placed",
                Some(order::State::Confirmed(_)) => "confirmed",
                Some(order::State::Rejected(_)) => "rejected",
                Some(order::State::Cancelled(_)) => "cancelled",
                None => continue,
            };
            let found = stored.get(id).map(|found| {
                (found.get_str("status").unwrap_or_default(), number(found, "version"))
            });
            if found != Some((status, Some(*version))) {
                broken.push(torn(format!(
                    "order {id}: MongoDB has {found:?}, the events {status} {version}"
                )));
            }
        }
        let stored = documents(&mongo, "products").await.context("MongoDB")?;
        for (sku, (version, state)) in &ledger.stock.aggregates {
            let Some(stock::State::Product(product)) = state else { continue };
            let found =
                stored.get(sku).map(|found| (number(found, "free"), number(found, "version")));
            if found != Some((Some(product.free), Some(*version))) {
                broken.push(torn(format!(
                    "product {sku}: MongoDB has {found:?}, the events {} {version}",
                    product.free
                )));
            }
        }
        broken.extend(self.compare_redis(ledger).await.context("Redis")?);
        Ok(broken)
    }

    async fn compare_redis(&self, ledger: &Ledger) -> anyhow::Result<Vec<Violation>> {
        let mut broken = Vec::new();
        let torn = |what: String| Violation::new('E', Damage::Torn, what);
        let mut redis = self.redis().await?;
        let mut pipe = redis::pipe();
        let products: Vec<_> =
            ledger.stock.aggregates.iter().filter(|(_, (_, state))| state.is_some()).collect();
        for (sku, _) in &products {
            pipe.hget(format!("product:{sku}"), "json");
        }
        let stored: Vec<Option<String>> = pipe.query_async(&mut redis).await?;
        for ((sku, (version, state)), json) in products.into_iter().zip(stored) {
            let Some(stock::State::Product(product)) = state else { continue };
            let found: Option<serde_json::Value> =
                json.as_deref().map(serde_json::from_str).transpose()?;
            let found = found.map(|found| (found["free"].as_i64(), found["version"].as_i64()));
            if found != Some((Some(product.free), Some(*version))) {
                let folded = format!("the events {} {version}", product.free);
                broken.push(torn(format!("product {sku}: Redis has {found:?}, {folded}")));
            }
        }
        let mut unread: BTreeMap<Uuid, i64> = BTreeMap::new();
        for event in ledger.notifications.events.values().flatten() {
            match event {
                notification::Event::NotificationRaised(raised) => {
                    *unread.entry(raised.user_id).or_default() += 1
                }
                notification::Event::NotificationRead(read) => {
                    *unread.entry(read.user_id).or_default() -= 1
                }
                _ => {}
            }
        }
        if unread.is_empty() {
            return Ok(broken);
        }
        let keys: Vec<_> = unread.keys().map(|user| format!("unread:{user}")).collect();
        let stored: Vec<Option<i64>> = redis.mget(&keys).await?;
        for ((user, counted), stored) in unread.into_iter().zip(stored) {
            if stored.unwrap_or(0) != counted {
                broken.push(torn(format!(
                    "unread of {user}: Redis has {stored:?}, the events {counted}"
                )));
            }
        }
        Ok(broken)
    }

    async fn positions(&self) -> anyhow::Result<BTreeMap<String, i64>> {
        let mut positions = BTreeMap::new();
        let mongo = self.mongo().await?;
        for (id, document) in documents(&mongo, "positions").await? {
            positions.extend(number(&document, "next").map(|next| (id, next)));
        }
        Ok(positions)
    }

    /// Watches the positions in MongoDB until the watch is ended.
    pub fn watch(&self) -> Watch {
        let (stores, seen) = (self.clone(), Arc::new(Seen::default()));
        let shared = seen.clone();
        tokio::spawn(async move {
            while !shared.end.load(Ordering::Relaxed) {
                // A store that is away has no position to look at.
                if let Ok(positions) = stores.positions().await {
                    shared.add(positions);
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        });
        Watch { stores: self.clone(), seen }
    }
}

#[derive(Default)]
struct Seen {
    end: AtomicBool,
    state: Mutex<(BTreeMap<String, i64>, Vec<Violation>)>,
}

impl Seen {
    fn add(&self, positions: BTreeMap<String, i64>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, broken) = &mut *state;
        for (place, next) in positions {
            if let Some(before) = last.insert(place.clone(), next).filter(|before| *before > next) {
                broken.push(Violation::new(
                    'E',
                    Damage::Torn,
                    format!("{place} went back from {before} to {next}"),
                ));
            }
        }
    }
}

/// A watch on the positions.
pub struct Watch {
    stores: Stores,
    seen: Arc<Seen>,
}

impl Watch {
    /// Ends it: the positions that went back, of PostgreSQL all, of MongoDB those that were seen
    /// to.
    ///
    /// # Errors
    /// When PostgreSQL does not answer.
    pub async fn end(self) -> anyhow::Result<Vec<Violation>> {
        self.seen.end.store(true, Ordering::Relaxed);
        let mut broken = self.seen.state.lock().unwrap_or_else(PoisonError::into_inner).1.clone();
        let postgres = self.stores.postgres().await.context("PostgreSQL")?;
        for row in postgres.query("DELETE FROM proof_went_back RETURNING what", &[]).await? {
            broken.push(Violation::new('E', Damage::Torn, row.get::<_, String>(0)));
        }
        Ok(broken)
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
