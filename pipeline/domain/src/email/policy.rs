//! The reply to a claim on an address. No event of an address causes a reaction.

use schemas::{
    email::ClaimEmail,
    user::{self, RecordEmailClaim},
};

use super::Email;
use crate::{Out, decider::Reaction, policy::Policy};

impl Policy for Email {}

/// Tells a user whether the claim is granted. The reply names its claim, so that the user does not
/// take a late reply for the reply to a later claim.
pub(super) fn reply(claim: &ClaimEmail, granted: bool) -> Reaction<Out> {
    let ClaimEmail { email_fingerprint, user_id, claim_id, .. } = claim.clone();
    let reply = RecordEmailClaim { user_id, email_fingerprint, claim_id, granted };
    Reaction::send(user_id, user::FollowUp::from(reply))
}
