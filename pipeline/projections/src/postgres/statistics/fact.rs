//! What of an event counts in the statistics, and at which time. It knows no window and no SQL.

use std::collections::BTreeSet;

use redpanda::log::Record;
use schemas::{Codec, notification, order, user};
use uuid::Uuid;

use crate::{
    StoreError,
    event::{event, unfit},
};

/// What is counted without more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Counter {
    Placed,
    Confirmed,
    Rejected,
    Cancelled,
    Registrations,
    Notifications,
    MailsSent,
    MailsFailed,
}

/// What an event says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fact {
    /// Something happened.
    Counted { counter: Counter, at: i64 },
    /// An order was placed.
    Placed { order: Uuid, at: i64 },
    /// An order was confirmed.
    Confirmed(Confirmed),
    /// An order was rejected or cancelled.
    Ended { order: Uuid, counter: Counter, at: i64 },
}

/// A confirmed order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Confirmed {
    pub(super) order: Uuid,
    /// The event's own time. It is that of the input that confirmed the order, which is the order
    /// itself if one transaction placed and confirmed it.
    pub(super) at: i64,
    /// The time at which the broker wrote the event: until then the buyer has waited.
    pub(super) written_at: i64,
    /// The total in minor units.
    pub(super) total_minor: i64,
    pub(super) currency: String,
    /// The pieces of each SKU.
    pub(super) units: Vec<(String, i64)>,
}

/// Reads a record; `None` if nothing of it counts.
pub(super) fn of(record: &Record, codec: &Codec) -> Result<Option<Fact>, StoreError> {
    match &*record.topic {
        "user.events" => Ok(of_user(&event::<user::Event>(record, codec)?.message)),
        "order.events" => {
            let event = event::<order::Event>(record, codec)?;
            Ok(of_order(event.message, event.at))
        }
        "notification.events" => {
            let event = event::<notification::Event>(record, codec)?;
            Ok(of_notification(&event.message, event.at))
        }
        _ => Err(unfit(record, "expected a topic of events")),
    }
}

fn of_user(event: &user::Event) -> Option<Fact> {
    match event {
        user::Event::UserRegistered(it) => {
            Some(Fact::Counted { counter: Counter::Registrations, at: it.registered_at })
        }
        _ => None,
    }
}

fn of_order(event: order::Event, written_at: i64) -> Option<Fact> {
    use order::Event as E;
    match event {
        E::OrderPlaced(it) => Some(Fact::Placed { order: it.order_id, at: it.placed_at }),
        E::OrderConfirmed(it) => Some(Fact::Confirmed(Confirmed {
            order: it.order_id,
            at: it.confirmed_at,
            written_at,
            total_minor: it.total.amount_minor,
            currency: it.total.currency,
            units: it.lines.into_iter().map(|line| (line.sku, line.quantity.into())).collect(),
        })),
        E::OrderRejected(it) => {
            Some(Fact::Ended { order: it.order_id, counter: Counter::Rejected, at: it.rejected_at })
        }
        E::OrderCancelled(it) => Some(Fact::Ended {
            order: it.order_id,
            counter: Counter::Cancelled,
            at: it.cancelled_at,
        }),
        E::ReservationRecorded(_) => None,
    }
}

/// Events of mails have no time field: the time at which they were written counts.
fn of_notification(event: &notification::Event, written_at: i64) -> Option<Fact> {
    use notification::Event as E;
    let (counter, at) = match event {
        E::NotificationRaised(it) => (Counter::Notifications, it.raised_at),
        E::MailSent(_) => (Counter::MailsSent, written_at),
        E::MailFailed(_) => (Counter::MailsFailed, written_at),
        E::MailRequested(_) | E::NotificationRead(_) => return None,
    };
    Some(Fact::Counted { counter, at })
}

/// The confirmed orders that were placed before these facts.
pub(super) fn placed_before(facts: &[Fact]) -> Vec<Uuid> {
    let mut placed = BTreeSet::new();
    let mut before = Vec::new();
    for fact in facts {
        match fact {
            Fact::Placed { order, .. } => {
                placed.insert(*order);
            }
            Fact::Confirmed(it) if !placed.contains(&it.order) => before.push(it.order),
            _ => {}
        }
    }
    before
}
