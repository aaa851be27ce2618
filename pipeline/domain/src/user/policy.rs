//! What follows from what happens to a user: addresses are claimed and released, and credentials
//! published.

use schemas::{
    email::{self, ClaimEmail, ReleaseEmail},
    user::{Credential, Event},
};
use uuid::Uuid;

use crate::{
    Out,
    decider::{Context, Reaction, Refusal, Verdict},
    refusals,
};

/// How long a claim may take, in milliseconds.
pub(super) const CLAIM_MS: i64 = 30_000;
/// What the name of a claim's timer begins with; the fingerprint follows.
const CLAIM: &str = "claim ";

/// What follows from `event`.
pub(super) fn react(event: &Event, context: &Context<'_>) -> Vec<Reaction<Out>> {
    let accepted = || Reaction::Conclude(Verdict::Accepted);
    match event {
        Event::RegistrationStarted(started) => {
            claim(started.user_id, &started.email_fingerprint, context)
        }
        Event::EmailChangeStarted(started) => {
            claim(started.user_id, &started.email_fingerprint, context)
        }
        Event::UserRegistered(registered) => vec![stop(&registered.email_fingerprint), accepted()],
        Event::EmailChanged(changed) if changed.former_fingerprint == changed.email_fingerprint => {
            Vec::new()
        }
        Event::EmailChanged(changed) => vec![
            stop(&changed.email_fingerprint),
            release(changed.user_id, &changed.former_fingerprint),
            accepted(),
        ],
        Event::RegistrationRefused(refused) => vec![conclude(&refused.reason)],
        Event::EmailChangeRefused(refused) => {
            vec![stop(&refused.email_fingerprint), conclude(&refused.reason)]
        }
        Event::UserDeactivated(deactivated) => vec![
            release(deactivated.user_id, &deactivated.email_fingerprint),
            forget_credential(deactivated.user_id),
        ],
        Event::SessionStarted(_)
        | Event::SessionRefreshed(_)
        | Event::SessionEnded(_)
        | Event::NameChanged(_)
        | Event::PasswordChanged(_)
        | Event::PasswordRehashed(_) => Vec::new(),
    }
}

/// The fingerprint of the claim that a timer is about.
pub(super) fn fingerprint_of(timer: &str) -> Option<&str> {
    timer.strip_prefix(CLAIM)
}

/// Lets go of an address. Who does not own it releases nothing.
pub(super) fn release(user_id: Uuid, fingerprint: &str) -> Reaction<Out> {
    to_email(
        fingerprint,
        ReleaseEmail { email_fingerprint: fingerprint.to_owned(), user_id }.into(),
    )
}

/// Publishes what verifies a user's password.
pub(super) fn publish(credential: Credential) -> Reaction<Out> {
    let key = credential.user_id.to_string();
    Reaction::Send { topic: "user.credentials", key, message: Some(Out::Credential(credential)) }
}

/// Takes back what verifies a user's password.
pub(super) fn forget_credential(user_id: Uuid) -> Reaction<Out> {
    Reaction::Send { topic: "user.credentials", key: user_id.to_string(), message: None }
}

fn claim(user_id: Uuid, fingerprint: &str, context: &Context<'_>) -> Vec<Reaction<Out>> {
    let ask = ClaimEmail {
        email_fingerprint: fingerprint.to_owned(),
        user_id,
        claim_id: context.input_id,
    };
    vec![
        to_email(fingerprint, ask.into()),
        Reaction::SetTimer {
            name: format!("{CLAIM}{fingerprint}"),
            due_ms: context.at_ms + CLAIM_MS,
        },
    ]
}

/// Forgets the timer of a claim.
pub(super) fn stop(fingerprint: &str) -> Reaction<Out> {
    Reaction::CancelTimer { name: format!("{CLAIM}{fingerprint}") }
}

fn to_email(fingerprint: &str, message: email::FollowUp) -> Reaction<Out> {
    let (topic, key) = ("email.followups", fingerprint.to_owned());
    Reaction::Send { topic, key, message: Some(Out::Email(message)) }
}

fn conclude(reason: &str) -> Reaction<Out> {
    let refusal = match reason {
        refusals::ADDRESS_TAKEN => {
            Refusal::new(refusals::ADDRESS_TAKEN, "the address belongs to another user")
        }
        refusals::CANCELLED => {
            Refusal::new(refusals::CANCELLED, "the user was deactivated meanwhile")
        }
        _ => Refusal::new(
            refusals::CLAIM_TIMED_OUT,
            "the address could not be claimed in time: try again",
        ),
    };
    Reaction::Conclude(Verdict::Refused(refusal))
}
