//! Users. This file holds the helpers that the tests of users and sessions share.

mod account;
mod address;
mod registration;

use domain::{Out, decider::CommandStatus, refusals, user::User};
use schemas::{
    email::{self, ClaimEmail, ReleaseEmail},
    user::{
        ChangeEmail, ChangeName, ChangePassword, Command, Credential, DeactivateUser, EmailChanged,
        EndSession, Event, NameChanged, PasswordChanged, PasswordRehashed, RecordEmailClaim,
        RefreshSession, RegisterUser, RegistrationRefused, RehashPassword, Role, SessionEnd,
        StartSession, State, UserRegistered, state::Active,
    },
};
use uuid::Uuid;

use crate::aggregate::{Aggregate, START_MS, Then};

pub(crate) const ANN: Uuid = Uuid::from_u128(1);

fn register() -> RegisterUser {
    RegisterUser {
        user_id: ANN,
        email: "ann@example.org".into(),
        email_fingerprint: "f1".into(),
        name: "Ann".into(),
        password_hash: "h1".into(),
        role: Role::User,
    }
}

/// The reply to the first claim on an address in these tests.
pub(crate) fn claim(fingerprint: &str, granted: bool) -> RecordEmailClaim {
    let claim_id = claim_id(fingerprint);
    RecordEmailClaim { user_id: ANN, email_fingerprint: fingerprint.into(), claim_id, granted }
}

/// The id of a claim is the id of the command that caused it: the first input registers, the third
/// one changes the address.
fn claim_id(fingerprint: &str) -> Uuid {
    Uuid::from_u128(if fingerprint == "f1" { 1 } else { 3 })
}

fn change_email() -> ChangeEmail {
    ChangeEmail {
        user_id: ANN,
        email: "new@example.org".into(),
        email_fingerprint: "f2".into(),
        credential_version: 1,
        expected_version: None,
    }
}

fn change_name(name: &str) -> ChangeName {
    ChangeName { user_id: ANN, name: name.into(), expected_version: None }
}

fn change_password(credential_version: i32) -> ChangePassword {
    ChangePassword { user_id: ANN, password_hash: "h2".into(), credential_version }
}

fn deactivate() -> DeactivateUser {
    DeactivateUser { user_id: ANN, credential_version: 1 }
}

fn registering() -> Aggregate<User> {
    let mut user = Aggregate::new(ANN);
    user.command(register());
    user
}

pub(crate) fn ann() -> Aggregate<User> {
    let mut user = registering();
    user.follow_up(claim("f1", true));
    user
}

pub(crate) fn active(user: &Aggregate<User>) -> &Active {
    match &user.state {
        Some(State::Active(active)) => active,
        state => panic!("not active: {state:?}"),
    }
}

/// The claim of a user that has this version.
fn claims(fingerprint: &str, version: i64) -> Out {
    let claim = ClaimEmail {
        email_fingerprint: fingerprint.into(),
        user_id: ANN,
        claim_id: claim_id(fingerprint),
        user_version: Some(version),
    };
    Out::Email(email::FollowUp::from(claim))
}

/// The release by a user that has this version.
fn releases(fingerprint: &str, version: impl Into<Option<i64>>) -> Out {
    let email_fingerprint = fingerprint.into();
    let release = ReleaseEmail { email_fingerprint, user_id: ANN, user_version: version.into() };
    Out::Email(email::FollowUp::from(release))
}

fn credential(password_hash: &str, credential_version: i32) -> Out {
    let password_hash = password_hash.to_owned();
    Out::Credential(Credential {
        user_id: ANN,
        password_hash,
        credential_version,
        changed_at: START_MS,
    })
}

fn forgets_credential(then: &Then<Event>) -> bool {
    then.sent.contains(&("user.credentials", ANN.to_string(), None))
}

/// The sessions that have ended, and the reasons.
pub(crate) fn ends(then: &Then<Event>) -> Vec<(Uuid, SessionEnd)> {
    let ended = |event: &Event| match event {
        Event::SessionEnded(ended) => Some((ended.session_id, ended.reason)),
        _ => None,
    };
    then.events.iter().filter_map(ended).collect()
}
