//! The connection through which the gateway and the mail worker read MongoDB. The reads of a
//! collection stand in the file of its projection. Never writes.

use futures_util::TryStreamExt;
use mongodb::bson::{Document, doc};
use serde::{Deserialize, de::DeserializeOwned};
use uuid::Uuid;

use super::{client::Mongo, errors::failed};
use crate::{
    StoreError,
    deadline::{READ_MAX, within},
    paging::Cursor,
};

/// Reads orders, products and notifications. Clones share the connections.
#[derive(Clone)]
pub struct Reads {
    mongo: Mongo,
}

/// A page of a user's documents, newest first.
pub(super) struct Newest<'a> {
    pub(super) collection: &'a str,
    /// The field by which the list is sorted.
    pub(super) time: &'a str,
    pub(super) user_id: Uuid,
    /// The end of the page before.
    pub(super) before: Option<Cursor>,
    pub(super) limit: usize,
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

    /// Checks that the server answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.mongo.ping().await
    }

    /// The version of a document.
    pub(super) async fn version(
        &self,
        collection: &str,
        id: &str,
    ) -> Result<Option<i64>, StoreError> {
        let found: Option<Version> = self.one(collection, id, doc! { "version": 1 }).await?;
        Ok(found.map(|found| found.version))
    }

    /// Some fields of a document.
    pub(super) async fn one<T>(
        &self,
        collection: &str,
        id: &str,
        fields: Document,
    ) -> Result<Option<T>, StoreError>
    where
        T: DeserializeOwned + Send + Sync,
    {
        let doing = "reading a document";
        let work = async {
            let collection = self.mongo.collection::<T>(collection);
            let found = collection.find_one(doc! { "_id": id }).projection(fields).await;
            found.map_err(failed(doing))
        };
        within(READ_MAX, doing, work).await
    }

    /// The documents of a page, and one more if there is a next page.
    pub(super) async fn newest<T>(&self, page: Newest<'_>) -> Result<Vec<T>, StoreError>
    where
        T: DeserializeOwned + Send + Sync + Unpin,
    {
        let Newest { collection, time, user_id, before, limit } = page;
        let mut filter = doc! { "user_id": user_id.to_string() };
        if let Some(Cursor { at, id }) = before {
            let same_time = doc! { time: at, "_id": { "$lt": id.to_string() } };
            filter.insert("$or", vec![doc! { time: { "$lt": at } }, same_time]);
        }
        self.list(collection, filter, doc! { time: -1, "_id": -1 }, limit).await
    }

    /// Up to one document more than `limit`: its presence means that there is a next page.
    pub(super) async fn list<T>(
        &self,
        collection: &str,
        filter: Document,
        sort: Document,
        limit: usize,
    ) -> Result<Vec<T>, StoreError>
    where
        T: DeserializeOwned + Send + Sync + Unpin,
    {
        let doing = "reading documents";
        let work = async {
            let limit = i64::try_from(limit).unwrap_or(i64::MAX - 1) + 1;
            let collection = self.mongo.collection::<T>(collection);
            let find = collection.find(filter).sort(sort).limit(limit);
            let found = find.projection(doc! { "history": 0 }).await.map_err(failed(doing))?;
            found.try_collect().await.map_err(failed(doing))
        };
        within(READ_MAX, doing, work).await
    }
}
