//! One projection for all documents: loads those that a batch is about, folds the events in, and
//! writes each back if it still holds the version it had. The position moves after; a batch that is
//! applied again finds its documents done.

use std::collections::BTreeMap;

use futures_util::{StreamExt, TryStreamExt, future::BoxFuture, stream};
use mongodb::{
    Collection,
    bson::{Document, doc},
};
use redpanda::log::TopicPartition;
use schemas::{Codec, Message};
use serde::{Serialize, de::DeserializeOwned};

use super::{Mongo, failed};
use crate::{
    StoreError,
    deadline::{WRITE_MAX, within},
    projection::{Batch, Claim, Event, Projection, REMOVE_MAX, Retention, events, follows},
};

/// Writes under way at once.
const WRITES_MAX: usize = 16;

/// What a document is made of, and how.
pub(super) trait Fold: Send + Sync + 'static {
    /// The projection's name.
    const NAME: &'static str;
    /// The topic.
    const TOPICS: &'static [&'static str];
    /// The collection.
    const COLLECTION: &'static str;
    /// What comes.
    type Event: Message;
    /// What it becomes. Has `_id` (the event's key) and `version`.
    type Document: Clone + Serialize + DeserializeOwned + Send + Sync + Unpin;

    /// The version of a document.
    fn version(document: &Self::Document) -> i64;

    /// The documents that ended before `before_ms`, to be removed; `None` where they stay for ever.
    fn ended(_before_ms: i64) -> Option<Document> {
        None
    }

    /// Whether an event begins a new life of a key that its processor had forgotten.
    fn begins_anew(_document: &Self::Document, _event: &Event<'_, Self::Event>) -> bool {
        false
    }

    /// The document after an event that follows it; its version is the event's. `None` where the
    /// event can't stand there.
    fn fold(
        document: Option<Self::Document>,
        event: &Event<'_, Self::Event>,
    ) -> Option<Self::Document>;
}

/// The projection of a [`Fold`].
pub(super) struct Folded<F> {
    mongo: Mongo,
    fold: std::marker::PhantomData<F>,
}

impl<F: Fold> Folded<F> {
    pub(super) fn new(mongo: Mongo) -> Self {
        Self { mongo, fold: std::marker::PhantomData }
    }

    fn documents(&self) -> Collection<F::Document> {
        self.mongo.collection(F::COLLECTION)
    }

    async fn load(&self, keys: Vec<&str>) -> Result<BTreeMap<String, F::Document>, StoreError> {
        let found = self
            .mongo
            .collection::<Document>(F::COLLECTION)
            .find(doc! { "_id": { "$in": keys } })
            .await;
        let found: Vec<Document> = found
            .map_err(failed("loading documents"))?
            .try_collect()
            .await
            .map_err(failed("loading documents"))?;
        let read = found.into_iter().map(|document| {
            let key = document.get_str("_id").unwrap_or_default().to_owned();
            Ok((key, mongodb::bson::from_document(document)?))
        });
        read.collect::<Result<_, mongodb::bson::de::Error>>().map_err(|error| {
            StoreError::failed("reading documents as this program has them", error)
        })
    }

    async fn write(&self, change: Change<F::Document>) -> Result<(), StoreError> {
        let filter = doc! { "_id": &change.key, "version": change.held };
        let written = self.documents().replace_one(filter, &change.document).await;
        match written.map_err(failed("writing a document"))?.matched_count {
            0 => Err(StoreError::Failed {
                doing: "writing a document",
                why: format!(
                    "{} {} is not at version {} any more",
                    F::COLLECTION,
                    change.key,
                    change.held
                ),
            }),
            _ => Ok(()),
        }
    }
}

struct Change<D> {
    key: String,
    /// 0 where there was no document.
    held: i64,
    document: D,
}

impl<F: Fold> Projection for Folded<F> {
    fn name(&self) -> &'static str {
        F::NAME
    }

    fn topics(&self) -> &'static [&'static str] {
        F::TOPICS
    }

    fn prepare(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.mongo.index())
    }

    fn claim<'a>(&'a self, place: &'a TopicPartition) -> BoxFuture<'a, Result<Claim, StoreError>> {
        Box::pin(self.mongo.claim(F::NAME, place))
    }

    fn held<'a>(
        &'a self,
        place: &'a TopicPartition,
    ) -> BoxFuture<'a, Result<Option<Claim>, StoreError>> {
        Box::pin(self.mongo.held(F::NAME, place))
    }

    fn bury<'a>(
        &'a self,
        batch: &'a Batch<'a>,
        why: &'a str,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.mongo.bury(F::NAME, batch, why))
    }

    fn remove(&self, retention: Retention) -> BoxFuture<'_, Result<usize, StoreError>> {
        let Some(ended) = F::ended(retention.before_ms()) else { return Box::pin(async { Ok(0) }) };
        let doing = "removing old documents";
        let removing = async move {
            let documents = self.mongo.collection::<Document>(F::COLLECTION);
            let max = i64::try_from(REMOVE_MAX).unwrap_or(i64::MAX);
            let found =
                documents.find(ended.clone()).projection(doc! { "_id": 1 }).limit(max).await;
            let found: Vec<Document> =
                found.map_err(failed(doing))?.try_collect().await.map_err(failed(doing))?;
            let ids: Vec<_> =
                found.iter().filter_map(|document| document.get("_id").cloned()).collect();
            if ids.is_empty() {
                return Ok(0);
            }
            // One that has changed since is no longer old.
            let mut old = ended;
            old.insert("_id", doc! { "$in": ids.clone() });
            documents.delete_many(old).await.map_err(failed(doing))?;
            Ok(ids.len())
        };
        Box::pin(within(WRITE_MAX, doing, removing))
    }

    fn erase(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.mongo.erase(F::NAME, F::COLLECTION))
    }

    fn apply<'a>(
        &'a self,
        batch: &'a Batch<'a>,
        codec: &'a Codec,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        let writing = async move {
            let events = events::<F::Event>(batch, codec)?;
            let mut keys: Vec<&str> = events.iter().map(|event| event.key).collect();
            keys.sort_unstable();
            keys.dedup();
            let held = self.load(keys).await?;
            let changes = fold_all::<F>(&held, &events)?;
            let (new, old): (Vec<_>, Vec<_>) =
                changes.into_iter().partition(|change| change.held == 0);
            if !new.is_empty() {
                let new = new.iter().map(|change| &change.document);
                // One that is there already has been written by someone else just now: it will be
                // loaded next time.
                self.documents()
                    .insert_many(new)
                    .ordered(false)
                    .await
                    .map_err(failed("adding documents"))?;
            }
            stream::iter(old)
                .map(|change| self.write(change))
                .buffer_unordered(WRITES_MAX)
                .try_collect::<()>()
                .await?;
            self.mongo.advance(F::NAME, batch).await
        };
        Box::pin(within(WRITE_MAX, "writing documents", writing))
    }
}

/// What the documents become.
fn fold_all<F: Fold>(
    held: &BTreeMap<String, F::Document>,
    events: &[Event<'_, F::Event>],
) -> Result<Vec<Change<F::Document>>, StoreError> {
    let mut changed: BTreeMap<&str, F::Document> = BTreeMap::new();
    for event in events {
        let before = changed.get(event.key).or_else(|| held.get(event.key));
        let before = before.filter(|before| !F::begins_anew(before, event));
        if !follows(F::COLLECTION, event.key, before.map_or(0, F::version), event.version)? {
            continue;
        }
        let after = F::fold(before.cloned(), event).ok_or_else(|| StoreError::Record {
            place: format!("{} {}@{}", F::COLLECTION, event.key, event.version),
            why: format!("{} can't come first", event.message.name()),
        })?;
        changed.insert(event.key, after);
    }
    let change = |(key, document): (&str, F::Document)| {
        let held = held.get(key).map_or(0, F::version);
        Change { key: key.to_owned(), held, document }
    };
    Ok(changed.into_iter().map(change).collect())
}
