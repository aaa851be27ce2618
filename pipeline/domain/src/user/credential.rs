//! The check of the credential version, which every change that needs the current password makes.
//! The gateway has verified the password; the version tells whether it is still the current one.

use schemas::user::state::Active;

use crate::{decider::Refusal, refusals};

/// Checks that the sender has verified the current password.
pub(super) fn require_current(user: &Active, credential_version: i32) -> Result<(), Refusal> {
    match credential_version == user.credential_version {
        true => Ok(()),
        false => Err(Refusal::new(
            refusals::STALE_CREDENTIAL,
            "the password was changed meanwhile: try again with the new one",
        )),
    }
}
