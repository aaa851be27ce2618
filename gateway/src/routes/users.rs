//! Users: registration, and a user's own account. A new e-mail address, a new password and
//! deactivation need the current password. A repeat of such a request that the log has confirmed is
//! not compared again: the password may be another one since, and would count as wrong.

use std::time::Duration;

use schemas::{
    Outcome,
    user::{ChangeEmail, ChangeName, ChangePassword, Command, DeactivateUser, RegisterUser, Role},
};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::time::{Instant, sleep};
use uuid::Uuid;
use warp::{
    Reply,
    http::{StatusCode, header},
};

use crate::{
    auth::{PasswordCheck, Passwords},
    call::{Answer, Body, Call, EarlyResponse},
    conditions,
    headers::set,
    ids::{Ids, Principal},
    input,
    problem::Problem,
    read_after::ReadAfter,
    reads::{Credential, User},
    submit::Submission,
};

/// The polling interval for a credential that was just set.
const CREDENTIAL_INTERVAL: Duration = Duration::from_millis(10);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Register {
    email: String,
    password: SecretString,
    name: String,
}

impl Body for Register {
    const SHAPE: &'static str = r#"{"email": string, "password": string, "name": string}"#;
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rename {
    name: String,
}

impl Body for Rename {
    const SHAPE: &'static str = r#"{"name": string}"#;
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Deactivate {
    password: SecretString,
}

impl Body for Deactivate {
    const SHAPE: &'static str = r#"{"password": string}"#;
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewEmail {
    email: String,
    password: SecretString,
}

impl Body for NewEmail {
    const SHAPE: &'static str = r#"{"email": string, "password": string}"#;
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPassword {
    current: SecretString,
    new: SecretString,
}

impl Body for NewPassword {
    const SHAPE: &'static str = r#"{"current": string, "new": string}"#;
}

/// POST /v1/users
pub(super) async fn register(mut call: Call) -> Answer {
    let body: Register = call.json().await?;
    let (email, name) = (input::email(&body.email)?, input::name(&body.name)?);
    Passwords::check_length("password", &body.password)?;
    let email_fingerprint = call.state.ids.email(&email);
    let principal = Principal::Anonymous(email_fingerprint.clone());
    let canonical = (&email, body.password.expose_secret(), &name);
    let mut sent = Submission::begin(&call, principal, &canonical).await?;
    let user_id = Ids::created_by(sent.id, "user");
    if sent.is_new() {
        let check = conditions::check_creation(&call, "user", &user_id.to_string()).await;
        if sent.checked(&call, check).await?.is_some() {
            let password_hash = call.state.passwords.hash(&body.password).await?;
            let role = Role::User;
            let command =
                RegisterUser { user_id, email, email_fingerprint, name, password_hash, role };
            sent.write(&call, user_id.to_string(), Command::from(command)).await?;
        }
    }
    let outcome = sent.conclude(&call).await?;
    wait_for_credential(&call, &sent, &outcome, user_id, 1).await?;
    let user = sent.shown(&outcome, call.state.reads.user(user_id).await)?;
    let entity_tag = call.entity_tag("user", user_id, outcome.version.max(user.version));
    Ok(sent.created(&call, "/v1/users/me", &user, entity_tag))
}

/// GET /v1/users/me
pub(super) async fn read(call: Call) -> Answer {
    let caller = call.caller()?;
    let read_after = ReadAfter::wait(&call).await?;
    let user = find(&call, caller.user_id).await?;
    let entity_tag = call.entity_tag("user", user.id, user.version);
    Ok(read_after.apply_headers(call.representation(StatusCode::OK, &user, Some(entity_tag))))
}

/// PATCH /v1/users/me
pub(super) async fn rename(mut call: Call) -> Answer {
    let user_id = call.caller()?.user_id;
    let body: Rename = call.json().await?;
    let name = input::name(&body.name)?;
    let mut sent = Submission::begin(&call, Principal::User(user_id), &name).await?;
    if sent.is_new() {
        let check = conditions::expected_version(&call, "user", &user_id.to_string()).await;
        if let Some(expected_version) = sent.checked(&call, check).await? {
            let command = ChangeName { user_id, name, expected_version };
            sent.write(&call, user_id.to_string(), Command::from(command)).await?;
        }
    }
    changed(&call, sent, user_id).await
}

/// DELETE /v1/users/me
pub(super) async fn deactivate(mut call: Call) -> Answer {
    let user_id = call.caller()?.user_id;
    let body: Deactivate = call.json().await?;
    let canonical = body.password.expose_secret();
    let mut sent = Submission::begin(&call, Principal::User(user_id), &canonical).await?;
    if sent.is_new() && !sent.is_repeat(&call).await {
        let check = async {
            conditions::check_change(&call, "user", &user_id.to_string()).await?;
            confirm(&call, user_id, "password", &body.password).await
        };
        if let Some(credential) = sent.checked(&call, check.await).await? {
            let credential_version = credential.credential_version;
            let command = DeactivateUser { user_id, credential_version };
            sent.write(&call, user_id.to_string(), Command::from(command)).await?;
        }
    }
    sent.conclude(&call).await?;
    let mut response = StatusCode::NO_CONTENT.into_response();
    set(&mut response, header::CACHE_CONTROL, "no-store");
    Ok(sent.apply_headers(response))
}

/// PUT /v1/users/me/email
pub(super) async fn change_email(mut call: Call) -> Answer {
    let user_id = call.caller()?.user_id;
    let body: NewEmail = call.json().await?;
    let email = input::email(&body.email)?;
    let canonical = (&email, body.password.expose_secret());
    let mut sent = Submission::begin(&call, Principal::User(user_id), &canonical).await?;
    if sent.is_new() && !sent.is_repeat(&call).await {
        let check = async {
            let id = user_id.to_string();
            let expected_version = conditions::expected_version(&call, "user", &id).await?;
            Ok((expected_version, confirm(&call, user_id, "password", &body.password).await?))
        };
        if let Some((expected_version, credential)) = sent.checked(&call, check.await).await? {
            let command = ChangeEmail {
                user_id,
                email_fingerprint: call.state.ids.email(&email),
                email,
                credential_version: credential.credential_version,
                expected_version,
            };
            sent.write(&call, user_id.to_string(), Command::from(command)).await?;
        }
    }
    changed(&call, sent, user_id).await
}

/// PUT /v1/users/me/password
pub(super) async fn change_password(mut call: Call) -> Answer {
    let user_id = call.caller()?.user_id;
    let body: NewPassword = call.json().await?;
    Passwords::check_length("new", &body.new)?;
    let canonical = (body.current.expose_secret(), body.new.expose_secret());
    let mut sent = Submission::begin(&call, Principal::User(user_id), &canonical).await?;
    if sent.is_new() && !sent.is_repeat(&call).await {
        let check = async {
            conditions::check_change(&call, "user", &user_id.to_string()).await?;
            confirm(&call, user_id, "current", &body.current).await
        };
        if let Some(credential) = sent.checked(&call, check.await).await? {
            sent.remember(credential.credential_version);
            let command = ChangePassword {
                user_id,
                password_hash: call.state.passwords.hash(&body.new).await?,
                credential_version: credential.credential_version,
            };
            sent.write(&call, user_id.to_string(), Command::from(command)).await?;
        }
    }
    let outcome = sent.conclude(&call).await?;
    // A repeat writes nothing, and waits for the same password as the first request.
    let replaced = sent.remembered(&call).await.unwrap_or_default();
    wait_for_credential(&call, &sent, &outcome, user_id, replaced + 1).await?;
    changed(&call, sent, user_id).await
}

/// Waits until the user can log in with the password that was just set: the credential is projected
/// from another topic than the user.
async fn wait_for_credential(
    call: &Call,
    sent: &Submission,
    outcome: &Outcome,
    user_id: Uuid,
    credential_version: i32,
) -> Result<(), EarlyResponse> {
    let deadline = sent.visible_deadline();
    let held = async {
        loop {
            let credential = call.state.reads.credential(user_id).await;
            let credential = credential.inspect_err(|error| sent.log_unshown(error)).ok()?;
            if credential.is_some_and(|it| it.credential_version >= credential_version) {
                return Some(());
            }
            if Instant::now() >= deadline {
                return None;
            }
            sleep(CREDENTIAL_INTERVAL).await;
        }
    };
    let held = sent.before_shutdown(call, held).await.flatten();
    held.ok_or_else(|| sent.not_visible(outcome))
}

/// The response to a command that changed the user.
async fn changed(call: &Call, mut sent: Submission, user_id: Uuid) -> Answer {
    let outcome = sent.conclude(call).await?;
    let user = sent.shown(&outcome, call.state.reads.user(user_id).await)?;
    let entity_tag = call.entity_tag("user", user_id, outcome.version.max(user.version));
    Ok(sent.changed(call, &user, entity_tag))
}

async fn find(call: &Call, user_id: Uuid) -> Result<User, Problem> {
    call.state.reads.user(user_id).await?.ok_or_else(Problem::not_found)
}

/// The caller's credential, if `password` is right. Wrong passwords count against the account as
/// they do at log-in.
async fn confirm(
    call: &Call,
    user_id: Uuid,
    field: &str,
    password: &SecretString,
) -> Result<Credential, Problem> {
    let account = user_id.to_string();
    let credential = call.state.reads.credential(user_id).await?;
    let hash = credential.as_ref().map(|credential| credential.password_hash.as_str());
    let checked = call.state.check_password(&account, call.client, password, hash).await?;
    match (checked, credential) {
        (PasswordCheck::Match { .. }, Some(credential)) => Ok(credential),
        _ => {
            // Not 401: the token is valid, and a client must not log out because of a typing error.
            let detail = "The password is wrong.";
            Err(Problem::new(StatusCode::FORBIDDEN, "wrong_password", detail)
                .with("field", field.into()))
        }
    }
}
