//! What the gateway reads from Redis, apart from streams and notices. Never writes: only the
//! projector fills this.

use redis::AsyncCommands;
use uuid::Uuid;

use super::{Redis, failed, positions_key, product_key, unread_key};
use crate::{StoreError, views::Product};

/// Reads hot products and counters. Clones share the connection.
#[derive(Clone)]
pub struct Reads {
    redis: Redis,
}

impl Reads {
    /// Reads over this connection.
    pub fn new(redis: Redis) -> Self {
        Self { redis }
    }

    /// Whether the server answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.redis.ping().await
    }

    /// A product, if it is here. Absence says nothing: ask [`crate::mongo::Reads::product`] then,
    /// and also when this fails.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn product(&self, sku: &str) -> Result<Option<Product>, StoreError> {
        let doing = "reading a hot product";
        let json: Option<String> =
            self.redis.connection().hget(product_key(sku), "json").await.map_err(failed(doing))?;
        json.map(|json| {
            serde_json::from_str(&json).map_err(|error| StoreError::failed(doing, error))
        })
        .transpose()
    }

    /// How many notifications a user has not read; `None` while that is not known because Redis has
    /// lost it.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn unread(&self, user_id: Uuid) -> Result<Option<i64>, StoreError> {
        let (known, count): (bool, Option<i64>) = redis::pipe()
            .exists(positions_key("unread"))
            .get(unread_key(user_id))
            .query_async(&mut self.redis.connection())
            .await
            .map_err(failed("reading a counter"))?;
        Ok(known.then(|| count.unwrap_or(0)))
    }
}
