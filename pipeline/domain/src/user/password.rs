//! Changes of a password hash. Events carry only its version; the hash goes to the topic of
//! credentials.

use schemas::user::{
    ChangePassword, Credential, PasswordChanged, PasswordRehashed, RehashPassword, SessionEnd,
    state::Active,
};

use super::{User, credential::require_current, policy, sessions};
use crate::decider::{Decision, DecisionResult, InputInfo};

/// Replaces the password, and ends all sessions.
pub(super) fn change(
    user: &Active,
    change: &ChangePassword,
    info: &InputInfo<'_>,
) -> DecisionResult<User> {
    require_current(user, change.credential_version)?;
    let credential = next_credential(user, &change.password_hash, info);
    let Credential { user_id, credential_version, .. } = credential;
    let mut events = vec![PasswordChanged { user_id, credential_version }.into()];
    events.extend(sessions::end_all(user, SessionEnd::PasswordChanged));
    Ok(Decision::events(events).with(policy::publish(credential)))
}

/// Replaces the hash of the same password.
pub(super) fn rehash(
    user: &Active,
    rehash: &RehashPassword,
    info: &InputInfo<'_>,
) -> DecisionResult<User> {
    require_current(user, rehash.credential_version)?;
    let credential = next_credential(user, &rehash.password_hash, info);
    let Credential { user_id, credential_version, .. } = credential;
    let event = PasswordRehashed { user_id, credential_version };
    Ok(Decision::event(event).with(policy::publish(credential)))
}

fn next_credential(user: &Active, password_hash: &str, info: &InputInfo<'_>) -> Credential {
    Credential {
        user_id: user.user_id,
        password_hash: password_hash.to_owned(),
        credential_version: user.credential_version + 1,
        changed_at: info.at_ms,
    }
}
