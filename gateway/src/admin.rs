//! The first admin, from the settings: a command like any other, which every gateway sends at its
//! start under the same id. A system that has its admin already refuses it.

use std::{sync::Arc, time::Duration};

use schemas::{
    Outcome, Verdict, chain, refusals,
    user::{Command, RegisterUser, Role},
};
use secrecy::SecretString;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::{
    commands::CommandRecord,
    ids::{Ids, Principal},
    state::State,
    submit::for_outcome,
};

/// How long one attempt waits for its outcome.
const OUTCOME_TIMEOUT: Duration = Duration::from_secs(10);
/// The pause between two attempts.
const RETRY_INTERVAL: Duration = Duration::from_secs(2);
/// Refusals after which another attempt may be accepted.
const RETRIABLE: [&str; 3] = [refusals::CLAIM_TIMED_OUT, refusals::EXPIRED, refusals::IN_PROGRESS];
/// Refusals that mean that the admin exists.
const EXISTS: [&str; 2] = [refusals::ADDRESS_TAKEN, refusals::ALREADY_EXISTS];

/// Registers the first admin with an address in its normal form ([`crate::input::email`]); returns
/// when the admin exists, or when no attempt can create one.
pub async fn register(state: Arc<State>, email: String, password: SecretString) {
    for attempt in 0_u32.. {
        let registration = Registration::new(&state, &email, attempt);
        let outcome = registration.outcome(&state, &password).await;
        let code = outcome.code.as_deref().unwrap_or_default();
        match outcome.verdict {
            Verdict::Accepted => tracing::info!("the first admin is registered"),
            Verdict::Refused if RETRIABLE.contains(&code) => {
                sleep(RETRY_INTERVAL).await;
                continue;
            }
            Verdict::Refused if EXISTS.contains(&code) => {
                tracing::info!("the first admin exists already");
            }
            _ => tracing::error!(code, "the first admin was refused"),
        }
        return;
    }
}

/// One attempt to register the admin.
struct Registration<'a> {
    id: Uuid,
    principal: Principal,
    email: &'a str,
}

impl<'a> Registration<'a> {
    fn new(state: &State, email: &'a str, attempt: u32) -> Self {
        let principal = Principal::Anonymous(state.ids.email(email));
        let key = format!("first-admin-{attempt}");
        let id = state.ids.command(&principal, "START", "/first-admin", Some(&key));
        Self { id, principal, email }
    }

    /// Sends the command until it has an outcome. Another gateway may have sent it already.
    async fn outcome(&self, state: &State, password: &SecretString) -> Outcome {
        loop {
            if let Some(outcome) = for_outcome(&*state.reads, self.id, None, Instant::now()).await {
                return outcome;
            }
            if self.is_written(state, password).await {
                let deadline = Instant::now() + OUTCOME_TIMEOUT;
                if let Some(outcome) = for_outcome(&*state.reads, self.id, None, deadline).await {
                    return outcome;
                }
            }
            sleep(RETRY_INTERVAL).await;
        }
    }

    async fn is_written(&self, state: &State, password: &SecretString) -> bool {
        let Ok(password_hash) = state.passwords.hash(password).await else { return false };
        let user_id = Ids::created_by(self.id, "user");
        let command = RegisterUser {
            user_id,
            email: self.email.to_owned(),
            email_fingerprint: state.ids.email(self.email),
            name: "Admin".to_owned(),
            password_hash,
            role: Role::Admin,
        };
        let record = CommandRecord {
            id: self.id,
            principal: self.principal.to_string(),
            // Without the password: a changed file is not another request.
            fingerprint: state.ids.request("START", "/first-admin", self.email.as_bytes()),
            key: user_id.to_string(),
            trace_parent: None,
            command: Command::from(command).into(),
        };
        let written = state.commands.write(record, Box::new(|| ())).await;
        if let Err(error) = &written {
            let error = chain(error);
            tracing::warn!(error, "the log did not confirm the first admin's command; retrying");
        }
        written.is_ok()
    }
}
