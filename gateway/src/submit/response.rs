//! The responses to a command: its result, or 202 while there is none. Refusals and failures are
//! problems, made elsewhere.

use schemas::{Outcome, Verdict, chain};
use serde::Serialize;
use serde_json::Value;
use warp::{
    Reply,
    http::{HeaderName, StatusCode, header},
    reply::Response,
};

use super::Submission;
use crate::{
    call::{Call, EarlyResponse},
    headers::set,
    outcome,
    reads::ReadError,
};

const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

impl Submission {
    /// The response when no read model holds an accepted outcome in time: 202.
    pub fn not_visible(&self, outcome: &Outcome) -> EarlyResponse {
        self.accepted(&outcome::ended(outcome))
    }

    /// What an accepted command is answered with, as a store was asked for it. If the store fails,
    /// or does not have it any more, the command is accepted all the same: 202.
    ///
    /// # Errors
    /// Returns that response.
    pub fn shown<T>(
        &self,
        outcome: &Outcome,
        read: Result<Option<T>, ReadError>,
    ) -> Result<T, EarlyResponse> {
        let found = read.unwrap_or_else(|error| {
            self.log_unshown(&error);
            None
        });
        found.ok_or_else(|| self.not_visible(outcome))
    }

    /// Logs why the result of a command that has been decided can't be shown.
    pub fn log_unshown(&self, error: &ReadError) {
        let error = chain(error);
        tracing::warn!(error, command.id = %self.id, "the result of a command can't be shown");
    }

    /// The accepted outcome, whether or not a read model holds it.
    ///
    /// # Errors
    /// Returns the response when there is no such outcome in time: 202 while it is unknown, or the
    /// refusal.
    pub async fn decided(&mut self, call: &Call) -> Result<Outcome, EarlyResponse> {
        let Some(outcome) = self.outcome(call).await? else {
            return Err(self.accepted(&outcome::pending(self.id)));
        };
        match outcome.verdict {
            Verdict::Accepted => Ok(outcome),
            _ => {
                call.record_result();
                Err(outcome::problem(&outcome).into())
            }
        }
    }

    /// 202, with where to ask for the command's status.
    pub(super) fn accepted(&self, body: &Value) -> EarlyResponse {
        let mut response =
            warp::reply::with_status(warp::reply::json(body), StatusCode::ACCEPTED).into_response();
        set(&mut response, header::LOCATION, &outcome::command_path(self.id));
        set(&mut response, header::CACHE_CONTROL, "no-store");
        set(&mut response, header::RETRY_AFTER, "1");
        EarlyResponse::Response(Box::new(self.apply_headers(response)))
    }

    /// The response with a link to the command's trace (RFC 8288), and with `Preference-Applied` if
    /// the client prefers to wait.
    pub fn apply_headers(&self, mut response: Response) -> Response {
        let trace = outcome::trace_path(self.id);
        set(&mut response, header::LINK, &format!("<{trace}>; rel=\"related\"; title=\"trace\""));
        if let Some(wait) = self.preferred_wait {
            set(&mut response, PREFERENCE_APPLIED, &format!("wait={}", wait.as_secs()));
        }
        response
    }

    /// The response to an accepted command, with the aggregate that it changed.
    pub fn changed(&self, call: &Call, body: &impl Serialize, entity_tag: String) -> Response {
        self.apply_headers(call.representation(StatusCode::OK, body, Some(entity_tag)))
    }

    /// The response to an accepted command, with the aggregate that it created.
    pub fn created(
        &self,
        call: &Call,
        location: &str,
        body: &impl Serialize,
        entity_tag: String,
    ) -> Response {
        let mut response = call.representation(StatusCode::CREATED, body, Some(entity_tag));
        set(&mut response, header::LOCATION, location);
        self.apply_headers(response)
    }
}
