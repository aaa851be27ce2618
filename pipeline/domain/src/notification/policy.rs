//! Raises notifications from the events of other contexts, and sets the timers of a mail: its next
//! attempt after a pause, and the deadline of the report on an attempt. It sends no mail.

use schemas::{
    notification::{self, Event, Kind, RaiseNotification, State},
    order, user,
};
use uuid::Uuid;

use super::Notification;
use crate::{
    Out,
    decider::{InputInfo, Reaction},
    policy::Policy,
};

/// A mail without a report on an attempt within this time has failed, in milliseconds.
///
/// It is much longer than the mail worker is ever behind, and no other attempt follows: the request
/// is in the log, and the worker will read it. If it were requested again meanwhile, the user would
/// get the mail twice, and a worker that is behind would have more to do the further behind it is.
pub const REPORT_MS: i64 = 24 * 3_600_000;
/// The mail worker sends no mail whose request is older than this, in milliseconds: soon the mail
/// counts as failed. The hour between the two is more than clocks differ.
pub const SEND_MS: i64 = REPORT_MS - 3_600_000;
/// The first pause between attempts, in milliseconds; each further one is four times as long.
const BACK_OFF_MS: i64 = 5_000;
/// The name of the timer of the next attempt.
pub(super) const RETRY: &str = "retry";
/// The name of the timer that ends a mail without a report.
const REPORT: &str = "report";

impl Policy for Notification {
    fn react(_state: Option<&State>, event: &Event, info: &InputInfo<'_>) -> Vec<Reaction<Out>> {
        match event {
            Event::MailRequested(_) => {
                vec![Reaction::set_timer(REPORT, info.at_ms + REPORT_MS)]
            }
            Event::MailSent(_) | Event::MailFailed(_) => {
                vec![Reaction::cancel_timer(RETRY), reported()]
            }
            Event::NotificationRaised(_) | Event::NotificationRead(_) => Vec::new(),
        }
    }
}

/// The pause after a failed attempt, in milliseconds.
pub(super) fn back_off_ms(attempt: i32) -> i64 {
    BACK_OFF_MS << (2 * attempt.clamp(1, 10) - 2)
}

/// Requests the next attempt at `due_ms`.
pub(super) fn retry_at(due_ms: i64) -> Reaction<Out> {
    Reaction::set_timer(RETRY, due_ms)
}

/// The report has come, so its deadline ends.
pub(super) fn reported() -> Reaction<Out> {
    Reaction::cancel_timer(REPORT)
}

/// Raises a notification from a user's event.
pub fn from_user_event(event: &user::Event, event_id: Uuid, mail: bool) -> Vec<Reaction<Out>> {
    let user::Event::UserRegistered(registered) = event else { return Vec::new() };
    let (user_id, kind, at_ms) = (registered.user_id, Kind::Welcome, registered.registered_at);
    vec![raise(event_id, Cause { user_id, kind, at_ms, order_id: None, reason: None }, mail)]
}

/// Raises a notification for the buyer from an order's event.
pub fn from_order_event(event: &order::Event, event_id: Uuid, mail: bool) -> Vec<Reaction<Out>> {
    let (user_id, order_id, kind, at_ms) = match event {
        order::Event::OrderConfirmed(e) => {
            (e.user_id, e.order_id, Kind::OrderConfirmed, e.confirmed_at)
        }
        order::Event::OrderRejected(e) => {
            (e.user_id, e.order_id, Kind::OrderRejected, e.rejected_at)
        }
        order::Event::OrderCancelled(e) => {
            (e.user_id, e.order_id, Kind::OrderCancelled, e.cancelled_at)
        }
        order::Event::OrderPlaced(_) | order::Event::ReservationRecorded(_) => return Vec::new(),
    };
    let reason = match event {
        order::Event::OrderRejected(rejected) => Some(rejected.reason.clone()),
        _ => None,
    };
    vec![raise(event_id, Cause { user_id, kind, at_ms, order_id: Some(order_id), reason }, mail)]
}

/// What an event of another context says about the notification that it raises.
struct Cause {
    user_id: Uuid,
    kind: Kind,
    /// The time in the event.
    at_ms: i64,
    order_id: Option<Uuid>,
    reason: Option<String>,
}

/// Raises a notification whose id is derived from the event's id and time. A repeat of the event
/// has the same ones. A command whose id is used again once its order or user is forgotten leads to
/// events with the same ids, but later ones: they raise notifications of their own.
fn raise(event_id: Uuid, cause: Cause, mail: bool) -> Reaction<Out> {
    let Cause { user_id, kind, at_ms, order_id, reason } = cause;
    let notification_id = Uuid::new_v5(&event_id, format!("notification {at_ms}").as_bytes());
    let raise = RaiseNotification { notification_id, user_id, kind, order_id, reason, mail };
    Reaction::send(notification_id, notification::FollowUp::from(raise))
}
