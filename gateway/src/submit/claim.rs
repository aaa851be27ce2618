//! The claim of an `Idempotency-Key`. Before there is an outcome to compare with, it shows that the
//! same request was sent before, or another one under the same key. Claims are in Redis and expire.
//! This never decides whether a request may be sent.

use std::time::Duration;

use schemas::chain;
use uuid::Uuid;
use warp::http::StatusCode;

use super::Submission;
use crate::{call::Call, counters::CounterError, problem::Problem};

/// How long a request holds its `Idempotency-Key` in Redis. When the outcome is stored, a repeat is
/// compared with that instead.
const CLAIM_MAX: Duration = Duration::from_secs(3600);

impl Submission {
    /// Claims the idempotency key for this request, because there is no outcome to compare with
    /// yet. Without Redis the request passes, and the wait for the outcome still compares.
    pub(super) async fn claim_key(&self, call: &Call) -> Result<(), Problem> {
        if !self.has_key {
            return Ok(());
        }
        let name = claim_key(self.id);
        match call.state.counters.claim(&name, &self.fingerprint, CLAIM_MAX).await {
            Ok(first) if first != self.fingerprint => Err(key_reused()),
            Ok(_) => Ok(()),
            Err(error) => {
                not_compared(call, &error);
                Ok(())
            }
        }
    }

    /// The result of a check that comes before the write; `None` when it failed and the same
    /// request was sent before under its `Idempotency-Key`. The read model may show the effect of
    /// that one before its outcome is stored, and the check then fails because of it: the repeat
    /// writes nothing and is answered with the outcome.
    ///
    /// # Errors
    /// Returns the problem of the check, unless the request is such a repeat.
    pub async fn checked<T>(
        &self,
        call: &Call,
        check: Result<T, Problem>,
    ) -> Result<Option<T>, Problem> {
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

    /// Whether the same request holds the key already. Without Redis that is not known.
    async fn is_repeat(&self, call: &Call) -> bool {
        if !self.has_key {
            return false;
        }
        match call.state.counters.claimed(&claim_key(self.id)).await {
            Ok(held) => held.as_ref() == Some(&self.fingerprint),
            Err(error) => {
                not_compared(call, &error);
                false
            }
        }
    }
}

fn claim_key(command: Uuid) -> String {
    format!("millrace:gateway:request:{command}")
}

fn not_compared(call: &Call, error: &CounterError) {
    call.state.metrics.counters_unavailable.inc();
    tracing::warn!(error = chain(error), "an Idempotency-Key is not compared with its claim");
}

pub(super) fn key_reused() -> Problem {
    let detail = "This Idempotency-Key was used for another request.";
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused", detail)
}
