//! Decides on a notification's commands, on the request to raise it and on its timers. It sends no
//! mail: it requests one by an event, and the mail worker reports with a command.

use schemas::{
    Never,
    notification::{
        Command, Event, FollowUp, Mail, MailFailed, MailRequested, MailSent, MarkRead,
        NotificationRaised, NotificationRead, RaiseNotification, RecordDelivery, State,
        state::Raised,
    },
};

use super::{Notification, policy, text};
use crate::{
    Out,
    decider::{Decider, Decision, DecisionResult, Input, InputInfo, RETENTION, Refusal},
    refusals, rules,
};

/// The most attempts to send a mail.
const ATTEMPTS_MAX: i32 = 5;

impl Decider for Notification {
    const CONTEXT: &'static str = "notification";
    type Command = Command;
    type FollowUp = FollowUp;
    type Event = Event;
    type State = State;
    type Child = Never;
    type Out = Out;

    fn decide(
        state: Option<&State>,
        _child: Option<&Never>,
        input: &Input<Command, FollowUp>,
        info: &InputInfo<'_>,
    ) -> DecisionResult<Self> {
        let raised = state.map(|State::Raised(raised)| raised);
        if let Input::Command(command) = input {
            let id = match command {
                Command::MarkRead(read) => read.notification_id,
                Command::RecordDelivery(report) => report.notification_id,
            };
            rules::key("notification_id", &id.to_string(), info.key)?;
        }
        let Some(raised) = raised else {
            return match input {
                Input::FollowUp(FollowUp::RaiseNotification(raise)) => {
                    Ok(raise_notification(raise, info))
                }
                Input::Command(_) => Err(not_found()),
                Input::Timer(_) => Ok(Decision::nothing()),
            };
        };
        match input {
            // The notification is raised already.
            Input::FollowUp(_) => Ok(Decision::nothing()),
            Input::Command(Command::MarkRead(read)) => mark_read(raised, read, info),
            Input::Command(Command::RecordDelivery(report)) => {
                record_delivery(raised, report, info)
            }
            // The engine is about to forget the state. An unread notification counts as read, so
            // that it leaves the counter of unread ones.
            Input::Timer(name) if name == RETENTION => Ok(read_now(raised, info)),
            Input::Timer(name) if name == policy::RETRY => Ok(next_attempt(raised)),
            Input::Timer(_) => Ok(never_reported(raised)),
        }
    }

    fn evolve(state: Option<State>, event: &Event) -> Option<State> {
        if let Event::NotificationRaised(event) = event {
            let NotificationRaised {
                notification_id,
                user_id,
                kind,
                title,
                body,
                order_id,
                raised_at,
            } = event.clone();
            return Some(State::Raised(Raised {
                notification_id,
                user_id,
                kind,
                title,
                body,
                order_id,
                raised_at,
                read_at: None,
                mail: Mail::None,
                attempt: 0,
                message_id: text::message_id(notification_id),
            }));
        }
        let State::Raised(mut raised) = state?;
        match event {
            Event::MailRequested(requested) => {
                raised.mail = Mail::Requested;
                raised.attempt = requested.attempt;
            }
            Event::NotificationRead(read) => raised.read_at = Some(read.read_at),
            Event::MailSent(_) => raised.mail = Mail::Sent,
            Event::MailFailed(_) => raised.mail = Mail::Failed,
            Event::NotificationRaised(_) => {}
        }
        Some(State::Raised(raised))
    }

    fn is_finished(State::Raised(raised): &State) -> bool {
        raised.mail != Mail::Requested
    }
}

fn raise_notification(raise: &RaiseNotification, info: &InputInfo<'_>) -> Decision<Event, Out> {
    let (title, body) = text::text(raise);
    let RaiseNotification { notification_id, user_id, kind, order_id, mail, .. } = raise.clone();
    let raised = NotificationRaised {
        notification_id,
        user_id,
        kind,
        title: title.clone(),
        body: body.clone(),
        order_id,
        raised_at: info.at_ms,
    };
    let mut events = vec![raised.into()];
    if mail {
        let message_id = text::message_id(notification_id);
        events.push(
            MailRequested { notification_id, user_id, attempt: 1, message_id, title, body }.into(),
        );
    }
    Decision::events(events)
}

fn mark_read(
    raised: &Raised,
    read: &MarkRead,
    info: &InputInfo<'_>,
) -> DecisionResult<Notification> {
    // Another user's notification is not found, like one that does not exist.
    match raised.user_id == read.user_id {
        true => Ok(read_now(raised, info)),
        false => Err(not_found()),
    }
}

/// Marks a notification as read, unless it is.
fn read_now(raised: &Raised, info: &InputInfo<'_>) -> Decision<Event, Out> {
    if raised.read_at.is_some() {
        return Decision::nothing();
    }
    let Raised { notification_id, user_id, .. } = *raised;
    Decision::event(NotificationRead { notification_id, user_id, read_at: info.at_ms })
}

fn record_delivery(
    raised: &Raised,
    report: &RecordDelivery,
    info: &InputInfo<'_>,
) -> DecisionResult<Notification> {
    // The attempt has been reported on, or was never requested.
    if raised.mail != Mail::Requested || report.attempt != raised.attempt {
        let detail = "this attempt is not the one that is under way";
        return Err(Refusal::new(refusals::WRONG_STAGE, detail));
    }
    let Raised { notification_id, user_id, attempt, .. } = *raised;
    Ok(if report.delivered {
        Decision::event(MailSent { notification_id, user_id, attempt })
    } else if attempt >= ATTEMPTS_MAX {
        Decision::event(failed(raised, &report.detail))
    } else {
        let due_ms = info.at_ms + policy::back_off_ms(attempt);
        Decision::nothing().with(policy::retry_at(due_ms)).with(policy::reported())
    })
}

/// Requests the next attempt, whose pause is over.
fn next_attempt(raised: &Raised) -> Decision<Event, Out> {
    // Earlier versions set this timer also for an attempt without a report, even for the last one.
    if raised.mail != Mail::Requested || raised.attempt >= ATTEMPTS_MAX {
        return never_reported(raised);
    }
    Decision::event(MailRequested {
        notification_id: raised.notification_id,
        user_id: raised.user_id,
        attempt: raised.attempt + 1,
        message_id: raised.message_id.clone(),
        title: raised.title.clone(),
        body: raised.body.clone(),
    })
}

/// Ends a mail whose attempt was not reported on in time.
fn never_reported(raised: &Raised) -> Decision<Event, Out> {
    match raised.mail {
        Mail::Requested => Decision::event(failed(raised, "there was no report on the attempt")),
        Mail::None | Mail::Sent | Mail::Failed => Decision::nothing(),
    }
}

fn failed(raised: &Raised, detail: &str) -> MailFailed {
    MailFailed {
        notification_id: raised.notification_id,
        user_id: raised.user_id,
        attempts: raised.attempt,
        detail: detail.to_owned(),
    }
}

fn not_found() -> Refusal {
    Refusal::new(refusals::NOT_FOUND, "there is no such notification")
}
