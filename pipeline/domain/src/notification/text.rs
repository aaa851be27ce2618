//! The words of a notification and of its mail. There is no personal data in them, because the
//! event that carries them is kept forever.

use schemas::notification::{Kind, RaiseNotification};
use uuid::Uuid;

use crate::refusals;

/// Title and body of a notification.
pub(super) fn text(raise: &RaiseNotification) -> (String, String) {
    let order = raise.order_id.map(|id| id.to_string()).unwrap_or_default();
    let (title, body) = match raise.kind {
        Kind::Welcome => ("Welcome to Millrace", "Your account is ready.".to_owned()),
        Kind::OrderConfirmed => {
            ("Your order is confirmed", format!("Everything in order {order} is reserved for you."))
        }
        Kind::OrderRejected => (
            "Your order could not be accepted",
            format!("Order {order} was rejected: {}.", because(raise.reason.as_deref())),
        ),
        Kind::OrderCancelled => {
            ("Your order is cancelled", format!("Order {order} was cancelled as you asked."))
        }
        // The kind of a later version, read after a rollback.
        Kind::Other => ("News from Millrace", "Something of yours has changed.".to_owned()),
    };
    (title.to_owned(), body)
}

fn because(reason: Option<&str>) -> &'static str {
    match reason {
        Some(refusals::OUT_OF_STOCK) => "something in it is out of stock",
        Some(refusals::UNKNOWN_PRODUCT) => "it names a product that is not on sale",
        Some(refusals::MIXED_CURRENCIES) => "its products have prices in different currencies",
        Some(refusals::TOTAL_OVERFLOW) => "its total is more than can be counted",
        _ => "it could not be decided in time",
    }
}

/// The Message-ID of a notification's mail, without brackets: the same for all attempts.
pub(super) fn message_id(notification_id: Uuid) -> String {
    format!("{notification_id}@millrace.invalid")
}
