//! What follows from a claim on an address: the user who asked is answered.

use schemas::{
    email::ClaimEmail,
    user::{self, RecordEmailClaim},
};

use crate::{Out, decider::Reaction};

/// Tells a user whether an address is theirs. The answer names its claim: one that comes late is
/// not taken for the answer to a later claim.
pub(super) fn answer(claim: &ClaimEmail, granted: bool) -> Reaction<Out> {
    let ClaimEmail { email_fingerprint, user_id, claim_id } = claim.clone();
    let answer = RecordEmailClaim { user_id, email_fingerprint, claim_id, granted };
    Reaction::Send {
        topic: "user.followups",
        key: user_id.to_string(),
        message: Some(Out::User(user::FollowUp::from(answer))),
    }
}
