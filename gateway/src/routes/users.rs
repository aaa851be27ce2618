//! Users: registering, and a user's own account. What gives an account away or ends it needs the
//! password again.

use std::time::Duration;

use schemas::{
    Outcome,
    user::{ChangeEmail, ChangeName, ChangePassword, DeactivateUser, RegisterUser, Role},
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};
use uuid::Uuid;
use warp::{
    Reply,
    http::{StatusCode, header},
};

use crate::{
    auth::{Passwords, Verified},
    call::{Answer, Body, Call, Early, set},
    ids::{Ids, Principal},
    input,
    problem::Problem,
    reads::{Credential, User},
    submit::Submission,
};

const CREDENTIAL_EVERY: Duration = Duration::from_millis(10);

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

#[derive(Deserialize, Serialize)]
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
    Passwords::acceptable("password", &body.password)?;
    let email_fingerprint = call.state.ids.email(&email);
    let canonical = (&email, body.password.expose_secret(), &name);
    let mut sent = call.begin(Principal::Anonymous(email_fingerprint.clone()), &canonical).await?;
    let user_id = Ids::made_by(sent.id, "user");
    if sent.is_new() {
        call.makes("user", &user_id.to_string()).await?;
        let password_hash = call.state.passwords.hash(&body.password).await?;
        let command = RegisterUser {
            user_id,
            email,
            email_fingerprint,
            name,
            password_hash,
            role: Role::User,
        };
        sent.write(&call, user_id.to_string(), schemas::user::Command::from(command)).await?;
    }
    let outcome = sent.conclude(&call).await?;
    usable(&call, &sent, &outcome, user_id, 1).await?;
    let user = call.state.reads.user(user_id).await?.ok_or_else(Problem::not_found)?;
    Ok(sent.result(&call, Some("/v1/users/me"), &user, call.tag("user", user_id, outcome.version)))
}

/// GET /v1/users/me
pub(super) async fn read(call: Call) -> Answer {
    let caller = call.caller()?;
    let read_after = call.read_after().await?;
    let user = me(&call, caller.user_id).await?;
    let tag = call.tag("user", user.id, user.version);
    Ok(read_after.told(call.representation(StatusCode::OK, &user, Some(tag))))
}

/// PATCH /v1/users/me
pub(super) async fn rename(mut call: Call) -> Answer {
    let caller = call.caller()?;
    let body: Rename = call.json().await?;
    let name = input::name(&body.name)?;
    let mut sent = call.begin(Principal::User(caller.user_id), &name).await?;
    if sent.is_new() {
        let expected_version = call.expected_version("user", &caller.user_id.to_string()).await?;
        let command = ChangeName { user_id: caller.user_id, name, expected_version };
        sent.write(&call, caller.user_id.to_string(), schemas::user::Command::from(command))
            .await?;
    }
    changed(&call, sent, caller.user_id).await
}

/// DELETE /v1/users/me
pub(super) async fn deactivate(mut call: Call) -> Answer {
    let caller = call.caller()?;
    let body: Deactivate = call.json().await?;
    let mut sent =
        call.begin(Principal::User(caller.user_id), &body.password.expose_secret()).await?;
    if sent.is_new() {
        call.matches("user", &caller.user_id.to_string()).await?;
        let credential = confirmed(&call, caller.user_id, "password", &body.password).await?;
        let command = DeactivateUser {
            user_id: caller.user_id,
            credential_version: credential.credential_version,
        };
        sent.write(&call, caller.user_id.to_string(), schemas::user::Command::from(command))
            .await?;
    }
    sent.conclude(&call).await?;
    let mut response = StatusCode::NO_CONTENT.into_response();
    set(&mut response, header::CACHE_CONTROL, "no-store");
    Ok(sent.told(response))
}

/// PUT /v1/users/me/email
pub(super) async fn change_email(mut call: Call) -> Answer {
    let caller = call.caller()?;
    let body: NewEmail = call.json().await?;
    let email = input::email(&body.email)?;
    let canonical = (&email, body.password.expose_secret());
    let mut sent = call.begin(Principal::User(caller.user_id), &canonical).await?;
    if sent.is_new() {
        let expected_version = call.expected_version("user", &caller.user_id.to_string()).await?;
        let credential = confirmed(&call, caller.user_id, "password", &body.password).await?;
        let command = ChangeEmail {
            user_id: caller.user_id,
            email_fingerprint: call.state.ids.email(&email),
            email,
            credential_version: credential.credential_version,
            expected_version,
        };
        sent.write(&call, caller.user_id.to_string(), schemas::user::Command::from(command))
            .await?;
    }
    changed(&call, sent, caller.user_id).await
}

/// PUT /v1/users/me/password
pub(super) async fn change_password(mut call: Call) -> Answer {
    let caller = call.caller()?;
    let body: NewPassword = call.json().await?;
    Passwords::acceptable("new", &body.new)?;
    let canonical = (body.current.expose_secret(), body.new.expose_secret());
    let mut sent = call.begin(Principal::User(caller.user_id), &canonical).await?;
    let mut replaced = 0;
    if sent.is_new() {
        call.matches("user", &caller.user_id.to_string()).await?;
        let credential = confirmed(&call, caller.user_id, "current", &body.current).await?;
        replaced = credential.credential_version;
        let command = ChangePassword {
            user_id: caller.user_id,
            password_hash: call.state.passwords.hash(&body.new).await?,
            credential_version: credential.credential_version,
        };
        sent.write(&call, caller.user_id.to_string(), schemas::user::Command::from(command))
            .await?;
    }
    let outcome = sent.conclude(&call).await?;
    usable(&call, &sent, &outcome, caller.user_id, replaced + 1).await?;
    changed(&call, sent, caller.user_id).await
}

/// Waits until the user can log in with the password that was just set: it has a way of its own to
/// the read model.
async fn usable(
    call: &Call,
    sent: &Submission,
    outcome: &Outcome,
    user_id: Uuid,
    credential_version: i32,
) -> Result<(), Early> {
    let until = sent.patience();
    loop {
        let credential = call.state.reads.credential(user_id).await?;
        if credential.is_some_and(|credential| credential.credential_version >= credential_version)
        {
            return Ok(());
        }
        if Instant::now() >= until {
            return Err(sent.unseen(outcome));
        }
        sleep(CREDENTIAL_EVERY).await;
    }
}

async fn changed(call: &Call, mut sent: Submission, user_id: Uuid) -> Answer {
    let outcome = sent.conclude(call).await?;
    let user = me(call, user_id).await?;
    let tag = call.tag("user", user_id, outcome.version.max(user.version));
    Ok(sent.result(call, None, &user, tag))
}

async fn me(call: &Call, user_id: Uuid) -> Result<User, Problem> {
    call.state.reads.user(user_id).await?.ok_or_else(Problem::not_found)
}

/// The caller's credential, if the password is right. Wrong ones count against the account as they
/// do at log-in.
async fn confirmed(
    call: &Call,
    user_id: Uuid,
    field: &str,
    password: &SecretString,
) -> Result<Credential, Problem> {
    let account = user_id.to_string();
    call.state.backoff.admit(&account).await?;
    let credential = call.state.reads.credential(user_id).await?;
    let hash = credential.as_ref().map(|credential| credential.password_hash.as_str());
    match (call.state.passwords.verify(password, hash).await?, credential) {
        (Verified::Right { .. }, Some(credential)) => {
            call.state.backoff.right(&account).await;
            Ok(credential)
        }
        _ => {
            call.state.backoff.wrong(&account).await;
            // Not 401: the token is fine, and a client must not log out over a typing error.
            let detail = "The password is wrong.";
            Err(Problem::new(StatusCode::FORBIDDEN, "wrong_password", detail)
                .with("field", field.into()))
        }
    }
}
