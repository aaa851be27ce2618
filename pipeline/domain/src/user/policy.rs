//! Claims and releases addresses, publishes credentials, and ends pending commands.

use schemas::{
    bounds::CLAIM_DEADLINE_MS,
    email::{self, ClaimEmail, ReleaseEmail},
    user::{Credential, Event, State},
};
use uuid::Uuid;

use super::User;
use crate::{
    Out,
    decider::{InputInfo, Reaction, Refusal},
    policy::Policy,
    refusals,
};

/// The prefix of the name of a claim's timer; the fingerprint follows.
const CLAIM: &str = "claim ";

impl Policy for User {
    fn react(_state: Option<&State>, event: &Event, info: &InputInfo<'_>) -> Vec<Reaction<Out>> {
        match event {
            Event::RegistrationStarted(started) => {
                claim(started.user_id, &started.email_fingerprint, info)
            }
            Event::EmailChangeStarted(started) => {
                claim(started.user_id, &started.email_fingerprint, info)
            }
            Event::UserRegistered(registered) => {
                vec![cancel_deadline(&registered.email_fingerprint), Reaction::Conclude(Ok(()))]
            }
            // The same address in other letter case: nothing was claimed.
            Event::EmailChanged(changed)
                if changed.former_fingerprint == changed.email_fingerprint =>
            {
                Vec::new()
            }
            Event::EmailChanged(changed) => vec![
                cancel_deadline(&changed.email_fingerprint),
                release(changed.user_id, &changed.former_fingerprint, Some(info.version)),
                Reaction::Conclude(Ok(())),
            ],
            Event::RegistrationRefused(refused) => vec![refuse(&refused.reason)],
            Event::EmailChangeRefused(refused) => {
                vec![cancel_deadline(&refused.email_fingerprint), refuse(&refused.reason)]
            }
            Event::UserDeactivated(deactivated) => vec![
                release(deactivated.user_id, &deactivated.email_fingerprint, Some(info.version)),
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
}

/// The fingerprint in the name of a claim's timer.
pub(super) fn fingerprint_of(timer: &str) -> Option<&str> {
    timer.strip_prefix(CLAIM)
}

/// Releases an address. The `email` context ignores a release by a user that does not own it, or
/// that has claimed it again at a later version.
pub(super) fn release(user_id: Uuid, fingerprint: &str, version: Option<i64>) -> Reaction<Out> {
    let email_fingerprint = fingerprint.to_owned();
    let release = ReleaseEmail { email_fingerprint, user_id, user_version: version };
    Reaction::send(fingerprint, email::FollowUp::from(release))
}

/// Publishes the hash that verifies a user's password.
pub(super) fn publish(credential: Credential) -> Reaction<Out> {
    Reaction::send(credential.user_id, credential)
}

/// Removes the hash that verifies a user's password.
pub(super) fn forget_credential(user_id: Uuid) -> Reaction<Out> {
    Reaction::tombstone::<Credential>(user_id)
}

/// Removes the timer of a claim.
pub(super) fn cancel_deadline(fingerprint: &str) -> Reaction<Out> {
    Reaction::cancel_timer(format!("{CLAIM}{fingerprint}"))
}

fn claim(user_id: Uuid, fingerprint: &str, info: &InputInfo<'_>) -> Vec<Reaction<Out>> {
    let email_fingerprint = fingerprint.to_owned();
    let claim = ClaimEmail {
        email_fingerprint,
        user_id,
        claim_id: info.input_id,
        user_version: Some(info.version),
    };
    vec![
        Reaction::send(fingerprint, email::FollowUp::from(claim)),
        Reaction::set_timer(format!("{CLAIM}{fingerprint}"), info.at_ms + CLAIM_DEADLINE_MS),
    ]
}

/// Ends the pending command with a refusal.
fn refuse(reason: &str) -> Reaction<Out> {
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
    Reaction::Conclude(Err(refusal))
}
