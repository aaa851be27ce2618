//! Sessions: log in, refresh, log out. They are answered with their result or not at all: tokens
//! are issued only after the outcome, in a response that no cache stores. An `Idempotency-Key` has
//! no effect, because each request decides anew whether the session is alive; the domain repeats a
//! lost answer.

use std::time::Duration;

use schemas::{
    Outcome, Verdict, refusals,
    user::{Command, EndSession, RefreshSession, RehashPassword, StartSession},
};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;
use warp::{
    Reply,
    http::{StatusCode, header},
    reply::Response,
};

use crate::{
    auth::{ACCESS_LIFETIME, PasswordCheck, REFRESH_LIFETIME, RefreshToken, Role},
    call::{Answer, Body, Call},
    headers::set,
    ids::{Ids, Principal},
    input, outcome,
    problem::Problem,
    reads::Credential,
    submit::{Submission, write_in_background},
    time,
};

/// How long a request waits for its outcome.
const OUTCOME_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LogIn {
    email: String,
    password: SecretString,
}

impl Body for LogIn {
    const SHAPE: &'static str = r#"{"email": string, "password": string}"#;
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Refresh {
    refresh_token: SecretString,
}

impl Body for Refresh {
    const SHAPE: &'static str = r#"{"refresh_token": string}"#;
}

/// POST /v1/sessions
pub(super) async fn log_in(mut call: Call) -> Answer {
    let body: LogIn = call.json().await?;
    let email = input::email(&body.email)?;
    let account = call.state.ids.email(&email);
    let principal = Principal::Anonymous(account.clone());
    let (credential, is_outdated) = verify(&call, &account, &body.password).await?;

    let mut sent = Submission::begin_synchronous(&call, principal.clone(), OUTCOME_TIMEOUT);
    let first = RefreshToken {
        user_id: credential.user_id,
        session_id: Ids::created_by(sent.id, "session"),
        generation: 0,
    };
    let lifetime_ms = i64::try_from(REFRESH_LIFETIME.as_millis()).unwrap_or(i64::MAX);
    let command = StartSession {
        user_id: first.user_id,
        session_id: first.session_id,
        refresh_hash: call.state.refresh_tokens.hash(first),
        credential_version: credential.credential_version,
        expires_at: time::now_ms().saturating_add(lifetime_ms),
    };
    sent.write(&call, first.user_id.to_string(), Command::from(command)).await?;
    let outcome = outcome_of(&call, &mut sent).await;
    let result = outcome.as_ref().map_or("none", |outcome| outcome::verdict_name(outcome.verdict));
    call.state.metrics.log_ins.with_label_values(&[result]).inc();
    let outcome = outcome?;
    if outcome.verdict == Verdict::Accepted {
        // After the session has started: the new hash must not overtake the session that was
        // verified with the old one.
        if is_outdated {
            rehash(&call, &principal, &credential, &body.password).await;
        }
        return tokens(&call, first, credential.role, Some(time::now_ms()));
    }
    Err(match outcome.code.as_deref() {
        // The password was changed after it was verified here, so it is wrong now.
        Some(refusals::STALE_CREDENTIAL | refusals::NOT_FOUND) => Problem::wrong_credentials(),
        _ => outcome::problem(&outcome),
    }
    .into())
}

/// POST /v1/sessions/refresh
pub(super) async fn refresh(mut call: Call) -> Answer {
    let body: Refresh = call.json().await?;
    let invalid = || {
        let detail = "The refresh token is not valid: log in again.";
        Problem::unauthorized("invalid_refresh_token", detail)
    };
    let presented = call.state.refresh_tokens.parse(&body.refresh_token).ok_or_else(invalid)?;
    let successor = presented.successor().ok_or_else(invalid)?;
    let presented_hash = call.state.refresh_tokens.hash(presented);
    // What the new tokens need is read before the command, which uses the presented one up: a store
    // that is away must not cost the session. The role may have changed since the last token; a
    // deactivated user gets none, and who is deactivated from here on has no session that the
    // command could refresh.
    let user = call.state.reads.user(presented.user_id).await?.ok_or_else(invalid)?;
    // The password was given when the session began. Until that is projected, its age is not known,
    // and what needs a recent one asks for it.
    let began_at = call.state.reads.session_began(presented.session_id).await?;

    let principal = Principal::Anonymous(presented_hash.clone());
    let mut sent = Submission::begin_synchronous(&call, principal, OUTCOME_TIMEOUT);
    let command = RefreshSession {
        user_id: presented.user_id,
        session_id: presented.session_id,
        generation: presented.generation,
        presented_hash,
        successor_hash: call.state.refresh_tokens.hash(successor),
    };
    sent.write(&call, presented.user_id.to_string(), Command::from(command)).await?;
    let outcome = outcome_of(&call, &mut sent).await?;
    if outcome.verdict == Verdict::Accepted {
        return tokens(&call, successor, user.role, began_at);
    }
    Err(match outcome.code.as_deref() {
        Some(refusals::TOKEN_REUSED) => outcome::problem(&outcome),
        _ if outcome.verdict == Verdict::Refused => invalid(),
        _ => outcome::problem(&outcome),
    }
    .into())
}

/// DELETE /v1/sessions/current
pub(super) async fn log_out(call: Call) -> Answer {
    let caller = call.caller()?;
    let principal = Principal::User(caller.user_id);
    let mut sent = Submission::begin_synchronous(&call, principal, OUTCOME_TIMEOUT);
    let command = EndSession { user_id: caller.user_id, session_id: caller.session_id };
    sent.write(&call, caller.user_id.to_string(), Command::from(command)).await?;
    let outcome = outcome_of(&call, &mut sent).await?;
    // A refusal means that the session has ended already, which is what the client asked for.
    if outcome.verdict == Verdict::Failed {
        return Err(outcome::problem(&outcome).into());
    }
    let mut response = StatusCode::NO_CONTENT.into_response();
    set(&mut response, header::CACHE_CONTROL, "no-store");
    Ok(response)
}

/// Verifies the password of the account with this fingerprint of an address; returns the credential
/// and whether its hash is outdated. For an unknown address the check takes as long and ends with
/// the same problem.
async fn verify(
    call: &Call,
    email_fingerprint: &str,
    password: &SecretString,
) -> Result<(Credential, bool), Problem> {
    let state = &call.state;
    let credential = state.reads.credential_by_email(email_fingerprint).await?;
    // The account is the user's, as where a logged-in user gives the password again.
    let account = match &credential {
        Some(credential) => credential.user_id.to_string(),
        None => email_fingerprint.to_owned(),
    };
    let hash = credential.as_ref().map(|credential| credential.password_hash.as_str());
    match (state.check_password(&account, call.client, password, hash).await?, credential) {
        (PasswordCheck::Match { is_outdated }, Some(credential)) => Ok((credential, is_outdated)),
        _ => {
            state.metrics.log_ins.with_label_values(&["wrong"]).inc();
            Err(Problem::wrong_credentials())
        }
    }
}

/// Replaces an outdated hash by one with today's parameters, while the password is known. The
/// log-in does not depend on it.
async fn rehash(
    call: &Call,
    principal: &Principal,
    credential: &Credential,
    password: &SecretString,
) {
    let Ok(password_hash) = call.state.passwords.hash(password).await else { return };
    let command = RehashPassword {
        user_id: credential.user_id,
        password_hash,
        credential_version: credential.credential_version,
    };
    let key = credential.user_id.to_string();
    write_in_background(call, principal, key, Command::from(command).into()).await;
}

/// The outcome of a command, or a 503 problem when there is none in time.
async fn outcome_of(call: &Call, sent: &mut Submission) -> Result<Outcome, Problem> {
    let late = || {
        Problem::unavailable("The command has no outcome yet. Try again.")
            .retry_after(Duration::from_secs(2))
    };
    sent.outcome(call).await?.ok_or_else(late)
}

/// The tokens of a session whose user has given the password at `authenticated_at`, in
/// milliseconds.
fn tokens(call: &Call, refresh: RefreshToken, role: Role, authenticated_at: Option<i64>) -> Answer {
    let authenticated_s = authenticated_at.and_then(|at| u64::try_from(at / 1_000).ok());
    let access = call
        .state
        .tokens
        .issue(refresh.user_id, refresh.session_id, role, authenticated_s)
        .map_err(|error| Problem::internal("signing an access token", &error))?;
    let body = json!({
        "access_token": access,
        "refresh_token": call.state.refresh_tokens.text(refresh).expose_secret(),
        "token_type": "Bearer",
        "expires_in": ACCESS_LIFETIME.as_secs(),
    });
    let mut response: Response = warp::reply::json(&body).into_response();
    set(&mut response, header::CACHE_CONTROL, "no-store");
    Ok(response)
}
