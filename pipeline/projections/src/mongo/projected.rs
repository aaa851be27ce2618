//! The projection of a [`Model`]: loads the documents that batches change, folds the events in, and
//! replaces each document that still holds the version it was folded on. The positions move after
//! that. Each of the three steps is one request, whatever the number of partitions and documents,
//! and without old documents there are two. A batch that is applied again finds its documents done.

use std::collections::BTreeMap;

use futures_util::{TryFutureExt as _, TryStreamExt, future::BoxFuture};
use mongodb::{
    Collection, IndexModel,
    bson::{self, Document, doc},
};
use schemas::{Codec, Message as _, Schema};

use super::{
    client::Mongo,
    errors::failed,
    folding::{Change, fold_all, keys},
    model::Model,
    updates::Update,
};
use crate::{
    StoreError,
    deadline::{WRITE_MAX, within},
    event::{Event, events},
    projection::{Batch, PositionStore, Projection, REMOVE_MAX, Retention},
    redis::{Redis, publish_views},
};

/// What is tried when batches are applied, for errors.
const WRITING: &str = "writing documents";

/// The projection of a [`Model`].
struct Projected<M> {
    mongo: Mongo,
    redis: Redis,
    model: std::marker::PhantomData<M>,
}

impl Mongo {
    /// The projection of a model. It notifies over `redis`.
    pub(crate) fn projection<M: Model>(&self, _model: M, redis: &Redis) -> Box<dyn Projection> {
        let (mongo, redis) = (self.clone(), redis.clone());
        Box::new(Projected::<M> { mongo, redis, model: std::marker::PhantomData })
    }
}

impl<M: Model> Projected<M> {
    fn documents(&self) -> Collection<M::Document> {
        self.mongo.collection(M::COLLECTION)
    }

    async fn create_indexes(&self) -> Result<(), StoreError> {
        for keys in M::indexes() {
            let index = IndexModel::builder().keys(keys).build();
            let made = self.documents().create_index(index).await;
            made.map_err(failed("making indexes in MongoDB"))?;
        }
        Ok(())
    }

    /// Loads the documents of `keys`.
    async fn load(&self, keys: &[&str]) -> Result<BTreeMap<String, M::Document>, StoreError> {
        if keys.is_empty() {
            return Ok(BTreeMap::new());
        }
        let doing = "loading documents";
        let documents = self.mongo.collection::<Document>(M::COLLECTION);
        let found = documents.find(doc! { "_id": { "$in": keys } }).await;
        let found: Vec<Document> =
            found.map_err(failed(doing))?.try_collect().await.map_err(failed(doing))?;
        let read = found.into_iter().map(|document| {
            let key = document.get_str("_id").unwrap_or_default().to_owned();
            Ok((key, bson::from_document(document)?))
        });
        read.collect::<Result<_, bson::de::Error>>().map_err(|error| {
            StoreError::failed("reading documents as this program has them", error)
        })
    }

    /// Folds events into documents and writes those. Documents whose first event is here are
    /// expected to be new, and not loaded. If one exists, because the events are applied again or
    /// the key was used before, all documents are loaded and the events folded once more.
    async fn fold(&self, events: &[Event<'_, M::Event>]) -> Result<(), StoreError> {
        let (all, old) = keys(events);
        let held = self.load(&old).await?;
        if self.write(fold_all::<M>(&held, events)?).await? == 0 {
            return Ok(());
        }
        let held = self.load(&all).await?;
        match self.write(fold_all::<M>(&held, events)?).await? {
            0 => Ok(()),
            missed => {
                let why = format!("{missed} of {} were written meanwhile", M::COLLECTION);
                Err(StoreError::failed(WRITING, why))
            }
        }
    }

    /// Replaces the documents that still hold the version they were folded on, and adds new ones.
    /// Returns how many do not hold it, or exist: another owner has written them.
    async fn write(&self, changes: Vec<Change<M::Document>>) -> Result<usize, StoreError> {
        let updates = changes.into_iter().map(|Change { key, held, document }| Update {
            // No document has version 0.
            q: doc! { "_id": key, "version": held },
            u: document,
            upsert: held == 0,
        });
        let updates: Vec<_> = updates.collect();
        self.mongo.update(M::COLLECTION, updates, WRITING).await
    }

    fn apply_all<'a>(
        &'a self,
        batches: &'a [Batch<'a>],
        codec: &'a Codec,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        let writing = async move {
            let events = events::<M::Event>(batches, codec)?;
            self.fold(&events).await?;
            // The documents can be read from here on.
            if let Some(aggregate) = M::AGGREGATE {
                let versions = events.iter().map(|event| (event.key, event.version));
                publish_views(&self.redis, aggregate, versions);
            }
            // Only now: an owner that dies before this leaves documents that are ahead of the
            // position, and the next one passes over the events that they have.
            self.mongo.advance_all(M::NAME, batches).await
        };
        Box::pin(within(WRITE_MAX, WRITING, writing))
    }

    async fn remove_ended(&self, ended: Document) -> Result<usize, StoreError> {
        let doing = "removing old documents";
        let documents = self.mongo.collection::<Document>(M::COLLECTION);
        let max = i64::try_from(REMOVE_MAX).unwrap_or(i64::MAX);
        let found = documents.find(ended.clone()).projection(doc! { "_id": 1 }).limit(max).await;
        let found: Vec<Document> =
            found.map_err(failed(doing))?.try_collect().await.map_err(failed(doing))?;
        let ids: Vec<_> =
            found.iter().filter_map(|document| document.get("_id").cloned()).collect();
        if ids.is_empty() {
            return Ok(0);
        }
        // A document that has changed since has not ended any more.
        let mut old = ended;
        old.insert("_id", doc! { "$in": ids.clone() });
        documents.delete_many(old).await.map_err(failed(doing))?;
        Ok(ids.len())
    }
}

impl<M: Model> Projection for Projected<M> {
    fn name(&self) -> &'static str {
        M::NAME
    }

    fn topics(&self) -> &'static [&'static str] {
        M::TOPICS
    }

    fn schemas(&self) -> Vec<&'static Schema> {
        M::Event::schemas().to_vec()
    }

    fn positions(&self) -> &dyn PositionStore {
        &self.mongo
    }

    fn prepare(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(within(WRITE_MAX, "making indexes in MongoDB", self.create_indexes()))
    }

    fn apply<'a>(
        &'a self,
        batch: &'a Batch<'a>,
        codec: &'a Codec,
    ) -> BoxFuture<'a, Result<i64, StoreError>> {
        let applied = self.apply_all(std::slice::from_ref(batch), codec);
        Box::pin(applied.map_ok(|()| batch.to))
    }

    fn apply_together<'a>(
        &'a self,
        batches: &'a [Batch<'a>],
        codec: &'a Codec,
    ) -> Option<BoxFuture<'a, Result<(), StoreError>>> {
        Some(self.apply_all(batches, codec))
    }

    fn removes_versions(&self) -> bool {
        M::ended(0).is_some()
    }

    fn remove(&self, retention: Retention) -> BoxFuture<'_, Result<usize, StoreError>> {
        let Some(ended) = retention.before_ms.and_then(M::ended) else {
            return Box::pin(async { Ok(0) });
        };
        Box::pin(within(WRITE_MAX, "removing old documents", self.remove_ended(ended)))
    }

    fn erase(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.mongo.erase(M::NAME, M::COLLECTION))
    }
}
