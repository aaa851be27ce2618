//! Which events of orders and users raise a notification.

use domain::{Out, decider::Reaction};
use schemas::{
    Money,
    notification::FollowUp,
    order::{self, OrderCancelled, OrderConfirmed, OrderPlaced, OrderRejected},
    user::{self, NameChanged, Role, UserRegistered},
};

use super::*;

fn only(reactions: Vec<Reaction<Out>>) -> (String, RaiseNotification) {
    match &reactions[..] {
        [
            Reaction::Send {
                topic: "notification.followups",
                key,
                message: Some(Out::Notification(FollowUp::RaiseNotification(raise))),
            },
        ] => (key.clone(), raise.clone()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn end_of_an_order_and_registration_raise_a_notification() {
    let (order_id, user_id) = (ORDER, ANN);
    let total = Money { amount_minor: 1, currency: "EUR".into() };
    let lines = Vec::new();
    let cases: [(order::Event, Kind, Option<&str>); 3] = [
        (
            OrderConfirmed { order_id, user_id, lines, total, confirmed_at: 0 }.into(),
            Kind::OrderConfirmed,
            None,
        ),
        (
            OrderRejected {
                order_id,
                user_id,
                reason: "deadline".into(),
                sku: None,
                rejected_at: 0,
            }
            .into(),
            Kind::OrderRejected,
            Some("deadline"),
        ),
        (
            OrderCancelled { order_id, user_id, reason: "by_customer".into(), cancelled_at: 0 }
                .into(),
            Kind::OrderCancelled,
            None,
        ),
    ];
    let event_id = Uuid::from_u128(99);
    for (event, kind, reason) in cases {
        let (key, raise) = only(policy::from_order_event(&event, event_id, true));
        assert_eq!(key, raise.notification_id.to_string());
        assert_eq!((raise.kind, raise.reason.as_deref(), raise.mail), (kind, reason, true));
        assert_eq!((raise.user_id, raise.order_id), (ANN, Some(ORDER)));
        // The same event always raises the same notification, another event another one.
        assert_eq!(only(policy::from_order_event(&event, event_id, true)).0, key);
        assert_ne!(only(policy::from_order_event(&event, ID, true)).0, key);
    }
    let registered = UserRegistered {
        user_id,
        email: "ann@example.org".into(),
        email_fingerprint: "f1".into(),
        name: "Ann".into(),
        role: Role::User,
        registered_at: 0,
    };
    let (_, raise) = only(policy::from_user_event(&registered.clone().into(), event_id, false));
    assert_eq!((raise.kind, raise.mail, raise.order_id), (Kind::Welcome, false, None));

    // The same command, sent again once its order or user is forgotten, leads to the same ids.
    let later = UserRegistered { registered_at: 1, ..registered };
    let (_, again) = only(policy::from_user_event(&later.into(), event_id, false));
    assert_ne!(again.notification_id, raise.notification_id);
    let cancelled = |cancelled_at| {
        let reason = "by_customer".into();
        let event = OrderCancelled { order_id, user_id, reason, cancelled_at }.into();
        only(policy::from_order_event(&event, event_id, true)).0
    };
    assert_ne!(cancelled(1), cancelled(2));
}

#[test]
fn other_events_raise_no_notification() {
    let placed = OrderPlaced { order_id: ORDER, user_id: ANN, lines: Vec::new(), placed_at: 0 };
    assert!(policy::from_order_event(&placed.into(), ID, true).is_empty());
    let renamed: user::Event = NameChanged { user_id: ANN, name: "Anna".into() }.into();
    assert!(policy::from_user_event(&renamed, ID, true).is_empty());
}
