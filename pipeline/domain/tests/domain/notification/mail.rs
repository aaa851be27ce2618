//! The attempts to send the mail of a notification.

use super::*;

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
