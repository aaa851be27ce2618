//! Products, notifications, and whom mail goes to.

use mongodb::bson::{Document, doc};
use schemas::{notification, stock, user};
use serde::{Deserialize, Serialize};

use super::{NOTIFICATIONS, PRODUCTS, RECIPIENTS, folded::Fold};
use crate::{
    products,
    projection::Event,
    views::{Notification, Product},
};

/// Products with their stock.
pub(super) struct Products;

impl Fold for Products {
    const NAME: &'static str = "products";
    const TOPICS: &'static [&'static str] = &["stock.events"];
    const COLLECTION: &'static str = PRODUCTS;
    type Event = stock::Event;
    type Document = Product;

    fn version(document: &Product) -> i64 {
        document.version
    }

    fn fold(document: Option<Product>, event: &Event<'_, stock::Event>) -> Option<Product> {
        products::fold(document, event)
    }
}

/// The inbox.
pub(super) struct Notifications;

impl Fold for Notifications {
    const NAME: &'static str = "notifications";
    const TOPICS: &'static [&'static str] = &["notification.events"];
    const COLLECTION: &'static str = NOTIFICATIONS;
    type Event = notification::Event;
    type Document = Notification;

    fn version(document: &Notification) -> i64 {
        document.version
    }

    /// The processor marks as read what it forgets unread.
    fn ended(before_ms: i64) -> Option<Document> {
        Some(doc! { "read_at": { "$lt": before_ms } })
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

/// Where mail goes. Holds an address only while its user is registered.
pub(super) struct Recipients;

/// A user as mail sees them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct RecipientDocument {
    #[serde(rename = "_id")]
    id: String,
    email: Option<String>,
    name: Option<String>,
    version: i64,
    /// When the user was refused or deactivated.
    #[serde(default)]
    ended_at: Option<i64>,
}

impl Fold for Recipients {
    const NAME: &'static str = "recipients";
    const TOPICS: &'static [&'static str] = &["user.events"];
    const COLLECTION: &'static str = RECIPIENTS;
    type Event = user::Event;
    type Document = RecipientDocument;

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

#[cfg(test)]
mod tests {
    use schemas::notification::{Kind, MailRequested, NotificationRaised, NotificationRead};
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_notification_tells_whether_it_was_read_and_what_came_of_its_mail() {
        // given
        let (notification_id, user_id) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let event = |version, message| Event { key: "1", version, at: 1, message };
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
        let bytes = mongodb::bson::to_vec(&document).expect("BSON");
        assert_eq!(
            mongodb::bson::from_slice::<Notification>(&bytes).expect("a document"),
            document
        );
    }
}
