//! The first admin, from the settings: a command like any other, sent at start until it has an
//! outcome. Every gateway sends the same one, and a system that has its admin already refuses it.

use std::{sync::Arc, time::Duration};

use schemas::{
    Verdict,
    user::{RegisterUser, Role},
};
use secrecy::SecretString;
use uuid::Uuid;

use crate::{
    auth::Passwords,
    commands::Outgoing,
    ids::{Ids, Principal},
    input,
    state::State,
};

/// How long one attempt waits for its outcome.
const WAIT: Duration = Duration::from_secs(10);
const ASK_EVERY: Duration = Duration::from_millis(250);
const PAUSE: Duration = Duration::from_secs(2);
/// Refusals after which another attempt makes sense.
const AGAIN: [&str; 3] = ["claim_timed_out", "expired", "in_progress"];

/// Registers the first admin; returns when there is one, or will never be.
pub async fn register(state: Arc<State>, email: String, password: SecretString) {
    let Ok(email) = input::email(&email) else {
        tracing::error!("MILLRACE_ADMIN_EMAIL is not an e-mail address: there is no first admin");
        return;
    };
    if Passwords::acceptable("password", &password).is_err() {
        tracing::error!(
            "the first admin's password is too short or too long: there is no first admin"
        );
        return;
    }
    let email_fingerprint = state.ids.email(&email);
    let principal = Principal::Anonymous(email_fingerprint.clone());
    for attempt in 0_u32.. {
        let key = format!("first-admin-{attempt}");
        let id = state.ids.command(&principal, "START", "/first-admin", Some(&key));
        let outcome = loop {
            if let Some(outcome) = outcome(&state, id, Duration::ZERO).await {
                break outcome;
            }
            if send(&state, id, &principal, &email, &password).await
                && let Some(outcome) = outcome(&state, id, WAIT).await
            {
                break outcome;
            }
            tokio::time::sleep(PAUSE).await;
        };
        let code = outcome.code.as_deref().unwrap_or_default();
        match outcome.verdict {
            Verdict::Accepted => tracing::info!("the first admin is registered"),
            Verdict::Refused if AGAIN.contains(&code) => {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            Verdict::Refused if ["address_taken", "already_exists"].contains(&code) => {
                tracing::info!("the first admin is there already")
            }
            _ => tracing::error!(code, "the first admin was refused"),
        }
        return;
    }
}

/// Whether it was written.
async fn send(
    state: &State,
    id: Uuid,
    principal: &Principal,
    email: &str,
    password: &SecretString,
) -> bool {
    let Ok(password_hash) = state.passwords.hash(password).await else { return false };
    let user_id = Ids::made_by(id, "user");
    let email_fingerprint = state.ids.email(email);
    let command = schemas::user::Command::from(RegisterUser {
        user_id,
        email: email.to_owned(),
        email_fingerprint,
        name: "Admin".to_owned(),
        password_hash,
        role: Role::Admin,
    });
    let outgoing = Outgoing {
        id,
        principal: principal.to_string(),
        // Without the password: another one in the file does not make it another request.
        fingerprint: state.ids.request("START", "/first-admin", email.as_bytes()),
        key: user_id.to_string(),
        trace_parent: None,
        command: command.into(),
    };
    let written = state.commands.write(outgoing).await;
    if let Err(error) = &written {
        tracing::warn!(%error, "the first admin's command was not confirmed; it is sent again");
    }
    written.is_ok()
}

async fn outcome(state: &State, id: Uuid, wait: Duration) -> Option<schemas::Outcome> {
    let deadline = tokio::time::Instant::now() + wait;
    loop {
        match state.reads.outcome(id).await {
            Ok(Some(outcome)) => return Some(outcome),
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "the first admin's outcome could not be read"),
        }
        if tokio::time::Instant::now() >= deadline {
            return None;
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}
