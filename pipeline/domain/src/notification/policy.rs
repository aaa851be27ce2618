//! What raises notifications, and when a mail is tried again.

use schemas::{
    notification::{self, Event, Kind, MailRequested, RaiseNotification},
    order, user,
};
use uuid::Uuid;

use crate::{
    Out,
    decider::{Context, Reaction},
};

/// An attempt that is not reported on within this is taken for failed, in milliseconds.
pub const REPORT_MS: i64 = 120_000;
/// The first pause between attempts, in milliseconds; each is four times the one before.
const BACK_OFF_MS: i64 = 5_000;
/// The name of the timer of the next attempt.
const RETRY: &str = "retry";

/// What follows from `event`.
pub(super) fn react(event: &Event, context: &Context<'_>) -> Vec<Reaction<Out>> {
    match event {
        Event::MailRequested(MailRequested { .. }) => {
            vec![Reaction::SetTimer { name: RETRY.to_owned(), due_ms: context.at_ms + REPORT_MS }]
        }
        Event::MailSent(_) | Event::MailFailed(_) => {
            vec![Reaction::CancelTimer { name: RETRY.to_owned() }]
        }
        Event::NotificationRaised(_) | Event::NotificationRead(_) => Vec::new(),
    }
}

/// The pause after a failed attempt, in milliseconds.
pub(super) fn back_off_ms(attempt: i32) -> i64 {
    BACK_OFF_MS << (2 * attempt.clamp(1, 10) - 2)
}

/// Tries again at `due_ms`.
pub(super) fn retry(due_ms: i64) -> Reaction<Out> {
    Reaction::SetTimer { name: RETRY.to_owned(), due_ms }
}

/// The Message-ID of a notification's mail, without brackets: the same for all attempts.
pub(super) fn message_id(notification_id: Uuid) -> String {
    format!("{notification_id}@millrace.invalid")
}

/// Tells a user of what happened to them.
pub fn from_user_event(event: &user::Event, event_id: Uuid, mail: bool) -> Vec<Reaction<Out>> {
    match event {
        user::Event::UserRegistered(registered) => {
            vec![raise(event_id, registered.user_id, Kind::Welcome, None, None, mail)]
        }
        _ => Vec::new(),
    }
}

/// Tells a buyer of what happened to their order.
pub fn from_order_event(event: &order::Event, event_id: Uuid, mail: bool) -> Vec<Reaction<Out>> {
    let (user_id, order_id, kind, reason) = match event {
        order::Event::OrderConfirmed(e) => (e.user_id, e.order_id, Kind::OrderConfirmed, None),
        order::Event::OrderRejected(e) => {
            (e.user_id, e.order_id, Kind::OrderRejected, Some(e.reason.clone()))
        }
        order::Event::OrderCancelled(e) => (e.user_id, e.order_id, Kind::OrderCancelled, None),
        order::Event::OrderPlaced(_) | order::Event::ReservationRecorded(_) => return Vec::new(),
    };
    vec![raise(event_id, user_id, kind, Some(order_id), reason, mail)]
}

/// Raises a notification whose id follows from the event that caused it.
fn raise(
    event_id: Uuid,
    user_id: Uuid,
    kind: Kind,
    order_id: Option<Uuid>,
    reason: Option<String>,
    mail: bool,
) -> Reaction<Out> {
    let notification_id = Uuid::new_v5(&event_id, b"notification");
    let raise = RaiseNotification { notification_id, user_id, kind, order_id, reason, mail };
    Reaction::Send {
        topic: "notification.followups",
        key: notification_id.to_string(),
        message: Some(Out::Notification(notification::FollowUp::from(raise))),
    }
}
