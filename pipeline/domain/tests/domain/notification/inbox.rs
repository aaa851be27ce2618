//! The inbox: notifications are raised once, with a text for each kind, and are read once.

use super::*;

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
