//! Notifications: the inbox, and the attempts to send a mail.

use domain::{
    Out,
    decider::{CommandStatus, Reaction},
    notification::{Notification, policy},
    refusals,
};
use schemas::{
    Money,
    notification::{
        Event, FollowUp, Kind, Mail, MailFailed, MailRequested, MailSent, MarkRead,
        NotificationRead, RaiseNotification, RecordDelivery, State, state::Raised,
    },
    order::{self, OrderCancelled, OrderConfirmed, OrderPlaced, OrderRejected},
    user::{self, NameChanged, Role, UserRegistered},
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

fn due_ms(notification: &Aggregate<Notification>) -> Vec<i64> {
    notification.timers.values().copied().collect()
}

fn requested(events: &[Event]) -> Option<&MailRequested> {
    events.iter().find_map(|event| match event {
        Event::MailRequested(requested) => Some(requested),
        _ => None,
    })
}

#[test]
fn notification_is_raised_once() {
    let mut notification = Aggregate::<Notification>::new(ID);
    let then = notification.follow_up(raise(false));
    let [Event::NotificationRaised(event)] = &then.events[..] else { panic!("{then:?}") };
    assert_eq!((event.user_id, event.order_id, event.raised_at), (ANN, Some(ORDER), START_MS));
    assert!(event.body.contains(&ORDER.to_string()));
    notification.follow_up(raise(false)).nothing();
    notification.follow_up(raise(true)).nothing();
    assert!(notification.timers.is_empty());
}

#[test]
fn each_kind_has_its_own_text_without_personal_data() {
    let reasons = [
        None,
        Some(refusals::OUT_OF_STOCK),
        Some(refusals::UNKNOWN_PRODUCT),
        Some(refusals::MIXED_CURRENCIES),
        Some(refusals::TOTAL_OVERFLOW),
    ];
    let mut bodies = std::collections::BTreeSet::new();
    let kinds = [Kind::Welcome, Kind::OrderConfirmed, Kind::OrderCancelled];
    let kinds = kinds.map(|kind| (kind, None)).into_iter();
    for (kind, reason) in kinds.chain(reasons.map(|reason| (Kind::OrderRejected, reason))) {
        let mut notification = Aggregate::<Notification>::new(ID);
        let reason = reason.map(str::to_owned);
        notification.follow_up(RaiseNotification { kind, reason, ..raise(false) });
        let Raised { title, body, .. } = state(&notification).clone();
        assert!(!title.is_empty() && !body.contains(&ANN.to_string()), "{body}");
        bodies.insert(body);
    }
    assert_eq!(bodies.len(), 8, "each says something else");
}

#[test]
fn mail_is_requested_if_the_service_has_a_mail_server() {
    let mut notification = Aggregate::<Notification>::new(ID);
    let then = notification.follow_up(raise(true));
    let request = requested(&then.events).unwrap();
    assert_eq!(
        (request.attempt, request.message_id.as_str()),
        (1, state(&notification).message_id.as_str())
    );
    assert_eq!(due_ms(&notification), [START_MS + policy::REPORT_MS]);
}

#[test]
fn delivered_mail_needs_no_further_report() {
    let mut notification = raised(true);
    let then = notification.command(report(1, true));
    assert_eq!(
        then.events,
        [Event::from(MailSent { notification_id: ID, user_id: ANN, attempt: 1 })]
    );
    assert!(notification.timers.is_empty());
    for late in [report(1, true), report(1, false), report(2, false)] {
        assert_eq!(notification.command(late).refused(), refusals::WRONG_STAGE);
    }
    notification.timer("retry").nothing();
}

#[test]
fn mail_is_tried_five_times_with_growing_pauses() {
    let mut notification = raised(true);
    let message_id = state(&notification).message_id.clone();
    for (attempt, pause_ms) in [(1, 5_000), (2, 20_000), (3, 80_000), (4, 320_000)] {
        let then = notification.command(report(attempt, false));
        assert_eq!((then.events.len(), then.status), (0, CommandStatus::Accepted));
        assert_eq!(due_ms(&notification), [notification.at_ms + pause_ms], "attempt {attempt}");
        let then = notification.fire();
        let request = requested(&then.events).unwrap();
        assert_eq!((request.attempt, &request.message_id), (attempt + 1, &message_id));
    }
    let then = notification.command(report(5, false));
    let detail = "451 later".to_owned();
    let failed = MailFailed { notification_id: ID, user_id: ANN, attempts: 5, detail };
    assert_eq!(then.events, [Event::from(failed)]);
    assert_eq!((state(&notification).mail, notification.timers.len()), (Mail::Failed, 0));
    notification.timer("retry").nothing();
}

/// A worker that is behind sends the mail late, and only once.
#[test]
fn attempt_without_a_report_is_not_repeated() {
    let mut notification = raised(true);
    notification.wait_ms(policy::REPORT_MS - 1);
    let then = notification.command(report(1, true));
    assert!(matches!(&then.events[..], [Event::MailSent(sent)] if sent.attempt == 1), "{then:?}");
    assert!(notification.timers.is_empty());
}

#[test]
fn mail_without_a_report_fails_in_the_end() {
    let mut notification = raised(true);
    notification.command(report(1, false));
    assert_eq!(requested(&notification.fire().events).unwrap().attempt, 2);
    assert_eq!(due_ms(&notification), [notification.at_ms + policy::REPORT_MS]);
    let then = notification.fire();
    assert!(matches!(&then.events[..], [Event::MailFailed(failed)] if failed.attempts == 2));
    assert!(notification.timers.is_empty());
    assert_eq!(notification.command(report(2, true)).refused(), refusals::WRONG_STAGE);
}

/// Earlier versions set the timer of the next attempt for an attempt without a report.
#[test]
fn timer_of_an_earlier_version_ends_the_last_attempt() {
    let mut notification = raised(true);
    for attempt in 2..=5 {
        assert_eq!(requested(&notification.timer("retry").events).unwrap().attempt, attempt);
    }
    let then = notification.timer("retry");
    assert!(matches!(&then.events[..], [Event::MailFailed(failed)] if failed.attempts == 5));
    assert!(notification.timers.is_empty());
}

#[test]
fn repeated_report_of_a_failure_is_no_further_attempt() {
    let mut notification = raised(true);
    notification.command(report(1, false));
    notification.command(report(1, false));
    assert_eq!(notification.timers.len(), 1);
    assert_eq!(requested(&notification.fire().events).unwrap().attempt, 2);
    assert_eq!(notification.command(report(1, false)).refused(), refusals::WRONG_STAGE);
}

#[test]
fn report_without_a_mail_is_refused() {
    assert_eq!(raised(false).command(report(0, true)).refused(), refusals::WRONG_STAGE);
    assert_eq!(raised(false).command(report(1, true)).refused(), refusals::WRONG_STAGE);
    for timer in ["retry", "report"] {
        raised(false).timer(timer).nothing();
        Aggregate::<Notification>::new(ID).timer(timer).nothing();
    }
}

#[test]
fn notification_is_read_once_and_only_by_its_user() {
    let mut notification = raised(false);
    assert_eq!(
        notification.command(MarkRead { user_id: ORDER, ..read() }).refused(),
        refusals::NOT_FOUND
    );
    let then = notification.command(read());
    let event = NotificationRead { notification_id: ID, user_id: ANN, read_at: START_MS };
    assert_eq!(then.events, [Event::from(event)]);
    notification.wait_ms(1);
    notification.command(read()).nothing();
    assert_eq!(state(&notification).read_at, Some(START_MS));
}

#[test]
fn reading_does_not_change_the_mail() {
    let mut notification = raised(true);
    notification.command(read());
    assert_eq!(notification.command(report(1, true)).events.len(), 1);
    assert_eq!(
        (state(&notification).mail, state(&notification).read_at),
        (Mail::Sent, Some(START_MS))
    );
}

#[test]
fn unknown_notification_is_not_found() {
    let mut notification = Aggregate::<Notification>::new(ID);
    assert_eq!(notification.command(read()).refused(), refusals::NOT_FOUND);
    assert_eq!(notification.command(report(1, true)).refused(), refusals::NOT_FOUND);
    let mut other = Aggregate::<Notification>::new(ORDER);
    assert_eq!(other.command(read()).refused(), refusals::INVALID, "not the record's key");
}

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
    let (_, raise) = only(policy::from_user_event(&registered.into(), event_id, false));
    assert_eq!((raise.kind, raise.mail, raise.order_id), (Kind::Welcome, false, None));
}

#[test]
fn other_events_raise_no_notification() {
    let placed = OrderPlaced { order_id: ORDER, user_id: ANN, lines: Vec::new(), placed_at: 0 };
    assert!(policy::from_order_event(&placed.into(), ID, true).is_empty());
    let renamed: user::Event = NameChanged { user_id: ANN, name: "Anna".into() }.into();
    assert!(policy::from_user_event(&renamed, ID, true).is_empty());
}
