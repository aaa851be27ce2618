//! What follows from what happens to an address: the user who asked is answered.

use schemas::{
    email::Event,
    user::{self, RecordEmailClaim},
};
use uuid::Uuid;

use crate::{Out, decider::Reaction};

/// What follows from `event`.
pub(super) fn react(event: &Event) -> Vec<Reaction<Out>> {
    match event {
        Event::EmailClaimed(claimed) => vec![answer(claimed.user_id, &claimed.email_fingerprint, true)],
        Event::EmailReleased(_) => Vec::new(),
    }
}

/// Tells a user whether an address is theirs.
pub(super) fn answer(user_id: Uuid, fingerprint: &str, granted: bool) -> Reaction<Out> {
    let answer = RecordEmailClaim { user_id, email_fingerprint: fingerprint.to_owned(), granted };
    Reaction::Send {
        topic: "user.followups",
        key: user_id.to_string(),
        message: Some(Out::User(user::FollowUp::from(answer))),
    }
}
