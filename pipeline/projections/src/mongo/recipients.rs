//! Recipients of mail: the address of each user, only while the user is registered.

use mongodb::bson::{Document, doc};
use schemas::user;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{client::Mongo, errors::failed, model::Model};
use crate::{
    StoreError,
    deadline::{READ_MAX, within},
    event::Event,
};

const COLLECTION: &str = "recipients";

/// The recipient of a mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// The address.
    pub email: String,
    /// The name.
    pub name: String,
}

/// The projection.
pub(crate) struct RecipientDocuments;

/// The address and name of a user.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct RecipientDocument {
    #[serde(rename = "_id")]
    id: String,
    email: Option<String>,
    name: Option<String>,
    version: i64,
    /// When the user was refused or deactivated.
    #[serde(default)]
    ended_at: Option<i64>,
}

impl Model for RecipientDocuments {
    const NAME: &'static str = "recipients";
    const TOPICS: &'static [&'static str] = &["user.events"];
    const COLLECTION: &'static str = COLLECTION;
    type Event = user::Event;
    type Document = RecipientDocument;

    fn indexes() -> Vec<Document> {
        vec![doc! { "ended_at": 1 }]
    }

    fn version(document: &RecipientDocument) -> i64 {
        document.version
    }

    fn ended(before_ms: i64) -> Option<Document> {
        Some(doc! { "ended_at": { "$lt": before_ms } })
    }

    fn begins_anew(document: &RecipientDocument, event: &Event<'_, user::Event>) -> bool {
        matches!(event.message, user::Event::RegistrationStarted(_))
            && event.version == 1
            && document.ended_at.is_some_and(|ended_at| ended_at < event.at)
    }

    fn fold(
        document: Option<RecipientDocument>,
        event: &Event<'_, user::Event>,
    ) -> Option<RecipientDocument> {
        use user::Event as E;
        let mut after = document.unwrap_or_default();
        event.key.clone_into(&mut after.id);
        after.version = event.version;
        match &event.message {
            E::UserRegistered(registered) => {
                after.email = Some(registered.email.clone());
                after.name = Some(registered.name.clone());
            }
            E::NameChanged(changed) => after.name = Some(changed.name.clone()),
            E::EmailChanged(changed) => after.email = Some(changed.email.clone()),
            E::UserDeactivated(_) | E::RegistrationRefused(_) => {
                (after.email, after.name, after.ended_at) = (None, None, Some(event.at));
            }
            _ => {}
        }
        Some(after)
    }
}

/// Reads recipients, for the mail worker alone. Clones share the connections.
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

    /// The address of a user. Returns `None` while the projection has none.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn find(&self, user_id: Uuid) -> Result<Option<Recipient>, StoreError> {
        let doing = "reading a recipient";
        let work = async {
            let filter = doc! { "_id": user_id.to_string() };
            let found = self.mongo.collection::<Address>(COLLECTION).find_one(filter).await;
            let found = found.map_err(failed(doing))?;
            Ok(found.and_then(|Address { email, name }| {
                Some(Recipient { email: email?, name: name.unwrap_or_default() })
            }))
        };
        within(READ_MAX, doing, work).await
    }
}
