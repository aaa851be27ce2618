//! The stores as the gateway's [`Reads`]: users, credentials, outcomes, statistics, traces and the
//! operator's desk from PostgreSQL; orders, products and notifications from MongoDB; hot products,
//! unread counts, notices of outcomes and the live stream from Redis. It never writes to a
//! store.

mod desk;
mod live;
mod shape;

use std::{sync::Arc, time::Duration};

use futures_util::{FutureExt, future::BoxFuture, stream::BoxStream};
use projections::{
    StoreError, mongo, postgres,
    progress::WhoApplied,
    redis::{self, Live, Notices, Tracked, Tracking},
    settings::StoreSettings,
    views,
};
use redpanda::{settings::SettingError, tls::Tls};
use schemas::{Outcome, chain};
use tokio::sync::watch;
use uuid::Uuid;

use crate::{
    cache::Cache,
    health::{self, Cause, Health},
    reads::{
        Applied, Credential, Cursor, HistoryEntry, Notice, Notification, Order, Page, Product,
        Read, ReadError, Reads, StreamItem, StreamScope, TraceEntry, User, ViewNotice,
    },
    record_place::RecordPlace,
    statistics::{By, Statistics},
    time,
};

/// Connections to PostgreSQL at most.
const POSTGRES_CONNECTIONS_MAX: usize = 16;
/// The pause between two attempts to connect to PostgreSQL at the start.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// How long a store may take to answer a health check.
const PING_TIMEOUT: Duration = Duration::from_secs(2);

/// The stores.
pub struct Stores {
    postgres: postgres::Reads,
    who_applied: WhoApplied,
    mongo: mongo::Reads,
    redis: redis::Reads,
    notices: Notices,
    live: Live,
}

impl Stores {
    /// The stores that the settings name. Connects to each when it is needed.
    ///
    /// # Errors
    /// Returns an error when a URL is malformed.
    pub async fn new(settings: &StoreSettings, tls: &Tls) -> Result<Self, SettingError> {
        let redis = settings.redis(tls)?;
        let notices = Notices::start(&redis);
        let all = projections::Stores {
            postgres: settings.postgres(tls, POSTGRES_CONNECTIONS_MAX)?,
            mongo: settings.mongo(tls).await?,
            redis: redis.clone(),
        };
        let postgres = postgres::Reads::new(all.postgres.clone());
        Ok(Self {
            who_applied: WhoApplied::new(&all, postgres.clone()),
            postgres,
            mongo: mongo::Reads::new(all.mongo),
            live: Live::new(redis.clone(), notices.clone()),
            redis: redis::Reads::new(redis),
            notices,
        })
    }

    /// Reports changes of hot products to `cache`, until the result is dropped.
    pub fn track(&self, cache: Arc<Cache>) -> Tracking {
        self.redis.track_products(move |tracked| match tracked {
            Tracked::Begun => cache.track(true),
            Tracked::Changed => cache.change(),
            Tracked::Lost => cache.track(false),
        })
    }

    /// Waits until PostgreSQL has accepted the gateway's credentials.
    ///
    /// # Errors
    /// Returns an error when PostgreSQL refuses them.
    pub async fn check_credentials(&self) -> Result<(), StoreError> {
        loop {
            match self.postgres.ping().await {
                Ok(()) => return Ok(()),
                Err(error @ StoreError::Credentials { .. }) => return Err(error),
                Err(error) => tracing::warn!(error = chain(&error), "waiting for PostgreSQL"),
            }
            tokio::time::sleep(RETRY_INTERVAL).await;
        }
    }

    /// A product from Redis; `None` when Redis does not hold it or does not answer, so that MongoDB
    /// has to be asked.
    async fn hot(&self, sku: &str) -> Option<views::Product> {
        self.redis.product(sku).await.unwrap_or_else(|error| {
            tracing::debug!(error = chain(&error), "a hot product could not be read");
            None
        })
    }
}

fn failed(what: &'static str) -> impl Fn(StoreError) -> ReadError {
    move |error| ReadError::new(what, error)
}

async fn answered(ping: impl Future<Output = Result<(), StoreError>>) -> Result<(), Cause> {
    match tokio::time::timeout(PING_TIMEOUT, ping).await {
        Ok(answer) => answer.map_err(health::cause),
        Err(_) => Err(health::cause("no answer")),
    }
}

impl Reads for Stores {
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

    fn outcome(&self, command: Uuid) -> Read<'_, Option<Outcome>> {
        async move { self.postgres.outcome(command).await.map_err(failed("an outcome")) }.boxed()
    }

    fn trace(&self, commands: Vec<Uuid>) -> Read<'_, postgres::TraceView> {
        async move { self.postgres.trace(&commands).await.map_err(failed("a trace")) }.boxed()
    }

    fn cause<'a>(&'a self, place: &'a RecordPlace) -> Read<'a, Option<Uuid>> {
        async move {
            let RecordPlace { topic, partition, offset } = place;
            let found = self.postgres.cause(topic, *partition, *offset).await;
            found.map_err(failed("which command caused a record"))
        }
        .boxed()
    }

    fn applied<'a>(&'a self, entries: &'a [TraceEntry]) -> Read<'a, Vec<Vec<Applied>>> {
        async move {
            self.who_applied.applied(entries).await.map_err(failed("who has applied records"))
        }
        .boxed()
    }

    fn notice(&self, command: Uuid) -> Notice {
        // Subscribed here, not when the future is polled first: the caller writes in between.
        let mut notice = self.notices.subscribe(command);
        Box::pin(async move { notice.wait().await })
    }

    fn view_notice(&self, aggregate: &str, id: &str) -> Option<ViewNotice> {
        let mut notice = self.notices.subscribe_view(aggregate, id)?;
        Some(Box::new(move |version| async move { notice.reaches(version).await }.boxed()))
    }

    fn version<'a>(&'a self, aggregate: &'a str, id: &'a str) -> Read<'a, Option<i64>> {
        async move {
            let uuid = Uuid::parse_str(id);
            let version = match (aggregate, uuid) {
                ("user", Ok(id)) => self.postgres.user_version(id).await,
                ("order", Ok(id)) => self.mongo.order_version(id).await,
                ("notification", Ok(id)) => self.mongo.notification_version(id).await,
                ("stock", _) => {
                    let (held, hot) = tokio::join!(self.mongo.product_version(id), self.hot(id));
                    // A product is read from either store, so both must hold the version.
                    held.map(|held| held.map(|held| hot.map_or(held, |hot| hot.version.min(held))))
                }
                _ => Ok(None),
            };
            version.map_err(failed("a version"))
        }
        .boxed()
    }

    fn products<'a>(&'a self, after: Option<&'a str>, limit: usize) -> Read<'a, Page<Product>> {
        async move {
            let found = self.mongo.products(after, limit).await.map_err(failed("products"))?;
            Ok(shape::page(found, shape::product))
        }
        .boxed()
    }

    fn product<'a>(&'a self, sku: &'a str) -> Read<'a, Option<Product>> {
        async move {
            let found = match self.hot(sku).await {
                Some(hot) => Some(hot),
                None => self.mongo.product(sku).await.map_err(failed("a product"))?,
            };
            Ok(found.map(shape::product))
        }
        .boxed()
    }

    fn orders(&self, user_id: Uuid, cursor: Option<Cursor>, limit: usize) -> Read<'_, Page<Order>> {
        async move {
            let found =
                self.mongo.orders(user_id, cursor, limit).await.map_err(failed("orders"))?;
            Ok(shape::page(found, shape::order))
        }
        .boxed()
    }

    fn order(&self, id: Uuid) -> Read<'_, Option<Order>> {
        async move { Ok(self.mongo.order(id).await.map_err(failed("an order"))?.map(shape::order)) }
            .boxed()
    }

    fn history(&self, order_id: Uuid) -> Read<'_, Vec<HistoryEntry>> {
        async move {
            let found =
                self.mongo.order_history(order_id).await.map_err(failed("an order's history"))?;
            Ok(found.unwrap_or_default().into_iter().map(shape::history_entry).collect())
        }
        .boxed()
    }

    fn notifications(
        &self,
        user_id: Uuid,
        cursor: Option<Cursor>,
        limit: usize,
    ) -> Read<'_, Page<Notification>> {
        async move {
            let found = self.mongo.notifications(user_id, cursor, limit).await;
            Ok(shape::page(found.map_err(failed("notifications"))?, shape::notification))
        }
        .boxed()
    }

    fn unread(&self, user_id: Uuid) -> Read<'_, Option<i64>> {
        async move { self.redis.unread(user_id).await.map_err(failed("unread notifications")) }
            .boxed()
    }

    fn notification(&self, id: Uuid) -> Read<'_, Option<Notification>> {
        async move {
            let found = self.mongo.notification(id).await.map_err(failed("a notification"))?;
            Ok(found.map(shape::notification))
        }
        .boxed()
    }

    fn stream(
        &self,
        scope: StreamScope,
        position: Option<String>,
    ) -> Read<'_, BoxStream<'static, StreamItem>> {
        let items = live::items(self.live.clone(), scope, position);
        async move { items.await.map_err(failed("the live stream")) }.boxed()
    }

    fn statistics(&self, by: By) -> Read<'_, Statistics> {
        async move {
            let width = match by {
                By::Minute => postgres::Width::Minute,
                By::Hour => postgres::Width::Hour,
            };
            let now_ms = time::now_ms();
            let view = self.postgres.statistics(width, now_ms).await;
            let view = view.map_err(failed("statistics"))?;
            Ok(Statistics { by, first_ms: width.first_ms(now_ms), view })
        }
        .boxed()
    }

    fn statistics_changes(&self) -> watch::Receiver<u64> {
        self.notices.statistics()
    }

    fn health(&self) -> BoxFuture<'_, Health> {
        async {
            let (postgres, mongo, redis) = tokio::join!(
                answered(self.postgres.ping()),
                answered(self.mongo.ping()),
                answered(self.redis.ping())
            );
            Health::from([("postgres", postgres), ("mongo", mongo), ("redis", redis)])
        }
        .boxed()
    }
}
