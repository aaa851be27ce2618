//! Registration and changes of the e-mail address: both are sagas that claim the address at the
//! `email` context first. A user never holds an address without a granted claim.

use schemas::user::{
    ChangeEmail, Credential, EmailChangeRefused, EmailChangeStarted, EmailChanged, Event,
    RecordEmailClaim, RegisterUser, RegistrationRefused, RegistrationStarted, State,
    UserRegistered,
    state::{Active, Registering},
};

use super::{User, credential::require_current, policy};
use crate::{
    Out,
    decider::{Decision, DecisionResult, InputInfo, Refusal},
    refusals, rules,
};

/// Begins a registration.
pub(super) fn register(
    state: Option<&State>,
    register: &RegisterUser,
    info: &InputInfo<'_>,
) -> DecisionResult<User> {
    if state.is_some() {
        return Err(already_registered());
    }
    rules::email(&register.email)?;
    rules::name(&register.name)?;
    let RegisterUser { user_id, email, email_fingerprint, name, password_hash, role } =
        register.clone();
    let started_at = info.at_ms;
    let started = RegistrationStarted { user_id, email_fingerprint, email, name, role, started_at };
    let credential =
        Credential { user_id, password_hash, credential_version: 1, changed_at: info.at_ms };
    Ok(Decision::pending(started).with(policy::publish(credential)))
}

/// The refusal of a second registration under one id.
pub(super) fn already_registered() -> Refusal {
    Refusal::new(refusals::ALREADY_EXISTS, "there is a user with this id already")
}

/// Begins a change of the address. A change that keeps the fingerprint needs no claim.
pub(super) fn change(
    user: &Active,
    change: &ChangeEmail,
    info: &InputInfo<'_>,
) -> DecisionResult<User> {
    require_current(user, change.credential_version)?;
    info.require_version(change.expected_version, "user")?;
    rules::email(&change.email)?;
    if user.pending_email.is_some() {
        let detail = "another change of the address is under way";
        return Err(Refusal::new(refusals::IN_PROGRESS, detail));
    }
    let user_id = user.user_id;
    let (email, email_fingerprint) = (change.email.clone(), change.email_fingerprint.clone());
    if email == user.email {
        return Ok(Decision::nothing());
    }
    // The same address in other letter case is claimed already.
    if email_fingerprint == user.email_fingerprint {
        let former_fingerprint = email_fingerprint.clone();
        let changed = EmailChanged { user_id, email, email_fingerprint, former_fingerprint };
        return Ok(Decision::event(changed));
    }
    let claim_id = info.input_id;
    Ok(Decision::pending(EmailChangeStarted { user_id, email, email_fingerprint, claim_id }))
}

/// Records the reply to a claim. A reply to an earlier claim on the same address changes nothing.
pub(super) fn record_claim(
    state: Option<&State>,
    claim: &RecordEmailClaim,
    info: &InputInfo<'_>,
) -> Decision<Event, Out> {
    match claim.granted {
        true => claim_granted(state, claim, info),
        false if is_outdated(state, claim) => Decision::nothing(),
        false => claim_refused(state, &claim.email_fingerprint, refusals::ADDRESS_TAKEN),
    }
}

/// Whether a reply is to an earlier claim than the pending one on the same address.
fn is_outdated(state: Option<&State>, claim: &RecordEmailClaim) -> bool {
    let Some(State::Active(Active { pending_email: Some(pending), .. })) = state else {
        return false;
    };
    pending.email_fingerprint == claim.email_fingerprint && pending.claim_id != claim.claim_id
}

fn claim_granted(
    state: Option<&State>,
    claim: &RecordEmailClaim,
    info: &InputInfo<'_>,
) -> Decision<Event, Out> {
    let fingerprint = &claim.email_fingerprint;
    // A user that is forgotten has no version, and needs no address.
    let version = state.map(|_| info.version);
    match state {
        Some(State::Registering(registering)) if registering.email_fingerprint == *fingerprint => {
            let Registering { user_id, email, email_fingerprint, name, role, .. } =
                registering.clone();
            let registered_at = info.at_ms;
            Decision::event(UserRegistered {
                user_id,
                email,
                email_fingerprint,
                name,
                role,
                registered_at,
            })
        }
        Some(State::Active(user)) if user.email_fingerprint == *fingerprint => Decision::nothing(),
        Some(State::Active(_)) if is_outdated(state, claim) => Decision::nothing(),
        Some(State::Active(user)) => match &user.pending_email {
            Some(pending) if pending.email_fingerprint == *fingerprint => {
                Decision::event(EmailChanged {
                    user_id: user.user_id,
                    email: pending.email.clone(),
                    email_fingerprint: fingerprint.clone(),
                    former_fingerprint: user.email_fingerprint.clone(),
                })
            }
            _ => Decision::nothing().with(policy::release(claim.user_id, fingerprint, version)),
        },
        // The grant comes too late: the user no longer needs the address.
        _ => Decision::nothing().with(policy::release(claim.user_id, fingerprint, version)),
    }
}

/// Ends the registration or the change that waits for a claim: the claim was refused, or its
/// deadline has passed.
pub(super) fn claim_refused(
    state: Option<&State>,
    fingerprint: &str,
    reason: &str,
) -> Decision<Event, Out> {
    match state {
        Some(State::Registering(registering)) if registering.email_fingerprint == fingerprint => {
            let user_id = registering.user_id;
            Decision::event(RegistrationRefused { user_id, reason: reason.to_owned() })
                .with(policy::cancel_deadline(fingerprint))
                .with(policy::forget_credential(user_id))
        }
        Some(State::Active(user)) => match &user.pending_email {
            Some(pending) if pending.email_fingerprint == fingerprint => {
                Decision::event(EmailChangeRefused {
                    user_id: user.user_id,
                    email_fingerprint: fingerprint.to_owned(),
                    reason: reason.to_owned(),
                })
            }
            _ => Decision::nothing(),
        },
        _ => Decision::nothing(),
    }
}
