//! One request with what its handler may ask of it: who sends it, its body, its preferences and
//! conditions. A filter only ever rejects for path and method; everything else is answered by
//! handlers, so that no other route is tried.

use std::{net::IpAddr, pin::Pin, sync::Arc, time::Duration};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;
use url::form_urlencoded;
use warp::{
    Filter, Rejection, Reply,
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    reply::Response,
};

use crate::{
    auth::{Caller, Role},
    client::Peer,
    json, preferences,
    problem::Problem,
    reads::ReadError,
    routes,
    state::State,
};

/// The largest body.
pub const BODY_MAX: usize = 64 * 1024;
/// The longest that a client may ask to wait.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// The longest body of a request may take.
const BODY_DEADLINE: Duration = Duration::from_secs(15);
/// A store that takes longer is not asked whether a caller is still there.
const USER_MAX: Duration = Duration::from_millis(500);
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// An answer that comes before a handler's end.
#[derive(Debug)]
pub enum Early {
    /// A failure.
    Problem(Problem),
    /// An answer.
    Answer(Box<Response>),
}

/// What a handler answers.
pub type Answer = Result<Response, Early>;

impl From<Problem> for Early {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<ReadError> for Early {
    fn from(error: ReadError) -> Self {
        Self::Problem(error.into())
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        tracing::error!(%error, "a store did not answer");
        Problem::unavailable("A store does not answer.")
    }
}

/// The handler's answer as a response.
pub fn settle(answer: Answer) -> Response {
    match answer {
        Ok(response) => response,
        Err(Early::Answer(response)) => *response,
        Err(Early::Problem(problem)) => problem.into_response(),
    }
}

/// A body that has a shape.
pub trait Body: DeserializeOwned {
    /// The shape, for someone who sent another.
    const SHAPE: &'static str;
}

type BodyStream = Pin<Box<dyn Stream<Item = Result<Bytes, warp::Error>> + Send + Sync>>;

/// One request.
pub struct Call {
    /// What every route has at hand.
    pub state: Arc<State>,
    /// Its method.
    pub method: Method,
    /// What its path names, in one spelling.
    pub resource: String,
    /// The client's address.
    pub client: IpAddr,
    /// Its headers.
    pub headers: HeaderMap,
    query: String,
    body: BodyStream,
}

/// Makes a [`Call`] of a request.
pub fn call(state: Arc<State>) -> impl Filter<Extract = (Call,), Error = Rejection> + Clone {
    let query = warp::query::raw().or(warp::any().map(String::new)).unify();
    warp::any()
        .map(move || state.clone())
        .and(warp::ext::optional::<Peer>())
        .and(warp::method())
        .and(warp::path::full())
        .and(warp::header::headers_cloned())
        .and(query)
        .and(warp::body::stream())
        .map(|state: Arc<State>, peer, method, path: warp::path::FullPath, headers, query, body| {
            let body = StreamExt::map(body, |chunk: Result<_, warp::Error>| {
                chunk.map(|mut chunk| {
                    let length = Buf::remaining(&chunk);
                    Buf::copy_to_bytes(&mut chunk, length)
                })
            });
            let client = state.limit.client(Peer::address(peer), &headers);
            let resource = routes::resource(path.as_str());
            Call { state, method, resource, client, headers, query, body: Box::pin(body) }
        })
}

impl Call {
    /// A header's text; `None` too if it is no text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The W3C trace context that the request belongs to.
    pub fn trace_parent(&self) -> Option<String> {
        let fine = |text: &&str| {
            text.len() == 55 && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
        };
        self.text("traceparent").filter(fine).map(str::to_owned)
    }

    /// Who is logged in.
    ///
    /// # Errors
    /// The problem to answer with, if nobody is.
    pub fn caller(&self) -> Result<Caller, Problem> {
        let missing = || {
            Problem::unauthorized(
                "unauthorized",
                "Log in: send Authorization: Bearer <access_token>.",
            )
        };
        let mut lines = self.headers.get_all(header::AUTHORIZATION).iter();
        let value = lines.next().ok_or_else(missing)?;
        let invalid =
            || Problem::unauthorized("invalid_token", "The access token is no good, or has ended.");
        if lines.next().is_some() {
            return Err(invalid());
        }
        let (scheme, token) =
            value.to_str().ok().and_then(|text| text.split_once(' ')).ok_or_else(missing)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(missing());
        }
        self.state.tokens.check(token.trim()).ok_or_else(invalid)
    }

    /// The admin who is logged in.
    ///
    /// # Errors
    /// The problem to answer with, if none is.
    pub fn admin(&self) -> Result<Caller, Problem> {
        let caller = self.caller()?;
        if caller.role == Role::Admin { Ok(caller) } else { Err(Problem::forbidden()) }
    }

    /// Refuses a caller who has been deactivated since the access token was given: what lasts is
    /// not made with it any more. If the store does not answer, the token is believed, because
    /// commands are taken without any store.
    ///
    /// # Errors
    /// The problem to answer with, if the caller is gone.
    pub async fn still_there(&self, caller: &Caller) -> Result<(), Problem> {
        let late =
            |_| Err(ReadError { what: "a user", why: format!("no answer within {USER_MAX:?}") });
        let user = tokio::time::timeout(USER_MAX, self.state.reads.user(caller.user_id));
        match user.await.unwrap_or_else(late) {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err(Problem::unauthorized(
                "invalid_token",
                "The access token's user has been deactivated.",
            )),
            Err(error) => {
                tracing::warn!(%error, "a caller is taken to be there");
                Ok(())
            }
        }
    }

    /// The body, as JSON of the shape of `T`.
    ///
    /// # Errors
    /// The problem to answer with.
    pub async fn json<T: Body>(&mut self) -> Result<T, Problem> {
        let kind = self.text("content-type").unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/json") {
            let detail = "Send JSON, with Content-Type: application/json.";
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                detail,
            )
            .with("expected", json!(T::SHAPE))
            .header(header::ACCEPT, "application/json"));
        }
        let bytes = self.bytes().await?;
        json::object(&bytes).map_err(|error| {
            let detail = format!("The body is not what is expected here: {error}.");
            Problem::new(StatusCode::BAD_REQUEST, "invalid_body", detail)
                .with("expected", json!(T::SHAPE))
        })
    }

    async fn bytes(&mut self) -> Result<Bytes, Problem> {
        let too_large = || {
            let detail = format!("The body may have {BODY_MAX} bytes at most.");
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)
        };
        let announced = self.text("content-length").and_then(|length| length.parse::<usize>().ok());
        if announced.is_some_and(|length| length > BODY_MAX) {
            return Err(too_large());
        }
        let mut bytes = BytesMut::with_capacity(announced.unwrap_or(0));
        let read = async {
            while let Some(chunk) = self.body.next().await {
                let chunk = chunk.map_err(|_| Problem::invalid("The body ended too early."))?;
                if bytes.len() + chunk.len() > BODY_MAX {
                    return Err(too_large());
                }
                bytes.put(chunk);
            }
            Ok(())
        };
        let slow =
            |_| Problem::new(StatusCode::REQUEST_TIMEOUT, "timeout", "The body took too long.");
        tokio::time::timeout(BODY_DEADLINE, read).await.map_err(slow)??;
        Ok(bytes.freeze())
    }

    /// A parameter of the query.
    ///
    /// # Errors
    /// The problem to answer with, if it is there twice.
    pub fn parameter(&self, name: &str) -> Result<Option<String>, Problem> {
        let parameters = form_urlencoded::parse(self.query.as_bytes());
        let mut values =
            parameters.filter_map(|(key, value)| (key == name).then(|| value.into_owned()));
        match (values.next(), values.next()) {
            (_, Some(_)) => Err(Problem::field(name, "given twice")),
            (value, None) => Ok(value),
        }
    }

    /// How many things to answer with: `limit`, 1 to 100, 20 if it is not there.
    ///
    /// # Errors
    /// The problem to answer with.
    pub fn page_size(&self) -> Result<usize, Problem> {
        let Some(limit) = self.parameter("limit")? else { return Ok(20) };
        limit
            .parse()
            .ok()
            .filter(|limit| (1..=100).contains(limit))
            .ok_or_else(|| Problem::field("limit", "1 to 100"))
    }

    /// How long the client would wait for a result: `Prefer: wait=5`.
    pub fn wait(&self) -> Option<Duration> {
        let seconds = preferences::wait(&self.headers)?;
        Some(Duration::from_secs(seconds).min(WAIT_MAX))
    }

    /// The key under which a repeat is the same command.
    ///
    /// # Errors
    /// The problem to answer with, if it can't be one.
    pub fn idempotency_key(&self) -> Result<Option<String>, Problem> {
        let Some(value) = self.headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
        // The draft wants a quoted string; most clients send it bare.
        let key = value.to_str().ok().map(str::trim);
        let key = match key {
            Some(quoted) if quoted.starts_with('"') => preferences::string(quoted),
            bare => bare.map(str::to_owned),
        };
        let fine = |key: &String| {
            (1..=255).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic())
        };
        let key = key
            .filter(fine)
            .ok_or_else(|| Problem::invalid("Idempotency-Key: 1 to 255 visible characters."))?;
        Ok(Some(key))
    }

    /// A representation, with the entity tag of a single thing. It may be personal, so nobody
    /// stores it; what is not personal says so after this.
    pub fn representation(
        &self,
        status: StatusCode,
        body: &impl Serialize,
        tag: Option<String>,
    ) -> Response {
        let mut response =
            warp::reply::with_status(warp::reply::json(body), status).into_response();
        if let Some(tag) = tag {
            set(&mut response, header::ETAG, &tag);
        }
        set(&mut response, header::CACHE_CONTROL, "no-store");
        response
    }
}

/// Sets a header; one that can't be a header is left out.
pub fn set(response: &mut Response, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}
