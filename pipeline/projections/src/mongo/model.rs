//! How a projection into MongoDB is written: a [`Model`] folds events into documents. It calls no
//! database.

use mongodb::bson::Document;
use schemas::Message;
use serde::{Serialize, de::DeserializeOwned};

use crate::event::Event;

/// A projection into documents of MongoDB.
pub(crate) trait Model: Send + Sync + 'static {
    /// The projection's name.
    const NAME: &'static str;
    /// The topics.
    const TOPICS: &'static [&'static str];
    /// The collection.
    const COLLECTION: &'static str;
    /// The type of the aggregates whose only read model this is; notices announce its versions.
    const AGGREGATE: Option<&'static str> = None;
    /// The events that it reads.
    type Event: Message;
    /// The document that a key's events fold into. Has `_id` (the key) and `version`.
    type Document: Clone + Serialize + DeserializeOwned + Send + Sync + Unpin;

    /// The indexes of the collection, beside that of `_id`.
    fn indexes() -> Vec<Document> {
        Vec::new()
    }

    /// The version of a document.
    fn version(document: &Self::Document) -> i64;

    /// A filter for the documents that ended before `before_ms` and are removed; `None` if
    /// documents stay forever.
    fn ended(_before_ms: i64) -> Option<Document> {
        None
    }

    /// Whether the event is the first one of a new aggregate under a key that the processor has
    /// forgotten.
    fn begins_anew(_document: &Self::Document, _event: &Event<'_, Self::Event>) -> bool {
        false
    }

    /// The document after an event, with the event's version. Returns `None` if the event is the
    /// first one of its key and can't be.
    fn fold(
        document: Option<Self::Document>,
        event: &Event<'_, Self::Event>,
    ) -> Option<Self::Document>;
}
