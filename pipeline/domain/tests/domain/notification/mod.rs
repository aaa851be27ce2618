//! Notifications: the inbox, the attempts to send a mail, and the policies that raise them. This
//! file holds the helpers of the tests.

mod inbox;
mod mail;
mod policies;

use domain::{
    decider::CommandStatus,
    notification::{Notification, policy},
    refusals,
};
use schemas::notification::{
    Event, Kind, Mail, MailFailed, MailRequested, MailSent, MarkRead, NotificationRead,
    RaiseNotification, RecordDelivery, State, state::Raised,
};
use uuid::Uuid;

use crate::aggregate::{Aggregate, START_MS};

const ID: Uuid = Uuid::from_u128(5);
const ANN: Uuid = Uuid::from_u128(1);
const ORDER: Uuid = Uuid::from_u128(7);

fn raise(mail: bool) -> RaiseNotification {
    RaiseNotification {
        notification_id: ID,
        user_id: ANN,
        kind: Kind::OrderConfirmed,
        order_id: Some(ORDER),
        reason: None,
        mail,
    }
}

fn raised(mail: bool) -> Aggregate<Notification> {
    let mut notification = Aggregate::new(ID);
    notification.follow_up(raise(mail));
    notification
}

fn report(attempt: i32, delivered: bool) -> RecordDelivery {
    RecordDelivery { notification_id: ID, attempt, delivered, detail: "451 later".into() }
}

fn read() -> MarkRead {
    MarkRead { notification_id: ID, user_id: ANN }
}

fn state(notification: &Aggregate<Notification>) -> &Raised {
    let Some(State::Raised(raised)) = &notification.state else { panic!("it is raised") };
    raised
}
