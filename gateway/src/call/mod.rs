//! One request, with what its handler may ask of it: who sends it, its headers, its query, its
//! body. It decides nothing about routes: the router has chosen the handler already.

mod body;
mod response;

use std::{net::IpAddr, sync::Arc, time::Duration};

use schemas::chain;
use serde::Serialize;
use warp::{
    Reply,
    http::{HeaderMap, Method, StatusCode, header},
    reply::Response,
};

use crate::{
    answers::PAGE_SIZE_DEFAULT,
    auth::{Caller, Role, STEP_UP_MAX_AGE},
    headers::set,
    load::Slot,
    preferences,
    problem::Problem,
    reads::ReadError,
    state::State,
};

pub use body::{Body, RequestBody};
pub use response::{Answer, EarlyResponse, render};

/// The longest time that a client may ask to wait for a result.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// How long the check that a caller is still active waits for the store.
const ACTIVE_USER_TIMEOUT: Duration = Duration::from_millis(500);
const IDEMPOTENCY_KEY: &str = "idempotency-key";
const PAGE_SIZE_MAX: usize = 100;

/// One request.
pub struct Call {
    /// The gateway's parts.
    pub state: Arc<State>,
    /// The HTTP method.
    pub method: Method,
    /// What the path names, in canonical form: the route's template with the parsed parameters. An
    /// idempotency key belongs to this and the method.
    pub resource: String,
    /// The client's address.
    pub client: IpAddr,
    /// The headers.
    pub headers: HeaderMap,
    /// The query string, without its question mark.
    pub query: String,
    /// The body, which can be read once.
    pub body: RequestBody,
    /// The request's slot, if requests of its route are limited.
    pub slot: Option<Slot>,
    /// The W3C trace context of the request's span, if spans are exported.
    pub span: Option<String>,
}

impl Call {
    /// The value of a header; `None` also when it is not visible ASCII.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The W3C trace context that commands of the request pass on: that of its span, or what the
    /// client has sent.
    pub fn trace_parent(&self) -> Option<String> {
        self.span.clone().or_else(|| self.client_trace_parent().map(str::to_owned))
    }

    /// The W3C trace context of the client, if it has the shape of one.
    pub fn client_trace_parent(&self) -> Option<&str> {
        let has_shape = |text: &&str| {
            text.len() == 55 && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
        };
        self.header("traceparent").filter(has_shape)
    }

    /// The logged-in user, by the access token.
    ///
    /// # Errors
    /// Returns a 401 problem without a valid access token.
    pub fn caller(&self) -> Result<Caller, Problem> {
        let missing = || {
            let detail = "Log in: send Authorization: Bearer <access_token>.";
            Problem::unauthorized("unauthorized", detail)
        };
        let invalid = || {
            let detail = "The access token is not valid, or it has expired.";
            Problem::unauthorized("invalid_token", detail)
        };
        let mut lines = self.headers.get_all(header::AUTHORIZATION).iter();
        let value = lines.next().ok_or_else(missing)?;
        if lines.next().is_some() {
            return Err(invalid());
        }
        let (scheme, token) =
            value.to_str().ok().and_then(|text| text.split_once(' ')).ok_or_else(missing)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(missing());
        }
        self.state.tokens.verify(token.trim()).ok_or_else(invalid)
    }

    /// The logged-in admin.
    ///
    /// # Errors
    /// Returns a 401 problem without a valid access token, and 403 for any other user.
    pub fn admin(&self) -> Result<Caller, Problem> {
        let caller = self.caller()?;
        if caller.role == Role::Admin { Ok(caller) } else { Err(Problem::forbidden()) }
    }

    /// Refuses a caller who has not given the password within the last five minutes: for what an
    /// operator changes, a token that somebody else has got is not enough.
    ///
    /// # Errors
    /// Returns a 401 problem that asks for the password (RFC 9470).
    pub fn require_recent(&self, caller: &Caller) -> Result<(), Problem> {
        if caller.is_recent() { Ok(()) } else { Err(Problem::step_up(STEP_UP_MAX_AGE)) }
    }

    /// Refuses a caller who has been deactivated since the access token was issued: it may create
    /// nothing durable. If the store does not answer in time, the token is trusted, because
    /// commands are accepted without any store.
    ///
    /// # Errors
    /// Returns a 401 problem when the caller has been deactivated.
    pub async fn require_active(&self, caller: &Caller) -> Result<(), Problem> {
        let user = tokio::time::timeout(ACTIVE_USER_TIMEOUT, self.state.reads.user(caller.user_id));
        match user.await.unwrap_or_else(|elapsed| Err(ReadError::new("a user", elapsed))) {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err(Problem::unauthorized(
                "invalid_token",
                "The access token's user has been deactivated.",
            )),
            Err(error) => {
                let error = chain(&error);
                tracing::warn!(error, "the caller is assumed to be active: the store did not say");
                Ok(())
            }
        }
    }

    /// The body, as JSON of the shape of `T`.
    ///
    /// # Errors
    /// Returns the problem of [`RequestBody::json`].
    pub async fn json<T: Body>(&mut self) -> Result<T, Problem> {
        let json = self.body.json(&self.headers).await;
        // The time that a client takes to send its body says nothing about the system.
        if let Some(slot) = &self.slot {
            slot.begin_work();
        }
        json
    }

    /// Begins a wait for something that may take long. The request gives up its slot, and gets one
    /// of those that wait; `None` when they are taken, so that it must not wait.
    pub fn begin_wait(&self) -> Option<Slot> {
        let waiting = self.state.load.wait(self.client)?;
        if let Some(slot) = &self.slot {
            slot.free();
        }
        Some(waiting)
    }

    /// Records that the request has got its result, as a measure of how busy the system is.
    pub fn record_result(&self) {
        if let Some(slot) = &self.slot {
            slot.record();
        }
    }

    /// A parameter of the query string.
    ///
    /// # Errors
    /// Returns a 400 problem when the parameter occurs twice.
    pub fn parameter(&self, name: &str) -> Result<Option<String>, Problem> {
        let parameters = form_urlencoded::parse(self.query.as_bytes());
        let mut values =
            parameters.filter_map(|(key, value)| (key == name).then(|| value.into_owned()));
        match (values.next(), values.next()) {
            (_, Some(_)) => Err(Problem::field(name, "expected only once")),
            (value, None) => Ok(value),
        }
    }

    /// The size of a page: the query's `limit`, or 20.
    ///
    /// # Errors
    /// Returns a 400 problem when `limit` is not a number from 1 to 100.
    pub fn page_size(&self) -> Result<usize, Problem> {
        let Some(limit) = self.parameter("limit")? else { return Ok(PAGE_SIZE_DEFAULT) };
        limit
            .parse()
            .ok()
            .filter(|limit| (1..=PAGE_SIZE_MAX).contains(limit))
            .ok_or_else(|| Problem::field("limit", format!("expected 1 to {PAGE_SIZE_MAX}")))
    }

    /// How long the client prefers to wait for a result (`Prefer: wait=5`), at most 30 s.
    pub fn wait(&self) -> Option<Duration> {
        let seconds = preferences::wait(&self.headers)?;
        Some(Duration::from_secs(seconds).min(WAIT_MAX))
    }

    /// The key under which a repeated request is the same command.
    ///
    /// # Errors
    /// Returns a 400 problem when the key is empty, too long, or not visible ASCII.
    pub fn idempotency_key(&self) -> Result<Option<String>, Problem> {
        let Some(value) = self.headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
        // The IETF draft wants a quoted string; most clients send the key without quotes.
        let key = value.to_str().ok().map(str::trim);
        let key = match key {
            Some(quoted) if quoted.starts_with('"') => preferences::string(quoted),
            bare => bare.map(str::to_owned),
        };
        let is_valid = |key: &String| {
            (1..=255).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic())
        };
        let invalid =
            || Problem::invalid("Idempotency-Key: expected 1 to 255 visible ASCII characters.");
        key.filter(is_valid).ok_or_else(invalid).map(Some)
    }

    /// The entity tag of an aggregate's representation.
    pub fn entity_tag(&self, aggregate: &str, id: impl ToString, version: i64) -> String {
        self.state.ids.entity_tag(aggregate, &id.to_string(), version)
    }

    /// A JSON response, with the entity tag of a single resource. It may be personal, so it is
    /// `no-store`; a handler of a public resource overrides that.
    pub fn representation(
        &self,
        status: StatusCode,
        body: &impl Serialize,
        entity_tag: Option<String>,
    ) -> Response {
        let mut response =
            warp::reply::with_status(warp::reply::json(body), status).into_response();
        if let Some(entity_tag) = entity_tag {
            set(&mut response, header::ETAG, &entity_tag);
        }
        set(&mut response, header::CACHE_CONTROL, "no-store");
        response
    }
}
