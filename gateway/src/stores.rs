//! The projections as the gateway's [`Reads`]: which store is asked for what. PostgreSQL for people and outcomes,
//! MongoDB for orders, products and the inbox, Redis for what is hot and for what happens right now.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::{
    FutureExt, StreamExt,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use projections::{
    StoreError,
    mongo::{self, Mongo},
    postgres::{self, LoginRow, Postgres},
    redis::{self, Live, LiveBatch, LiveEntry, Notices, Positions, Redis},
    views,
};
use schemas::Outcome;
use secrecy::SecretString;
use serde_json::json;
use uuid::Uuid;

use crate::{
    auth::Role,
    reads::{
        Credential, Cursor, Happened, Health, Line, Notification, Order, Page, Product, Read, ReadError,
        Reads, Seen, User, Watch,
    },
    time,
};

/// Connections to PostgreSQL.
const POSTGRES_MAX: usize = 16;
/// One look at the live stream; ends early when something comes.
const LOOK: Duration = Duration::from_secs(10);
/// After a failed one.
const PAUSE: Duration = Duration::from_secs(1);
/// For a store to say that it is there.
const PING_MAX: Duration = Duration::from_secs(2);

/// The stores.
pub struct Stores {
    postgres: postgres::Reads,
    mongo: mongo::Reads,
    redis: redis::Reads,
    notices: Notices,
    live: Live,
}

impl Stores {
    /// The stores at these URLs; connects when they are needed.
    ///
    /// # Errors
    /// When a URL is malformed.
    pub async fn new(
        postgres_url: &str,
        postgres_password: Option<&SecretString>,
        mongo_url: &str,
        redis_url: &str,
    ) -> Result<Self, StoreError> {
        let redis = Redis::new(redis_url)?;
        let notices = Notices::start(&redis);
        Ok(Self {
            postgres: postgres::Reads::new(Postgres::with_password(
                postgres_url,
                postgres_password,
                POSTGRES_MAX,
            )?),
            mongo: mongo::Reads::new(Mongo::new(mongo_url).await?),
            live: Live::new(redis.clone(), notices.clone()),
            redis: redis::Reads::new(redis),
            notices,
        })
    }

    /// Waits until PostgreSQL has accepted the gateway's credentials.
    ///
    /// # Errors
    /// When it refuses them.
    pub async fn prove_credentials(&self) -> Result<(), StoreError> {
        loop {
            match self.postgres.ping().await {
                Ok(()) => return Ok(()),
                Err(error @ StoreError::Credentials { .. }) => return Err(error),
                Err(error) => tracing::warn!(%error, "waiting for PostgreSQL"),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// A product as Redis has it, or nothing: what it can't say, MongoDB can.
    async fn hot(&self, sku: &str) -> Option<views::Product> {
        self.redis.product(sku).await.unwrap_or_else(|error| {
            tracing::debug!(%error, "a hot product could not be read");
            None
        })
    }
}

fn failed(what: &'static str) -> impl Fn(StoreError) -> ReadError {
    move |error| ReadError { what, why: error.to_string() }
}

fn role(role: schemas::user::Role) -> Role {
    match role {
        schemas::user::Role::User => Role::User,
        schemas::user::Role::Admin => Role::Admin,
    }
}

fn credential(row: LoginRow) -> Option<Credential> {
    row.active.then(|| Credential {
        user_id: row.user_id,
        role: role(row.role),
        password_hash: row.password_hash,
        credential_version: row.credential_version,
    })
}

fn order(order: views::Order) -> Order {
    let line = |line: views::Line| Line {
        sku: line.sku,
        quantity: line.quantity,
        unit_price_minor: line.unit_price_minor,
    };
    Order {
        id: order.id,
        user_id: order.user_id,
        status: order.status,
        lines: order.lines.into_iter().map(line).collect(),
        total_minor: order.total_minor,
        currency: order.currency,
        reason: order.reason,
        placed_at: time::text(order.placed_at),
        version: order.version,
    }
}

fn product(product: views::Product) -> Product {
    Product {
        sku: product.sku,
        name: product.name,
        price_minor: product.price_minor,
        currency: product.currency,
        available: product.free,
        version: product.version,
    }
}

fn notification(notification: views::Notification) -> Notification {
    Notification {
        id: notification.id,
        user_id: notification.user_id,
        kind: notification.kind,
        title: notification.title,
        body: notification.body,
        order_id: notification.order_id,
        read: notification.read_at.is_some(),
        raised_at: time::text(notification.raised_at),
        mail: notification.mail,
        version: notification.version,
    }
}

fn page<T, U, C: ToString>(page: views::Page<T, C>, each: impl Fn(T) -> U) -> Page<U> {
    Page { items: page.items.into_iter().map(each).collect(), next: page.next.map(|next| next.to_string()) }
}

impl Reads for Stores {
    fn user(&self, id: Uuid) -> Read<'_, Option<User>> {
        async move {
            let row = self.postgres.user(id).await.map_err(failed("a user"))?.filter(|row| row.is_active());
            Ok(row.map(|row| User {
                id: row.user_id,
                email: row.email,
                name: row.name,
                role: role(row.role),
                version: row.version,
            }))
        }
        .boxed()
    }

    fn credential_by_email<'a>(&'a self, email_fingerprint: &'a str) -> Read<'a, Option<Credential>> {
        async move {
            let row = self.postgres.login(email_fingerprint).await.map_err(failed("a credential"))?;
            Ok(row.and_then(credential))
        }
        .boxed()
    }

    fn credential(&self, user_id: Uuid) -> Read<'_, Option<Credential>> {
        async move {
            let row = self.postgres.credential(user_id).await.map_err(failed("a credential"))?;
            Ok(row.and_then(credential))
        }
        .boxed()
    }

    fn outcome(&self, command: Uuid) -> Read<'_, Option<Outcome>> {
        async move { self.postgres.outcome(command).await.map_err(failed("an outcome")) }.boxed()
    }

    fn notice(&self, command: Uuid) -> BoxFuture<'_, BoxFuture<'static, ()>> {
        let mut notice = self.notices.subscribe(command);
        std::future::ready(async move { notice.wait().await }.boxed()).boxed()
    }

    fn version<'a>(&'a self, aggregate: &'a str, id: &'a str) -> Read<'a, Option<i64>> {
        async move {
            let what = "a version";
            let uuid = Uuid::parse_str(id);
            let version = match (aggregate, uuid) {
                ("user", Ok(id)) => self.postgres.user_version(id).await,
                ("order", Ok(id)) => self.mongo.order_version(id).await,
                ("notification", Ok(id)) => self.mongo.notification_version(id).await,
                ("stock", _) => {
                    let (held, hot) = tokio::join!(self.mongo.product_version(id), self.hot(id));
                    // A product is read from either, so both must hold it.
                    held.map(|held| held.map(|held| hot.map_or(held, |hot| hot.version.min(held))))
                }
                _ => Ok(None),
            };
            version.map_err(failed(what))
        }
        .boxed()
    }

    fn products<'a>(&'a self, after: Option<&'a str>, limit: usize) -> Read<'a, Page<Product>> {
        async move {
            let found = self.mongo.products(after, limit).await.map_err(failed("products"))?;
            Ok(page(found, product))
        }
        .boxed()
    }

    fn product<'a>(&'a self, sku: &'a str) -> Read<'a, Option<Product>> {
        async move {
            let found = match self.hot(sku).await {
                Some(hot) => Some(hot),
                None => self.mongo.product(sku).await.map_err(failed("a product"))?,
            };
            Ok(found.map(product))
        }
        .boxed()
    }

    fn orders(&self, user_id: Uuid, cursor: Option<Cursor>, limit: usize) -> Read<'_, Page<Order>> {
        async move {
            let found = self.mongo.orders(user_id, cursor, limit).await.map_err(failed("orders"))?;
            Ok(page(found, order))
        }
        .boxed()
    }

    fn order(&self, id: Uuid) -> Read<'_, Option<Order>> {
        async move { Ok(self.mongo.order(id).await.map_err(failed("an order"))?.map(order)) }.boxed()
    }

    fn history(&self, order_id: Uuid) -> Read<'_, Vec<Happened>> {
        async move {
            let found = self.mongo.order_history(order_id).await.map_err(failed("an order's history"))?;
            let event = |event: views::Happened| Happened {
                version: event.version,
                kind: event.kind,
                at: time::text(event.at),
                data: event.data,
            };
            Ok(found.unwrap_or_default().into_iter().map(event).collect())
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
            Ok(page(found.map_err(failed("notifications"))?, notification))
        }
        .boxed()
    }

    fn unread(&self, user_id: Uuid) -> Read<'_, Option<i64>> {
        async move { self.redis.unread(user_id).await.map_err(failed("unread notifications")) }.boxed()
    }

    fn notification(&self, id: Uuid) -> Read<'_, Option<Notification>> {
        async move {
            Ok(self.mongo.notification(id).await.map_err(failed("a notification"))?.map(notification))
        }
        .boxed()
    }

    fn watch(&self, watch: Watch, position: Option<String>) -> Read<'_, BoxStream<'static, Seen>> {
        async move {
            let end = self.live.end().await.map_err(failed("the live stream"))?;
            let (positions, first) = match position.map(|position| position.parse::<Positions>()) {
                None => {
                    let position = end.to_string();
                    (end, Some(Seen::Begin { position }))
                }
                Some(Ok(positions)) if issued(&positions, &end) => (positions, None),
                // What the client knows is unknown: no gateway has given this position out, or the log has been lost
                // since.
                Some(_) => {
                    let position = end.to_string();
                    (end, Some(Seen::Reset { position }))
                }
            };
            let live = Arc::new(self.live.clone());
            let batches = stream::unfold(positions, move |positions| {
                let live = live.clone();
                async move {
                    let batch = loop {
                        match live.read(&positions, LOOK).await {
                            Ok(batch) => break batch,
                            Err(error) => tracing::warn!(%error, "the live stream could not be read"),
                        }
                        tokio::time::sleep(PAUSE).await;
                    };
                    let seen = shown(watch, positions, &batch);
                    Some((stream::iter(seen), batch.positions))
                }
            });
            Ok(stream::iter(first).chain(batches.flatten()).boxed())
        }
        .boxed()
    }

    fn health(&self) -> BoxFuture<'_, Health> {
        async {
            async fn within(answer: impl Future<Output = Result<(), StoreError>>) -> Result<(), String> {
                match tokio::time::timeout(PING_MAX, answer).await {
                    Ok(answer) => answer.map_err(|error| error.to_string()),
                    Err(_) => Err("no answer".to_owned()),
                }
            }
            let (postgres, mongo, redis) = tokio::join!(
                within(self.postgres.ping()),
                within(self.mongo.ping()),
                within(self.redis.ping())
            );
            Health::from([("postgres", postgres), ("mongo", mongo), ("redis", redis)])
        }
        .boxed()
    }
}

/// Whether a gateway can have given out `positions`: no partition is one that the stream does not have, and none is
/// ahead of it.
fn issued(positions: &Positions, end: &Positions) -> bool {
    let offsets = |positions: &Positions| -> BTreeMap<(String, String), i64> {
        let text = positions.to_string();
        let topics = text.split(';').filter_map(|topic| topic.split_once(':'));
        let partitions = topics.flat_map(|(topic, partitions)| {
            partitions.split(',').filter_map(move |partition| {
                let (partition, next) = partition.split_once('=')?;
                Some(((topic.to_owned(), partition.to_owned()), next.parse().ok()?))
            })
        });
        partitions.collect()
    };
    let end = offsets(end);
    offsets(positions).iter().all(|(partition, next)| end.get(partition).is_some_and(|end| next <= end))
}

/// What a watcher may see of a batch. Each event has the position after it, so that a client that comes back misses
/// none and sees none twice.
fn shown(watch: Watch, mut positions: Positions, batch: &LiveBatch) -> Vec<Seen> {
    let mut seen = Vec::new();
    if batch.reset {
        positions = batch.positions.clone();
        seen.push(Seen::Reset { position: positions.to_string() });
    }
    for entry in &batch.entries {
        positions.pass(entry);
        let data = match watch {
            Watch::Own(user) if entry.owner == Some(user) => &entry.data,
            Watch::Own(_) => continue,
            Watch::All => &entry.masked,
        };
        seen.push(Seen::Event {
            position: positions.to_string(),
            kind: entry.kind.clone(),
            data: event(entry, data),
        });
    }
    seen
}

fn event(entry: &LiveEntry, data: &serde_json::Value) -> serde_json::Value {
    json!({
        "id": entry.id,
        "type": entry.kind,
        "aggregate": entry.topic.split('.').next().unwrap_or_default(),
        "key": entry.key,
        "version": entry.version,
        "at": time::text(entry.at),
        "data": data,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(offset: i64, owner: Option<Uuid>) -> LiveEntry {
        LiveEntry {
            topic: "user.events".into(),
            partition: 0,
            offset,
            id: String::new(),
            kind: "NameChanged".into(),
            key: "k".into(),
            owner,
            version: 1,
            at: 0,
            data: json!({ "name": "Ada" }),
            masked: json!({ "name": "***" }),
        }
    }

    #[test]
    fn a_position_ahead_of_the_stream_or_of_another_partition_was_never_issued() {
        let at = |text: &str| text.parse::<Positions>().expect("positions");
        let end = at("order.events:0=17,1=0;user.events:3=4");
        for fine in ["order.events:0=17,1=0;user.events:3=4", "order.events:0=3", ""] {
            assert!(issued(&at(fine), &end), "{fine}");
        }
        for wrong in [
            "order.events:0=18,1=0;user.events:3=4",
            "order.events:0=17,1=9223372036854775807",
            "order.events:2=0",
            "order.events:-1=0",
            "stock.events:0=0",
        ] {
            assert!(!issued(&at(wrong), &end), "{wrong}");
        }
        assert!(!issued(&at("order.events:0=1"), &at("")), "the stream has been lost");
    }

    #[test]
    fn users_see_their_own_and_admins_all_but_names() {
        let ada = Uuid::from_u128(1);
        let entries = vec![entry(4, Some(ada)), entry(5, Some(Uuid::from_u128(2))), entry(6, None)];
        let batch = LiveBatch { entries, ..LiveBatch::default() };

        let own = shown(Watch::Own(ada), Positions::default(), &batch);
        let all = shown(Watch::All, Positions::default(), &batch);

        let [Seen::Event { position, data, .. }] = own.as_slice() else { panic!("one event: {own:?}") };
        assert_eq!((position.as_str(), &data["data"]["name"]), ("user.events:0=5", &json!("Ada")));
        assert_eq!(all.len(), 3);
        assert!(!format!("{all:?}").contains("Ada"));
    }
}
