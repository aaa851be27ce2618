//! The stores as the gateway's [`Reads`]: users, credentials, outcomes, statistics, traces and the
//! operator's desk from PostgreSQL; orders, products and notifications from MongoDB; hot products,
//! unread counts, notices of outcomes and the live stream from Redis. Each part of the trait has a
//! file. It never writes to a store.

mod accounts;
mod copied;
mod desk;
mod live;
mod shape;
mod shop;
mod traces;

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

use copied::Copied;

use crate::{
    cache::Cache,
    health::{self, Cause, Health},
    reads::{Notice, Read, ReadError, Reads, StreamItem, StreamScope, ViewNotice},
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
    /// The best sellers of each width, by minute and by hour.
    best_sellers: [Arc<Copied<Vec<postgres::Seller>>>; 2],
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
            best_sellers: Default::default(),
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
    fn outcome(&self, command: Uuid) -> Read<'_, Option<Outcome>> {
        async move { self.postgres.outcome(command).await.map_err(failed("an outcome")) }.boxed()
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
            let [by_minute, by_hour] = &self.best_sellers;
            let (width, best_sellers) = match by {
                By::Minute => (postgres::Width::Minute, by_minute),
                By::Hour => (postgres::Width::Hour, by_hour),
            };
            let (now_ms, reads) = (time::now_ms(), self.postgres.clone());
            let windows = self.postgres.windows(width, now_ms).await;
            let windows = windows.map_err(failed("statistics"))?;
            let read = move || async move { reads.best_sellers(width, now_ms).await };
            let best_sellers = best_sellers.get(read).await;
            let view = postgres::StatisticsView { windows, best_sellers };
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
