//! Sends what changes data, and waits for its outcome.
//!
//! Each request has an idempotency key, so asking again for the outcome repeats the same command,
//! which has an effect once.

use std::time::{Duration, Instant};

use clap::Args;
use reqwest::StatusCode;
use serde_json::Value;
use uuid::Uuid;

use crate::{
    client::{Answer, Client, Request},
    failure::Failure,
    report::Report,
    text::value::{optional, text},
};

/// The longest that the gateway waits before it answers.
const WAIT_S_MAX: u64 = 30;

/// The time between two requests for the outcome.
const PAUSE: Duration = Duration::from_secs(1);

/// How an action is sent.
#[derive(Debug, Args)]
pub(super) struct Sending {
    /// How many seconds to wait for the outcome, up to 300. `retry-all` and `drop-all` send one
    /// request, which waits for 30 at most.
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=300))]
    wait: u16,
    /// Repeats the action that was sent with this key, instead of sending a new one.
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
}

/// An action that is being sent.
pub(super) struct Sent {
    key: String,
    /// The options with which the same command is sent again.
    repeat: String,
    deadline: Instant,
}

impl Sending {
    /// Begins to wait.
    pub(super) fn begin(&self) -> Sent {
        self.begin_with(None)
    }

    /// Begins to wait. A repeat needs the option `found` too: its value was not given but read,
    /// and is another one after the command.
    pub(super) fn begin_with(&self, found: Option<String>) -> Sent {
        let key = self.idempotency_key.clone().unwrap_or_else(|| Uuid::new_v4().to_string());
        let found = found.map(|option| format!("{option} ")).unwrap_or_default();
        let repeat = format!("{found}--idempotency-key {key}");
        let deadline = Instant::now() + Duration::from_secs(self.wait.into());
        Sent { key, repeat, deadline }
    }

    /// How long one request may take for all that it does.
    pub(super) fn once(&self) -> Duration {
        Duration::from_secs(u64::from(self.wait).min(WAIT_S_MAX))
    }
}

impl Sent {
    /// Sends the action once; the gateway waits as long as `wait`.
    ///
    /// # Errors
    /// If it is refused or fails, or it is not known whether it was written.
    pub(super) async fn once(
        &self,
        client: &mut Client,
        path: &str,
        body: &str,
        wait: Duration,
    ) -> Result<Answer, Failure> {
        let answer = self.send(client, path, body, wait).await;
        answer.map_err(|failure| self.with_key(failure))
    }

    async fn send(
        &self,
        client: &mut Client,
        path: &str,
        body: &str,
        wait: Duration,
    ) -> Result<Answer, Failure> {
        let headers =
            [("idempotency-key", self.key.clone()), ("prefer", format!("wait={}", wait.as_secs()))];
        client.send(Request::post(path, body.to_owned()).headers(&headers).wait(wait)).await
    }

    /// The failure with how to repeat the action, if it may be written.
    fn with_key(&self, failure: Failure) -> Failure {
        match failure.is_unknown() {
            true => failure.and(&format!(
                "It is not known whether the command was written. Repeat it with {}: it has an \
                 effect once.",
                self.repeat
            )),
            false => failure,
        }
    }

    /// Sends the action until it has an outcome, or the time is over. `done` says what an outcome
    /// that is no refusal means.
    ///
    /// # Errors
    /// As [`Sent::once`]. A command that is written is reported as such whatever follows, unless it
    /// has an outcome.
    pub(super) async fn decided(
        &self,
        client: &mut Client,
        path: &str,
        body: &str,
        done: impl FnOnce(&Answer) -> Vec<String>,
    ) -> Result<Report, Failure> {
        let mut written: Option<Value> = None;
        loop {
            let left = self.deadline.saturating_duration_since(Instant::now());
            // Whole seconds, and at least one.
            let wait = Duration::from_secs((left.as_secs() + 1).min(WAIT_S_MAX));
            let answer = match (self.send(client, path, body, wait).await, written.take()) {
                (Ok(answer), _) => answer,
                (Err(failure), Some(body)) if !failure.is_outcome() => {
                    let lines = vec![format!(
                        "Command {} is written, and its outcome could not be read.",
                        text(&body, "id")
                    )];
                    return Ok(self
                        .pending(body, lines)
                        .noting(Some(format!("millrace: {failure}"))));
                }
                (Err(failure), _) => return Err(self.with_key(failure)),
            };
            let Answer { status, body } = &answer;
            if *status != StatusCode::ACCEPTED {
                let lines = done(&answer);
                return Ok(Report::done(answer.body, lines));
            }
            if Instant::now() >= self.deadline {
                let id = text(body, "id");
                let lines = vec![format!("Command {id} is written and has no outcome yet.")];
                return Ok(self.pending(answer.body, lines));
            }
            written = Some(answer.body);
            // A gateway that does not wait must not be asked all the time.
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// The report of a command that is written and has no outcome that is known.
    fn pending(&self, body: Value, lines: Vec<String>) -> Report {
        let note = format!(
            "Repeat it with {} to wait for the outcome, or see `millrace trace {}`.",
            self.repeat,
            text(&body, "id")
        );
        Report::done(body, lines).noting(Some(note)).only_if(false)
    }
}

/// The line that names the command of an answer.
pub(super) fn command_line(answer: &Answer) -> Option<String> {
    let id = optional(&answer.body, "id")?;
    Some(format!("Command {id}: {}", text(&answer.body, "state")))
}

/// Why something is done; it is kept with the user's name.
#[derive(Debug, Args)]
pub(super) struct Reason {
    /// Why, on one line of up to 500 characters. It is kept with your name.
    #[arg(long, value_name = "WHY")]
    pub(super) reason: String,
}
