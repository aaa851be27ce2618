//! One command that a request makes, from its id to the response.

use std::time::Duration;

use schemas::{Message as _, Outcome, Verdict};
use serde::Serialize;
use serde_json::json;
use tokio::time::Instant;
use uuid::Uuid;
use warp::http::{StatusCode, header};

use super::{
    undecided::Undecided,
    wait::{self, View},
    write::write,
};
use crate::{
    call::{Call, EarlyResponse},
    commands::{Command, CommandRecord},
    conditions::ConditionHeaders,
    ids::Principal,
    outcome,
    problem::Problem,
    reads::Notice,
};

/// Even after the request's deadline, an outcome gets this much time to become visible in the read
/// model. Otherwise a command whose outcome came just before the deadline would be answered with
/// 202. Refusals wait no longer than this.
const VISIBLE_TIMEOUT_MIN: Duration = Duration::from_millis(500);
/// The polling interval for the version that a read model holds, if no notice will come.
const VERSION_INTERVAL: Duration = Duration::from_millis(10);
/// When a client should ask again after a write that was not confirmed.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// A command that a request makes.
pub struct Submission {
    /// The command's id.
    pub id: Uuid,
    pub(super) fingerprint: String,
    pub(super) principal: Principal,
    /// Whether the request has an idempotency key, so that another request may have the same id.
    pub(super) has_key: bool,
    /// Whether the handler has compared the conditions.
    pub(super) is_checked: bool,
    /// What is kept for repeats with the confirmation.
    pub(super) remembered: Option<i32>,
    /// The outcome, as soon as it is known; from the beginning for a repeat.
    outcome: Option<Outcome>,
    /// Until when the request waits for the outcome; `None` for an answer of 202.
    deadline: Option<Instant>,
    /// The client's `Prefer: wait`.
    pub(super) preferred_wait: Option<Duration>,
    /// Notifies of the outcome; taken by the wait for it.
    notice: Option<Notice>,
    /// Notifies of versions in the read model of the command's aggregate, once the command is
    /// written; taken by the wait for one.
    view: Option<View>,
    /// Keeps the request's slot until there is an outcome, once the command is written.
    undecided: Option<Undecided>,
    /// The full name of the command's record, once it is written.
    command_type: &'static str,
}

impl Submission {
    /// Begins a command. `canonical` is what the request asks for in canonical form. The request
    /// waits for the result if the client prefers that.
    ///
    /// # Errors
    /// Returns a 422 problem when the idempotency key was used for another request, and 503 when
    /// the store does not answer.
    pub async fn begin(
        call: &Call,
        principal: Principal,
        canonical: &impl Serialize,
    ) -> Result<Self, Problem> {
        let key = call.idempotency_key()?;
        let canonical = serde_json::to_vec(&(canonical, ConditionHeaders::of(&call.headers)))
            .map_err(|error| Problem::internal("giving a request its canonical form", &error))?;
        let (method, resource) = (call.method.as_str(), &call.resource);
        let id = call.state.ids.command(&principal, method, resource, key.as_deref());
        let preferred_wait = call.wait();
        let mut submission = Self::subscribed(call, id, principal, &canonical, preferred_wait);
        submission.preferred_wait = preferred_wait;
        submission.has_key = key.is_some();
        if submission.has_key {
            submission.outcome = call.state.reads.outcome(id).await?;
        }
        submission.check_fingerprint()?;
        Ok(submission)
    }

    /// Begins a command that is answered with its result or not at all. The command is new each
    /// time, whatever `Idempotency-Key` the request has: what was accepted once, such as a session,
    /// may have ended since.
    pub fn begin_synchronous(call: &Call, principal: Principal, wait: Duration) -> Self {
        let (method, resource) = (call.method.as_str(), &call.resource);
        let id = call.state.ids.command(&principal, method, resource, None);
        Self::subscribed(call, id, principal, id.as_bytes(), Some(wait))
    }

    /// Subscribes to the outcome before anything is read or written, so that none is missed.
    fn subscribed(
        call: &Call,
        id: Uuid,
        principal: Principal,
        canonical: &[u8],
        wait: Option<Duration>,
    ) -> Self {
        Self {
            id,
            fingerprint: call.state.ids.request(call.method.as_str(), &call.resource, canonical),
            principal,
            has_key: false,
            is_checked: false,
            remembered: None,
            outcome: None,
            deadline: wait.map(|wait| Instant::now() + wait),
            preferred_wait: None,
            notice: wait.map(|_| call.state.reads.notice(id)),
            view: None,
            undecided: None,
            command_type: "",
        }
    }

    /// Whether the command has no outcome yet.
    pub fn is_new(&self) -> bool {
        self.outcome.is_none()
    }

    /// An outcome must belong to the same request.
    fn check_fingerprint(&self) -> Result<(), Problem> {
        let stored = self.outcome.as_ref().and_then(|outcome| outcome.fingerprint.as_ref());
        match stored {
            Some(fingerprint) if *fingerprint != self.fingerprint => Err(Problem::key_reused()),
            _ => Ok(()),
        }
    }

    /// Writes the command, unless it has an outcome already.
    ///
    /// # Errors
    /// Returns a 503 problem when the log does not confirm the command in time; its `Location` says
    /// later whether the command was written. Returns 412 when the conditions are not met, and 422
    /// when another request has the idempotency key.
    pub async fn write(
        &mut self,
        call: &Call,
        key: String,
        command: impl Into<Command>,
    ) -> Result<(), Problem> {
        if !self.is_new() {
            return Ok(());
        }
        self.before_write(call).await?;
        let record = CommandRecord {
            id: self.id,
            principal: self.principal.to_string(),
            fingerprint: self.fingerprint.clone(),
            key,
            trace_parent: call.trace_parent(),
            command: command.into(),
        };
        self.command_type = record.command.name();
        self.view = self.deadline.and_then(|_| View::subscribed(&*call.state.reads, &record));
        // Created before the write, so that a client that disconnects during it does not free the
        // slot.
        let undecided = Undecided::new(call, self.id);
        match write(&call.state, record, self.confirmation(call)).await {
            Ok(()) => {
                self.undecided = Some(undecided);
                Ok(())
            }
            Err(_) => {
                undecided.end();
                Err(not_written(self.id))
            }
        }
    }

    /// The outcome; `None` when there is none before the deadline.
    ///
    /// # Errors
    /// Returns a 422 problem when the outcome belongs to another request.
    pub async fn outcome(&mut self, call: &Call) -> Result<Option<Outcome>, Problem> {
        if self.outcome.is_some() {
            return Ok(self.outcome.clone());
        }
        let Some(deadline) = self.deadline else { return Ok(None) };
        let begun = Instant::now();
        let reads = &*call.state.reads;
        let waited = wait::for_new_outcome(reads, self.id, self.notice.take(), deadline);
        let waited = self.before_shutdown(call, waited).await;
        let (outcome, ended_by) = waited.unwrap_or((None, wait::SHUTDOWN));
        self.outcome = outcome;
        let metrics = &call.state.metrics;
        metrics.waits.with_label_values(&["outcome", ended_by]).inc();
        let verdict =
            self.outcome.as_ref().map_or("none", |outcome| outcome::verdict_name(outcome.verdict));
        // A repeat that wrote nothing was counted when it was written.
        if !self.command_type.is_empty() {
            metrics.outcomes.with_label_values(&[self.command_type, verdict]).inc();
        }
        if self.outcome.is_some() {
            metrics.wait_outcome_seconds.observe(begun.elapsed().as_secs_f64());
            if let Some(undecided) = self.undecided.take() {
                undecided.end();
            }
        }
        self.check_fingerprint()?;
        Ok(self.outcome.clone())
    }

    /// The accepted outcome, once the read model holds its version.
    ///
    /// # Errors
    /// Returns the response when there is no such outcome in time: 202 while it is unknown or not
    /// visible, which it also is while a store fails; or the refusal. A refusal too waits, for a
    /// short time, until the read model holds the version that it was decided on. A client that
    /// reads next then sees the rejected order, or the version that did not match.
    pub async fn conclude(&mut self, call: &Call) -> Result<Outcome, EarlyResponse> {
        let Some(outcome) = self.outcome(call).await? else {
            return Err(self.accepted(&outcome::pending(self.id)));
        };
        if outcome.verdict != Verdict::Accepted {
            if outcome.version > 0 {
                self.is_visible(call, &outcome, Instant::now() + VISIBLE_TIMEOUT_MIN).await;
            }
            call.record_result();
            return Err(outcome::problem(&outcome).into());
        }
        if !self.is_visible(call, &outcome, self.visible_deadline()).await {
            call.record_result();
            return Err(self.not_visible(&outcome));
        }
        Ok(outcome)
    }

    /// Whether the read model holds the outcome's version before the deadline. What has been
    /// decided stays so while a store fails: then it is not visible.
    async fn is_visible(&mut self, call: &Call, outcome: &Outcome, deadline: Instant) -> bool {
        let begun = Instant::now();
        let (reads, metrics) = (&*call.state.reads, &call.state.metrics);
        let notice = self.view.take().and_then(|view| view.notice_of(outcome));
        let waited = async {
            let Some(notice) = notice else {
                return wait::for_version(reads, outcome, VERSION_INTERVAL, deadline).await;
            };
            let (is_visible, ended_by) =
                wait::for_notified_version(reads, outcome, notice, deadline).await?;
            metrics.waits.with_label_values(&["view", ended_by]).inc();
            Ok(is_visible)
        };
        let is_visible = match self.before_shutdown(call, waited).await {
            Some(Ok(is_visible)) => is_visible,
            Some(Err(error)) => {
                self.log_unshown(&error);
                false
            }
            None => false,
        };
        if is_visible {
            metrics.wait_view_seconds.observe(begun.elapsed().as_secs_f64());
        }
        is_visible
    }

    /// What `wait` returns; `None` when the gateway begins to shut down meanwhile, which cuts off
    /// those who wait too long. A synchronous command waits: it has no answer but its result, and
    /// takes less time than the shutdown.
    pub async fn before_shutdown<T>(
        &self,
        call: &Call,
        wait: impl Future<Output = T>,
    ) -> Option<T> {
        match self.preferred_wait {
            Some(_) => call.state.before_shutdown(wait).await,
            None => Some(wait.await),
        }
    }

    /// Until when the request waits for read models to hold the result.
    pub fn visible_deadline(&self) -> Instant {
        self.deadline.unwrap_or_else(Instant::now).max(Instant::now() + VISIBLE_TIMEOUT_MIN)
    }
}

fn not_written(command: Uuid) -> Problem {
    let detail = "The log did not confirm the command. It may still be carried out: read Location, \
                  or repeat the request, with its Idempotency-Key if it had one.";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not_written", detail)
        .header(header::LOCATION, &outcome::command_path(command))
        .retry_after(RETRY_AFTER)
        .with("links", json!({ "self": outcome::command_path(command) }))
}
