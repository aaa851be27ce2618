//! Sessions: logging in, going on, logging out. These are answered with their result or not at all:
//! a token is given only after the outcome, in an answer that nobody keeps. An `Idempotency-Key`
//! means nothing here: whether a session still lives is decided anew each time, and the domain
//! gives a lost answer again.

use std::time::Duration;

use schemas::{
    Outcome, Verdict,
    user::{EndSession, RefreshSession, RehashPassword, StartSession},
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
    auth::{ACCESS_LIFETIME, REFRESH_LIFETIME, RefreshToken, Role, Verified},
    call::{Answer, Body, Call, set},
    ids::{Ids, Principal},
    input, outcome,
    problem::Problem,
    reads::Credential,
    submit::Submission,
    time,
};

/// How long a log-in waits for its outcome.
const WAIT: Duration = Duration::from_secs(5);

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
    let (credential, outdated) = verified(&call, &account, &body.password).await?;

    let mut sent = call.begin_now(principal.clone(), WAIT).await;
    let first = RefreshToken {
        user_id: credential.user_id,
        session_id: Ids::made_by(sent.id, "session"),
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
    sent.write(&call, first.user_id.to_string(), schemas::user::Command::from(command)).await?;
    let outcome = decided(&call, &mut sent).await;
    let result = outcome.as_ref().map_or("none", |outcome| outcome::word(outcome.verdict));
    call.state.metrics.log_ins.with_label_values(&[result]).inc();
    let outcome = outcome?;
    if outcome.verdict == Verdict::Accepted {
        // Only now: a new hash must not overtake the session that the old one let in.
        if outdated {
            rehash(&call, &principal, &credential, &body.password).await;
        }
        return tokens(&call, first, credential.role);
    }
    Err(match outcome.code.as_deref() {
        // The password was changed while this was on its way: what was verified is no longer the
        // password.
        Some("stale_credential" | "not_found") => Problem::wrong_credentials(),
        _ => outcome::problem(&outcome),
    }
    .into())
}

/// POST /v1/sessions/refresh
pub(super) async fn refresh(mut call: Call) -> Answer {
    let body: Refresh = call.json().await?;
    let invalid = || {
        Problem::unauthorized(
            "invalid_refresh_token",
            "The refresh token is no good: log in again.",
        )
    };
    let presented = call.state.refresh_tokens.parse(&body.refresh_token).ok_or_else(invalid)?;
    let successor = presented.successor().ok_or_else(invalid)?;
    let presented_hash = call.state.refresh_tokens.hash(presented);

    let principal = Principal::Anonymous(presented_hash.clone());
    let mut sent = call.begin_now(principal, WAIT).await;
    let command = RefreshSession {
        user_id: presented.user_id,
        session_id: presented.session_id,
        generation: presented.generation,
        presented_hash,
        successor_hash: call.state.refresh_tokens.hash(successor),
    };
    sent.write(&call, presented.user_id.to_string(), schemas::user::Command::from(command)).await?;
    let outcome = decided(&call, &mut sent).await?;
    if outcome.verdict == Verdict::Accepted {
        // The role is read anew; a user who is gone has none.
        let user = call.state.reads.user(presented.user_id).await?.ok_or_else(invalid)?;
        return tokens(&call, successor, user.role);
    }
    Err(match outcome.code.as_deref() {
        Some("token_reused") => outcome::problem(&outcome),
        _ if outcome.verdict == Verdict::Refused => invalid(),
        _ => outcome::problem(&outcome),
    }
    .into())
}

/// DELETE /v1/sessions/current
pub(super) async fn log_out(call: Call) -> Answer {
    let caller = call.caller()?;
    let mut sent = call.begin_now(Principal::User(caller.user_id), WAIT).await;
    let command = EndSession { user_id: caller.user_id, session_id: caller.session_id };
    sent.write(&call, caller.user_id.to_string(), schemas::user::Command::from(command)).await?;
    let outcome = decided(&call, &mut sent).await?;
    // A session that has ended already is as wished.
    if outcome.verdict == Verdict::Failed {
        return Err(outcome::problem(&outcome).into());
    }
    let mut response = StatusCode::NO_CONTENT.into_response();
    set(&mut response, header::CACHE_CONTROL, "no-store");
    Ok(response)
}

/// The credential of this account, if the password is right, and whether its hash is outdated. An
/// unknown address takes as long and looks the same.
async fn verified(
    call: &Call,
    account: &str,
    password: &SecretString,
) -> Result<(Credential, bool), Problem> {
    let state = &call.state;
    state.backoff.admit(account).await?;
    let credential = state.reads.credential_by_email(account).await?;
    let hash = credential.as_ref().map(|credential| credential.password_hash.as_str());
    match (state.passwords.verify(password, hash).await?, credential) {
        (Verified::Right { outdated }, Some(credential)) => {
            state.backoff.right(account).await;
            Ok((credential, outdated))
        }
        _ => {
            state.backoff.wrong(account).await;
            state.metrics.log_ins.with_label_values(&["wrong"]).inc();
            Err(Problem::wrong_credentials())
        }
    }
}

/// A hash with today's parameters, now that the password is at hand. Log-in does not depend on it.
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
    let command = schemas::user::Command::from(command);
    call.send_aside(principal, credential.user_id.to_string(), command.into()).await;
}

/// The outcome, or that there is none in time.
async fn decided(call: &Call, sent: &mut Submission) -> Result<Outcome, Problem> {
    let late = || {
        Problem::unavailable("There is no outcome yet: try again.")
            .retry_after(Duration::from_secs(2))
    };
    sent.outcome(call).await?.ok_or_else(late)
}

fn tokens(call: &Call, refresh: RefreshToken, role: Role) -> Answer {
    let access =
        call.state.tokens.issue(refresh.user_id, refresh.session_id, role).map_err(|error| {
            tracing::error!(%error, "an access token could not be signed");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "This should not happen.")
        })?;
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
