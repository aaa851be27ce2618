//! What the gateway and the mail worker read from MongoDB. Never writes.

use futures_util::TryStreamExt;
use mongodb::bson::{Document, doc};
use serde::{Deserialize, de::DeserializeOwned};
use uuid::Uuid;

use super::{Mongo, NOTIFICATIONS, ORDERS, PRODUCTS, RECIPIENTS, failed};
use crate::{
    StoreError,
    deadline::{READ_MAX, within},
    views::{Cursor, Happened, Notification, Order, Page, Product, Recipient},
};

/// Reads orders, products and notifications. Clones share the connections.
#[derive(Clone)]
pub struct Reads {
    mongo: Mongo,
}

#[derive(Deserialize)]
struct History {
    history: Vec<Happened>,
}

#[derive(Deserialize)]
struct Version {
    version: i64,
}

impl Reads {
    /// Reads from this database.
    pub fn new(mongo: Mongo) -> Self {
        Self { mongo }
    }

    /// Whether the server answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.mongo.ping().await
    }

    /// An order, whoever it belongs to.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn order(&self, id: Uuid) -> Result<Option<Order>, StoreError> {
        self.one(ORDERS, &id.to_string(), doc! { "history": 0 }).await
    }

    /// The events of an order, oldest first; `None` where there is no such order.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn order_history(&self, id: Uuid) -> Result<Option<Vec<Happened>>, StoreError> {
        let found: Option<History> =
            self.one(ORDERS, &id.to_string(), doc! { "history": 1 }).await?;
        Ok(found.map(|found| found.history))
    }

    /// A user's orders, newest first, from after `before`.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn orders(
        &self,
        user_id: Uuid,
        before: Option<Cursor>,
        limit: usize,
    ) -> Result<Page<Order>, StoreError> {
        let orders = self.newest(ORDERS, "placed_at", user_id, before, limit).await?;
        Ok(Page::cut(orders, limit, |order: &Order| Cursor { at: order.placed_at, id: order.id }))
    }

    /// The version of an order.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn order_version(&self, id: Uuid) -> Result<Option<i64>, StoreError> {
        self.version(ORDERS, &id.to_string()).await
    }

    /// A product.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn product(&self, sku: &str) -> Result<Option<Product>, StoreError> {
        self.one(PRODUCTS, sku, doc! {}).await
    }

    /// Products by SKU, from after `after`.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn products(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Product, String>, StoreError> {
        let filter = after.map_or_else(Document::new, |after| doc! { "_id": { "$gt": after } });
        let products = self.list(PRODUCTS, filter, doc! { "_id": 1 }, limit).await?;
        Ok(Page::cut(products, limit, |product: &Product| product.sku.clone()))
    }

    /// The version of a product.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn product_version(&self, sku: &str) -> Result<Option<i64>, StoreError> {
        self.version(PRODUCTS, sku).await
    }

    /// A notification, whoever it is for.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn notification(&self, id: Uuid) -> Result<Option<Notification>, StoreError> {
        self.one(NOTIFICATIONS, &id.to_string(), doc! {}).await
    }

    /// A user's notifications, newest first, from after `before`.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn notifications(
        &self,
        user_id: Uuid,
        before: Option<Cursor>,
        limit: usize,
    ) -> Result<Page<Notification>, StoreError> {
        let found = self.newest(NOTIFICATIONS, "raised_at", user_id, before, limit).await?;
        Ok(Page::cut(found, limit, |one: &Notification| Cursor { at: one.raised_at, id: one.id }))
    }

    /// The version of a notification.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn notification_version(&self, id: Uuid) -> Result<Option<i64>, StoreError> {
        self.version(NOTIFICATIONS, &id.to_string()).await
    }

    async fn version(&self, collection: &str, id: &str) -> Result<Option<i64>, StoreError> {
        let found: Option<Version> = self.one(collection, id, doc! { "version": 1 }).await?;
        Ok(found.map(|found| found.version))
    }

    async fn one<T>(
        &self,
        collection: &str,
        id: &str,
        fields: Document,
    ) -> Result<Option<T>, StoreError>
    where
        T: DeserializeOwned + Send + Sync,
    {
        let work = async {
            let found = self
                .mongo
                .collection::<T>(collection)
                .find_one(doc! { "_id": id })
                .projection(fields)
                .await;
            found.map_err(failed("reading a document"))
        };
        within(READ_MAX, "reading a document", work).await
    }

    async fn newest<T>(
        &self,
        collection: &str,
        time: &str,
        user_id: Uuid,
        before: Option<Cursor>,
        limit: usize,
    ) -> Result<Vec<T>, StoreError>
    where
        T: DeserializeOwned + Send + Sync + Unpin,
    {
        let mut filter = doc! { "user_id": user_id.to_string() };
        if let Some(Cursor { at, id }) = before {
            let same_time = doc! { time: at, "_id": { "$lt": id.to_string() } };
            filter.insert("$or", vec![doc! { time: { "$lt": at } }, same_time]);
        }
        self.list(collection, filter, doc! { time: -1, "_id": -1 }, limit).await
    }

    /// One more than `limit`, which tells whether there are more.
    async fn list<T>(
        &self,
        collection: &str,
        filter: Document,
        sort: Document,
        limit: usize,
    ) -> Result<Vec<T>, StoreError>
    where
        T: DeserializeOwned + Send + Sync + Unpin,
    {
        let work = async {
            let limit = i64::try_from(limit).unwrap_or(i64::MAX - 1) + 1;
            let collection = self.mongo.collection::<T>(collection);
            let find = collection.find(filter).sort(sort).limit(limit);
            let found = find
                .projection(doc! { "history": 0 })
                .await
                .map_err(failed("reading documents"))?;
            found.try_collect().await.map_err(failed("reading documents"))
        };
        within(READ_MAX, "reading documents", work).await
    }
}

/// Where mail goes. Only the mail worker asks.
#[derive(Clone)]
pub struct Recipients {
    mongo: Mongo,
}

#[derive(Deserialize)]
struct Address {
    email: Option<String>,
    name: Option<String>,
}

impl Recipients {
    /// Reads from this database.
    pub fn new(mongo: Mongo) -> Self {
        Self { mongo }
    }

    /// The address of a user; `None` where there is none, or none yet.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn find(&self, user_id: Uuid) -> Result<Option<Recipient>, StoreError> {
        let work = async {
            let filter = doc! { "_id": user_id.to_string() };
            let found = self.mongo.collection::<Address>(RECIPIENTS).find_one(filter).await;
            let found = found.map_err(failed("reading a recipient"))?;
            Ok(found.and_then(|Address { email, name }| {
                Some(Recipient { email: email?, name: name.unwrap_or_default() })
            }))
        };
        within(READ_MAX, "reading a recipient", work).await
    }
}
