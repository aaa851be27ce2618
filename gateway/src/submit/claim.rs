//! The claim of an `Idempotency-Key`, and its confirmation. Before there is an outcome to compare
//! with, the claim shows that the same request or another one was about to be sent under the key.
//! The confirmation shows that the log has the same request. Both are in Redis and expire.

use std::time::Duration;

use schemas::chain;
use uuid::Uuid;
use warp::http::StatusCode;

use super::Submission;
use crate::{
    call::Call, commands::Confirmed, conditions, counters::CounterError, metrics::Metrics,
    problem::Problem,
};

/// How long a request holds its `Idempotency-Key` in Redis. When the outcome is stored, a repeat is
/// compared with that instead.
const CLAIM_MAX: Duration = Duration::from_secs(3600);

impl Submission {
    /// What comes before the first write of a request: its conditions, unless its handler has
    /// compared them, so that no route forgets them, and the claim of its key.
    ///
    /// # Errors
    /// Returns a 412 problem when the conditions are not met, and 422 when another request has the
    /// idempotency key.
    pub(super) async fn before_write(&self, call: &Call) -> Result<(), Problem> {
        if !self.is_checked {
            conditions::check_action(call)?;
        }
        self.claim_key(call).await
    }

    /// Claims the idempotency key for this request, because there is no outcome to compare with
    /// yet. Without Redis the request passes, and the wait for the outcome still compares.
    ///
    /// Nothing but time ends the claim, also if this attempt is not written: an earlier attempt of
    /// the same request may be written, and a repeat of it finds its own fingerprint and passes.
    async fn claim_key(&self, call: &Call) -> Result<(), Problem> {
        if !self.has_key {
            return Ok(());
        }
        let name = claim_key(self.id);
        match call.state.counters.claim(&name, &self.fingerprint, CLAIM_MAX).await {
            Ok(first) if first != self.fingerprint => Err(Problem::key_reused()),
            Ok(_) => Ok(()),
            Err(error) => {
                not_compared(&call.state.metrics, &error);
                Ok(())
            }
        }
    }

    /// What confirms the claim once the log has confirmed the command, whether the request still
    /// waits for that, was answered, or was cut off. It works in a task of its own, so that the
    /// response does not wait for Redis; the deadline of Redis bounds these tasks. The confirmation
    /// has a name of its own, so that the claim is compared in the same way before and after it.
    pub(super) fn confirmation(&self, call: &Call) -> Confirmed {
        if !self.has_key {
            return Box::new(|| ());
        }
        let (state, name) = (call.state.clone(), confirmation_key(self.id));
        let remembered = self.remembered.map(|number| format!(" {number}")).unwrap_or_default();
        let value = self.fingerprint.clone() + &remembered;
        let confirm = async move {
            if let Err(error) = state.counters.claim(&name, &value, CLAIM_MAX).await {
                not_compared(&state.metrics, &error);
            }
        };
        Box::new(move || drop(tokio::spawn(confirm)))
    }

    /// The result of a check that comes before the write, and that includes the conditions; `None`
    /// when it failed and the log has confirmed the same request before under its
    /// `Idempotency-Key`. The read model may show the effect of that one before its outcome is
    /// stored, and the check then fails because of it: the repeat writes nothing and is answered
    /// with the outcome.
    ///
    /// # Errors
    /// Returns the problem of the check, unless the request is such a repeat.
    pub async fn checked<T>(
        &mut self,
        call: &Call,
        check: Result<T, Problem>,
    ) -> Result<Option<T>, Problem> {
        self.is_checked = true;
        // Anything else says nothing: the store did not answer, or nothing was compared.
        let refusals = [StatusCode::PRECONDITION_FAILED, StatusCode::FORBIDDEN];
        match check {
            Ok(checked) => Ok(Some(checked)),
            Err(problem) if refusals.contains(&problem.status()) && self.is_repeat(call).await => {
                Ok(None)
            }
            Err(problem) => Err(problem),
        }
    }

    /// Whether the log has confirmed the same request under its `Idempotency-Key`. A claim alone
    /// does not say so: what it was for may never have been written. Without Redis it is not known.
    pub async fn is_repeat(&self, call: &Call) -> bool {
        self.confirmed(call).await.is_some()
    }

    /// Keeps a number with the confirmation of the command that is written next, for its repeats.
    pub fn remember(&mut self, number: i32) {
        self.remembered = Some(number);
    }

    /// The number that this request has kept, or the confirmed one that it repeats; `None` when
    /// there is none, or it is not known.
    pub async fn remembered(&self, call: &Call) -> Option<i32> {
        match self.remembered {
            Some(number) => Some(number),
            None => self.confirmed(call).await?.parse().ok(),
        }
    }

    /// What the confirmation of the same request has behind the fingerprint.
    async fn confirmed(&self, call: &Call) -> Option<String> {
        if !self.has_key {
            return None;
        }
        match call.state.counters.claimed(&confirmation_key(self.id)).await {
            Ok(held) => Some(held?.strip_prefix(&self.fingerprint)?.trim_start().to_owned()),
            Err(error) => {
                not_compared(&call.state.metrics, &error);
                None
            }
        }
    }
}

fn claim_key(command: Uuid) -> String {
    format!("millrace:gateway:request:{command}")
}

fn confirmation_key(command: Uuid) -> String {
    format!("millrace:gateway:written:{command}")
}

fn not_compared(metrics: &Metrics, error: &CounterError) {
    metrics.counters_unavailable.inc();
    tracing::warn!(error = chain(error), "an Idempotency-Key is not compared with its claim");
}
