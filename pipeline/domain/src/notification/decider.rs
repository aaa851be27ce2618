//! What may happen to a notification.

use schemas::{
    Never,
    notification::{
        Command, Event, FollowUp, Kind, Mail, MailFailed, MailRequested, MailSent, MarkRead,
        NotificationRaised, NotificationRead, RaiseNotification, RecordDelivery, State,
        state::Raised,
    },
};

use super::policy;
use crate::{
    Out,
    decider::{Context, Decider, Decision, Input, RETENTION, Reaction},
    refusals, rules,
};

/// How often a mail is tried.
pub(super) const ATTEMPTS_MAX: i32 = 5;

/// A notification, keyed by its id.
#[derive(Debug)]
pub struct Notification;

impl Decider for Notification {
    const CONTEXT: &'static str = "notification";
    type Command = Command;
    type FollowUp = FollowUp;
    type Event = Event;
    type State = State;
    type Member = Never;
    type Out = Out;

    fn decide(
        state: Option<&State>,
        _member: Option<&Never>,
        input: &Input<Command, FollowUp>,
        context: &Context<'_>,
    ) -> Decision<Event, Out> {
        let raised = state.map(|State::Raised(raised)| raised);
        if let Input::Command(command) = input {
            let id = match command {
                Command::MarkRead(read) => read.notification_id,
                Command::RecordDelivery(report) => report.notification_id,
            };
            if let Err(refusal) = rules::key("notification_id", &id.to_string(), context.key) {
                return Decision::refuse(refusal.code, refusal.detail);
            }
        }
        match (input, raised) {
            (Input::FollowUp(FollowUp::RaiseNotification(raise)), None) => {
                raise_notification(raise, context)
            }
            // Raised already.
            (Input::FollowUp(_), Some(_)) => Decision::nothing(),
            (Input::Command(Command::MarkRead(read)), Some(raised)) => {
                mark_read(raised, read, context)
            }
            (Input::Command(Command::RecordDelivery(report)), Some(raised)) => {
                record_delivery(raised, report, context)
            }
            (Input::Command(_), None) => not_found(),
            (Input::Timer(name), Some(raised)) if name == RETENTION => retention(raised, context),
            (Input::Timer(_), Some(raised)) => timer(raised),
            (Input::Timer(_), None) => Decision::nothing(),
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
                message_id: policy::message_id(notification_id),
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

    fn react(_state: Option<&State>, event: &Event, context: &Context<'_>) -> Vec<Reaction<Out>> {
        policy::react(event, context)
    }
}

fn raise_notification(raise: &RaiseNotification, context: &Context<'_>) -> Decision<Event, Out> {
    let (title, body) = text(raise);
    let RaiseNotification { notification_id, user_id, kind, order_id, mail, .. } = raise.clone();
    let raised = NotificationRaised {
        notification_id,
        user_id,
        kind,
        title: title.clone(),
        body: body.clone(),
        order_id,
        raised_at: context.at_ms,
    };
    let mut events = vec![raised.into()];
    if mail {
        let message_id = policy::message_id(notification_id);
        events.push(
            MailRequested { notification_id, user_id, attempt: 1, message_id, title, body }.into(),
        );
    }
    Decision::accept(events)
}

fn mark_read(raised: &Raised, read: &MarkRead, context: &Context<'_>) -> Decision<Event, Out> {
    // Another's notification is as good as none.
    if raised.user_id != read.user_id {
        return not_found();
    }
    if raised.read_at.is_some() {
        return Decision::nothing();
    }
    let MarkRead { notification_id, user_id } = *read;
    Decision::accept([NotificationRead { notification_id, user_id, read_at: context.at_ms }.into()])
}

fn record_delivery(
    raised: &Raised,
    report: &RecordDelivery,
    context: &Context<'_>,
) -> Decision<Event, Out> {
    // A report of an attempt that was given up on meanwhile, or of none.
    if raised.mail != Mail::Requested || report.attempt != raised.attempt {
        return Decision::refuse(
            refusals::WRONG_STAGE,
            "this attempt is not the one that is under way",
        );
    }
    let Raised { notification_id, user_id, attempt, .. } = *raised;
    if report.delivered {
        return Decision::accept([MailSent { notification_id, user_id, attempt }.into()]);
    }
    if attempt >= ATTEMPTS_MAX {
        return Decision::accept([failed(raised, &report.detail)]);
    }
    Decision::nothing().with(policy::retry(context.at_ms + policy::back_off_ms(attempt)))
}

/// An attempt is due, or was never reported on.
fn timer(raised: &Raised) -> Decision<Event, Out> {
    if raised.mail != Mail::Requested {
        return Decision::nothing();
    }
    if raised.attempt >= ATTEMPTS_MAX {
        return Decision::accept([failed(raised, "the last attempt was never reported on")]);
    }
    Decision::accept([MailRequested {
        notification_id: raised.notification_id,
        user_id: raised.user_id,
        attempt: raised.attempt + 1,
        message_id: raised.message_id.clone(),
        title: raised.title.clone(),
        body: raised.body.clone(),
    }
    .into()])
}

/// The inbox lets go of it: what was never read counts as read, so that no counter of unread ones
/// keeps it.
fn retention(raised: &Raised, context: &Context<'_>) -> Decision<Event, Out> {
    if raised.read_at.is_some() {
        return Decision::nothing();
    }
    let Raised { notification_id, user_id, .. } = *raised;
    Decision::accept([NotificationRead { notification_id, user_id, read_at: context.at_ms }.into()])
}

fn failed(raised: &Raised, detail: &str) -> Event {
    MailFailed {
        notification_id: raised.notification_id,
        user_id: raised.user_id,
        attempts: raised.attempt,
        detail: detail.to_owned(),
    }
    .into()
}

fn not_found() -> Decision<Event, Out> {
    Decision::refuse(refusals::NOT_FOUND, "there is no such notification")
}

/// What a notification says. No personal data stands in it: its event is kept for ever.
fn text(raise: &RaiseNotification) -> (String, String) {
    let order = raise.order_id.map(|id| id.to_string()).unwrap_or_default();
    match raise.kind {
        Kind::Welcome => ("Welcome to Millrace".to_owned(), "Your account is ready.".to_owned()),
        Kind::OrderConfirmed => (
            "Your order is confirmed".to_owned(),
            format!("Everything in order {order} is reserved for you."),
        ),
        Kind::OrderRejected => {
            let reason = match raise.reason.as_deref() {
                Some(refusals::OUT_OF_STOCK) => "something in it is out of stock",
                Some(refusals::UNKNOWN_PRODUCT) => "it names a product that is not on sale",
                Some(refusals::MIXED_CURRENCIES) => {
                    "its products have prices in different currencies"
                }
                Some(refusals::TOTAL_OVERFLOW) => "its total is more than can be counted",
                _ => "it could not be decided in time",
            };
            (
                "Your order could not be accepted".to_owned(),
                format!("Order {order} was rejected: {reason}."),
            )
        }
        Kind::OrderCancelled => (
            "Your order is cancelled".to_owned(),
            format!("Order {order} was cancelled as you asked."),
        ),
        // A later version's kind, met after a roll-back.
        Kind::Other => {
            ("News from Millrace".to_owned(), "Something of yours has changed.".to_owned())
        }
    }
}
