//! A command's way through the gateway: an id for the request, perhaps an answer that is there
//! already, the write, and then 202, or the result once its outcome is known and the read model
//! holds it.

use std::{sync::Mutex, time::Duration};

use futures_util::future::BoxFuture;
use schemas::{Outcome, Verdict};
use serde::Serialize;
use serde_json::json;
use tokio::time::{Instant, sleep, timeout_at};
use uuid::Uuid;
use warp::{
    Reply,
    http::{HeaderName, StatusCode, header},
    reply::Response,
};

use crate::{
    call::{Call, Early, set},
    commands::{Command, Outgoing},
    conditions::Spelled,
    ids::Principal,
    outcome,
    problem::Problem,
};

const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
/// A lost notice costs so much.
const ASK_EVERY: Duration = Duration::from_millis(250);
/// How often a read model is asked whether it holds an outcome's version.
const VIEW_EVERY: Duration = Duration::from_millis(10);
/// An outcome that came at the last moment still waits so long for its read model, and so does
/// every refusal.
const VIEW_MIN: Duration = Duration::from_millis(500);
/// How long a request holds its `Idempotency-Key` in Redis. Once the outcome is stored, that is
/// compared instead.
const CLAIM: Duration = Duration::from_secs(3600);
/// What is sent in the dark is worth asking for again after so long.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// A command that a request makes.
pub struct Submission {
    /// The command's id.
    pub id: Uuid,
    /// The request's fingerprint.
    fingerprint: String,
    principal: Principal,
    /// Whether the request has an idempotency key, so that another request may have the same id.
    keyed: bool,
    /// What became of it already, if this is a repeat.
    stored: Option<Outcome>,
    /// When the client would rather have a 202.
    deadline: Option<Instant>,
    asked: Option<Duration>,
    /// Locked only because a future is not `Sync`.
    notice: Mutex<Option<BoxFuture<'static, ()>>>,
    kind: &'static str,
}

impl Call {
    /// Begins a command: `canonical` is what the request asks for. A client that asked for it
    /// waits.
    ///
    /// # Errors
    /// The problem to answer with, if the idempotency key has been used for another request.
    pub async fn begin(
        &self,
        principal: Principal,
        canonical: &impl Serialize,
    ) -> Result<Submission, Problem> {
        let key = self.idempotency_key()?;
        let canonical =
            serde_json::to_vec(&(canonical, Spelled::of(&self.headers))).map_err(|error| {
                tracing::error!(%error, "a request has no canonical form");
                Problem::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "internal",
                    "This should not happen.",
                )
            })?;
        let id = self.state.ids.command(
            &principal,
            self.method.as_str(),
            &self.resource,
            key.as_deref(),
        );
        let asked = self.wait();
        let mut submission = self.listening(id, principal, &canonical, asked).await;
        submission.asked = asked;
        submission.keyed = key.is_some();
        if submission.keyed {
            submission.stored = self.state.reads.outcome(id).await?;
        }
        submission.check()?;
        Ok(submission)
    }

    /// Begins a command that is answered with its result or not at all. It is a new one each time,
    /// whatever `Idempotency-Key` the request has: what is accepted once, such as a session, may
    /// have ended since.
    pub async fn begin_now(&self, principal: Principal, wait: Duration) -> Submission {
        let id = self.state.ids.command(&principal, self.method.as_str(), &self.resource, None);
        self.listening(id, principal, id.as_bytes(), Some(wait)).await
    }

    /// First listen, then look: what comes in between is not missed.
    async fn listening(
        &self,
        id: Uuid,
        principal: Principal,
        canonical: &[u8],
        wait: Option<Duration>,
    ) -> Submission {
        let notice = match wait {
            Some(_) => Some(self.state.reads.notice(id).await),
            None => None,
        };
        Submission {
            id,
            fingerprint: self.state.ids.request(self.method.as_str(), &self.resource, canonical),
            principal,
            keyed: false,
            stored: None,
            deadline: wait.map(|wait| Instant::now() + wait),
            asked: None,
            notice: Mutex::new(notice),
            kind: "",
        }
    }

    /// Sends a command for which there is no request to answer to, such as a better hash of a
    /// password.
    pub async fn send_aside(&self, principal: &Principal, key: String, command: Command) {
        let id = self.state.ids.command(principal, "ASIDE", command.name(), None);
        let fingerprint = self.state.ids.request("ASIDE", command.name(), id.as_bytes());
        let outgoing = Outgoing {
            id,
            principal: principal.to_string(),
            fingerprint,
            key,
            trace_parent: self.trace_parent(),
            command,
        };
        let _ = write(self, outgoing).await;
    }
}

impl Submission {
    /// Whether there is something to do: the command has not ended yet.
    pub fn is_new(&self) -> bool {
        self.stored.is_none()
    }

    /// A stored outcome must be of the same request.
    fn check(&self) -> Result<(), Problem> {
        let Some(stored) = &self.stored else { return Ok(()) };
        match &stored.fingerprint {
            Some(fingerprint) if *fingerprint != self.fingerprint => Err(reused()),
            _ => Ok(()),
        }
    }

    /// Claims the idempotency key for this request, because an outcome to compare with comes only
    /// later. Without Redis the request passes, and a wait for the outcome still tells.
    async fn claim(&self, call: &Call) -> Result<(), Problem> {
        if !self.keyed {
            return Ok(());
        }
        let name = format!("millrace:gateway:request:{}", self.id);
        match call.state.counters.claim(&name, &self.fingerprint, CLAIM).await {
            Ok(first) if first != self.fingerprint => Err(reused()),
            Ok(_) => Ok(()),
            Err(error) => {
                call.state.metrics.counters_unavailable.inc();
                tracing::warn!(%error, "an Idempotency-Key could not be claimed; the request passes");
                Ok(())
            }
        }
    }

    /// Writes the command, unless it has ended already.
    ///
    /// # Errors
    /// The answer, if the log does not take it in time: 503, with where to ask whether it did after
    /// all; or if another request has the idempotency key.
    pub async fn write(
        &mut self,
        call: &Call,
        key: String,
        command: impl Into<Command>,
    ) -> Result<(), Problem> {
        if !self.is_new() {
            return Ok(());
        }
        self.claim(call).await?;
        let command = command.into();
        self.kind = command.name();
        let (id, principal) = (self.id, self.principal.to_string());
        let fingerprint = self.fingerprint.clone();
        let trace_parent = call.trace_parent();
        write(call, Outgoing { id, principal, fingerprint, key, trace_parent, command }).await.map_err(|()| {
            Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "not_written",
                "The log did not confirm the command. It may still be done: ask at Location, or repeat it, with its \
                 Idempotency-Key if it had one.",
            )
            .header(header::LOCATION, &outcome::location(id))
            .retry_after(RETRY_AFTER)
            .with("links", json!({ "self": outcome::location(id) }))
        })
    }

    /// The accepted outcome, once the read model holds what it says.
    ///
    /// # Errors
    /// The answer, if there is another: 202 when it is not known yet, or the refusal. A refusal too
    /// is told when the read model holds the version that it was decided on, if that is soon: who
    /// reads next sees a rejected order, or the version that did not match.
    pub async fn conclude(&mut self, call: &Call) -> Result<Outcome, Early> {
        let Some(outcome) = self.outcome(call).await? else {
            return Err(self.later(&outcome::pending(self.id)));
        };
        if outcome.verdict != Verdict::Accepted {
            if outcome.version > 0 {
                self.seen(call, &outcome, Instant::now() + VIEW_MIN).await?;
            }
            return Err(outcome::problem(&outcome).into());
        }
        if !self.seen(call, &outcome, self.patience()).await? {
            return Err(self.unseen(&outcome));
        }
        Ok(outcome)
    }

    /// Until when the client would wait for what this has made to be seen.
    pub fn patience(&self) -> Instant {
        self.deadline.unwrap_or_else(Instant::now).max(Instant::now() + VIEW_MIN)
    }

    /// The answer when an accepted outcome is not to be seen in time.
    pub fn unseen(&self, outcome: &Outcome) -> Early {
        self.later(&outcome::ended(outcome))
    }

    /// The outcome, if it comes before the deadline.
    ///
    /// # Errors
    /// The problem to answer with, if it is of another request.
    pub async fn outcome(&mut self, call: &Call) -> Result<Option<Outcome>, Problem> {
        if self.stored.is_some() {
            return Ok(self.stored.clone());
        }
        let Some(deadline) = self.deadline else { return Ok(None) };
        let begun = Instant::now();
        self.stored =
            wait_for(call, self.id, self.notice.get_mut().ok().and_then(Option::take), deadline)
                .await;
        let verdict = self.stored.as_ref().map_or("none", |outcome| outcome::word(outcome.verdict));
        call.state.metrics.outcomes.with_label_values(&[self.kind, verdict]).inc();
        if self.stored.is_some() {
            call.state.metrics.wait_outcome_seconds.observe(begun.elapsed().as_secs_f64());
        }
        self.check()?;
        Ok(self.stored.clone())
    }

    async fn seen(&self, call: &Call, outcome: &Outcome, until: Instant) -> Result<bool, Problem> {
        let begun = Instant::now();
        loop {
            let held = call.state.reads.version(&outcome.aggregate, &outcome.aggregate_id).await?;
            if held.is_some_and(|held| held >= outcome.version) {
                call.state.metrics.wait_view_seconds.observe(begun.elapsed().as_secs_f64());
                return Ok(true);
            }
            if Instant::now() >= until {
                return Ok(false);
            }
            sleep(VIEW_EVERY).await;
        }
    }

    /// 202: ask again later.
    fn later(&self, body: &serde_json::Value) -> Early {
        let location = outcome::location(self.id);
        let mut response =
            warp::reply::with_status(warp::reply::json(body), StatusCode::ACCEPTED).into_response();
        set(&mut response, header::LOCATION, &location);
        set(&mut response, header::CACHE_CONTROL, "no-store");
        set(&mut response, header::RETRY_AFTER, "1");
        Early::Answer(Box::new(self.told(response)))
    }

    /// Says that the client's wish to wait was followed.
    pub fn told(&self, mut response: Response) -> Response {
        if let Some(asked) = self.asked {
            set(&mut response, PREFERENCE_APPLIED, &format!("wait={}", asked.as_secs()));
        }
        response
    }

    /// The result of a command: what it made or changed.
    pub fn result(
        &self,
        call: &Call,
        made: Option<&str>,
        body: &impl Serialize,
        tag: String,
    ) -> Response {
        let status = if made.is_some() { StatusCode::CREATED } else { StatusCode::OK };
        let mut response = call.representation(status, body, Some(tag));
        if let Some(location) = made {
            set(&mut response, header::LOCATION, location);
        }
        self.told(response)
    }
}

/// The outcome of a command, if it comes before `deadline`.
pub async fn wait_for(
    call: &Call,
    id: Uuid,
    notice: Option<BoxFuture<'static, ()>>,
    deadline: Instant,
) -> Option<Outcome> {
    let mut notice = notice.unwrap_or_else(|| Box::pin(std::future::pending()));
    loop {
        match call.state.reads.outcome(id).await {
            Ok(Some(outcome)) => return Some(outcome),
            Ok(None) => {}
            // The command is on its way; a store that does not answer now may in a moment.
            Err(error) => tracing::warn!(%error, "an outcome could not be read"),
        }
        let now = Instant::now();
        if now >= deadline {
            return None;
        }
        if timeout_at(deadline.min(now + ASK_EVERY), &mut notice).await.is_ok() {
            notice = Box::pin(std::future::pending());
        }
    }
}

fn reused() -> Problem {
    let detail = "This Idempotency-Key has been used for another request.";
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused", detail)
}

/// Writes and counts; a failure is logged here.
async fn write(call: &Call, outgoing: Outgoing) -> Result<(), ()> {
    let metrics = &call.state.metrics;
    let (kind, id) = (outgoing.command.name(), outgoing.id);
    let begun = Instant::now();
    let written = call.state.commands.write(outgoing).await;
    metrics.write_seconds.observe(begun.elapsed().as_secs_f64());
    let result = if written.is_ok() { "written" } else { "failed" };
    metrics.commands.with_label_values(&[kind, result]).inc();
    written.map_err(|error| {
        tracing::error!(%error, command.id = %id, command.type = kind, "a command was not confirmed by the log");
    })
}
