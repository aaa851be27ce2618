//! Notifications: the inbox of each user.

use mongodb::bson::{Document, doc};
use schemas::notification;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    model::Model,
    reads::{Newest, Reads},
};
use crate::{
    StoreError,
    event::Event,
    paging::{Cursor, Page},
    uuid_text,
};

const COLLECTION: &str = "notifications";

/// A notification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notification {
    /// The id.
    #[serde(rename = "_id", alias = "id", with = "uuid_text")]
    pub id: Uuid,
    /// The recipient.
    #[serde(with = "uuid_text")]
    pub user_id: Uuid,
    /// The subject: `welcome`, `order_confirmed`, `order_rejected`, `order_cancelled`.
    pub kind: String,
    /// The title, one line.
    pub title: String,
    /// The text.
    pub body: String,
    /// The order that it concerns.
    #[serde(with = "uuid_text::option", default)]
    pub order_id: Option<Uuid>,
    /// When it was raised.
    pub raised_at: i64,
    /// When its recipient read it.
    pub read_at: Option<i64>,
    /// The state of its mail, if one was requested: `requested`, `sent` or `failed`.
    pub mail: Option<String>,
    /// The version.
    pub version: i64,
}

/// The projection.
pub(crate) struct Notifications;

impl Model for Notifications {
    const NAME: &'static str = "notifications";
    const TOPICS: &'static [&'static str] = &["notification.events"];
    const COLLECTION: &'static str = COLLECTION;
    const AGGREGATE: Option<&'static str> = Some("notification");
    type Event = notification::Event;
    type Document = Notification;

    fn indexes() -> Vec<Document> {
        vec![doc! { "user_id": 1, "raised_at": -1, "_id": -1 }, doc! { "read_at": 1 }]
    }

    fn version(document: &Notification) -> i64 {
        document.version
    }

    /// The processor marks a notification as read before it forgets it.
    fn ended(before_ms: i64) -> Option<Document> {
        Some(doc! { "read_at": { "$lt": before_ms } })
    }

    /// Earlier versions gave the notification of an order whose id was used before the id of that
    /// one's. The processor had forgotten that one, after it was read.
    fn begins_anew(before: &Notification, event: &Event<'_, notification::Event>) -> bool {
        let notification::Event::NotificationRaised(raised) = &event.message else { return false };
        event.version == 1 && before.read_at.is_some_and(|read_at| read_at < raised.raised_at)
    }

    fn fold(
        document: Option<Notification>,
        event: &Event<'_, notification::Event>,
    ) -> Option<Notification> {
        use notification::Event as E;
        let mut after = match (&event.message, document) {
            (E::NotificationRaised(raised), _) => Notification {
                id: raised.notification_id,
                user_id: raised.user_id,
                kind: raised.kind.as_str().to_lowercase(),
                title: raised.title.clone(),
                body: raised.body.clone(),
                order_id: raised.order_id,
                raised_at: raised.raised_at,
                read_at: None,
                mail: None,
                version: event.version,
            },
            (_, document) => document?,
        };
        match &event.message {
            E::NotificationRaised(_) => {}
            E::NotificationRead(read) => after.read_at = Some(read.read_at),
            E::MailRequested(_) => after.mail = Some("requested".to_owned()),
            E::MailSent(_) => after.mail = Some("sent".to_owned()),
            E::MailFailed(_) => after.mail = Some("failed".to_owned()),
        }
        after.version = event.version;
        Some(after)
    }
}

impl Reads {
    /// A notification of any user.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn notification(&self, id: Uuid) -> Result<Option<Notification>, StoreError> {
        self.one(COLLECTION, &id.to_string(), doc! {}).await
    }

    /// A user's notifications, newest first, from behind `before`.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn notifications(
        &self,
        user_id: Uuid,
        before: Option<Cursor>,
        limit: usize,
    ) -> Result<Page<Notification>, StoreError> {
        let page = Newest { collection: COLLECTION, time: "raised_at", user_id, before, limit };
        let found = self.newest(page).await?;
        Ok(Page::cut(found, limit, |one: &Notification| Cursor { at: one.raised_at, id: one.id }))
    }

    /// The version of a notification.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn notification_version(&self, id: Uuid) -> Result<Option<i64>, StoreError> {
        self.version(COLLECTION, &id.to_string()).await
    }
}

#[cfg(test)]
mod tests {
    use schemas::notification::{Kind, MailRequested, NotificationRaised, NotificationRead};

    use super::*;

    #[test]
    fn notification_has_the_time_it_was_read_and_the_state_of_its_mail() {
        // given
        let (notification_id, user_id) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let event = |version, message| Event { key: "1", version, at: 1, command: None, message };
        let (title, body) = ("Confirmed".to_owned(), "Your order is confirmed.".to_owned());
        let raised = NotificationRaised {
            notification_id,
            user_id,
            kind: Kind::OrderConfirmed,
            title: title.clone(),
            body: body.clone(),
            order_id: Some(Uuid::from_u128(3)),
            raised_at: 10,
        };
        let requested = MailRequested {
            notification_id,
            user_id,
            attempt: 1,
            message_id: "m".to_owned(),
            title,
            body,
        };
        let read = NotificationRead { notification_id, user_id, read_at: 30 };
        // when
        let document = Notifications::fold(None, &event(1, raised.into()));
        let document = Notifications::fold(document, &event(2, requested.into()));
        let document =
            Notifications::fold(document, &event(3, read.into())).expect("a notification");
        // then
        assert_eq!(
            (&*document.kind, document.read_at, document.version),
            ("order_confirmed", Some(30), 3)
        );
        assert_eq!(document.mail.as_deref(), Some("requested"));
        // A repeat of the first event changes nothing; one under the same id after the notification
        // was read and forgotten begins anew.
        let raised = |raised_at| NotificationRaised {
            notification_id,
            user_id,
            kind: Kind::OrderConfirmed,
            title: "Confirmed".to_owned(),
            body: "Your order is confirmed.".to_owned(),
            order_id: Some(Uuid::from_u128(3)),
            raised_at,
        };
        let is_anew =
            |raised_at| Notifications::begins_anew(&document, &event(1, raised(raised_at).into()));
        assert_eq!((is_anew(10), is_anew(31)), (false, true));
        let bytes = mongodb::bson::to_vec(&document).expect("BSON");
        assert_eq!(
            mongodb::bson::from_slice::<Notification>(&bytes).expect("a document"),
            document
        );
    }
}
