//! A thin typed client of the HTTP API, for tests and demos. It sends a request as a user would and
//! returns the response, whatever its status. It never retries and never waits by itself. Each
//! client has loopback addresses of its own, so that no test uses up another's request limit.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Response};
use serde_json::{Value, json};

/// How long one request may take; longer than any `Prefer: wait`.
const REQUEST_MAX: Duration = Duration::from_secs(30);
/// The number of requests after which a client moves to another address, below the limit of 100.
const REQUESTS_PER_ADDRESS: u32 = 80;

/// A client of the API, for one user.
#[derive(Debug)]
pub struct Client {
    url: String,
    token: Option<String>,
    /// Whether it keeps its address.
    fixed: bool,
    sent: AtomicU32,
    http: Mutex<reqwest::Client>,
}

impl Client {
    /// Creates a client of `url` that moves to another random loopback address before its request
    /// limit is used up.
    pub fn new(url: &str) -> Result<Self, reqwest::Error> {
        Ok(Self { fixed: false, ..Self::at(url, any_address())? })
    }

    /// Creates a client of `url` that always uses `address`.
    pub fn at(url: &str, address: Ipv4Addr) -> Result<Self, reqwest::Error> {
        Ok(Self {
            url: url.trim_end_matches('/').to_owned(),
            token: None,
            fixed: true,
            sent: AtomicU32::new(0),
            http: Mutex::new(from_address(address)?),
        })
    }

    /// The same client with an access token.
    pub fn with_token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// The access token, if there is one.
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// Creates a request for `path`, with the token if there is one.
    pub fn request(&self, method: Method, path: &str) -> Request {
        let request = self.http().request(method.clone(), format!("{}{path}", self.url));
        let request = match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        Request { what: format!("{method} {path}"), request }
    }

    /// Creates a GET request for `path`.
    pub fn get(&self, path: &str) -> Request {
        self.request(Method::GET, path)
    }

    /// Creates a POST request for `path`.
    pub fn post(&self, path: &str, body: &Value) -> Request {
        self.request(Method::POST, path).json(body)
    }

    /// Creates a PUT request for `path`.
    pub fn put(&self, path: &str, body: &Value) -> Request {
        self.request(Method::PUT, path).json(body)
    }

    /// `POST /v1/users`.
    pub fn register(&self, email: &str, password: &str, name: &str) -> Request {
        self.post("/v1/users", &json!({ "email": email, "password": password, "name": name }))
    }

    /// `POST /v1/sessions`.
    pub fn log_in(&self, email: &str, password: &str) -> Request {
        self.post("/v1/sessions", &json!({ "email": email, "password": password }))
    }

    /// `POST /v1/sessions/refresh`.
    pub fn refresh(&self, refresh_token: &str) -> Request {
        self.post("/v1/sessions/refresh", &json!({ "refresh_token": refresh_token }))
    }

    /// `DELETE /v1/sessions/current`.
    pub fn log_out(&self) -> Request {
        self.request(Method::DELETE, "/v1/sessions/current")
    }

    /// `POST /v1/products`, in euros.
    pub fn add_product(&self, sku: &str, name: &str, price_minor: i64) -> Request {
        let product =
            json!({ "sku": sku, "name": name, "price_minor": price_minor, "currency": "EUR" });
        self.post("/v1/products", &product)
    }

    /// `POST /v1/products/{sku}/stock`.
    pub fn receive_stock(&self, sku: &str, quantity: i64) -> Request {
        self.post(&format!("/v1/products/{sku}/stock"), &json!({ "quantity": quantity }))
    }

    /// `POST /v1/orders`.
    pub fn place_order(&self, lines: &[(&str, i64)]) -> Request {
        let lines: Vec<_> = lines
            .iter()
            .map(|(sku, quantity)| json!({ "sku": sku, "quantity": quantity }))
            .collect();
        self.post("/v1/orders", &json!({ "lines": lines }))
    }

    /// `POST /v1/orders/{id}/cancel`.
    pub fn cancel_order(&self, id: &str) -> Request {
        self.post(&format!("/v1/orders/{id}/cancel"), &json!({}))
    }

    /// Moves to another random address, because somebody else has used up the limit of this one.
    ///
    /// # Errors
    /// Fails if no HTTP client can be made.
    pub fn move_on(&self) -> Result<(), reqwest::Error> {
        let moved = from_address(any_address())?;
        self.sent.store(0, Ordering::Relaxed);
        *self.http.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = moved;
        Ok(())
    }

    fn http(&self) -> reqwest::Client {
        let sent = self.sent.fetch_add(1, Ordering::Relaxed);
        if !self.fixed && sent % REQUESTS_PER_ADDRESS == REQUESTS_PER_ADDRESS - 1 {
            // If no other client can be made, this one goes on.
            drop(self.move_on());
        }
        self.http.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}

/// A random loopback address. Any of them reaches the system, and each counts as a client of its
/// own. 127.0.x.x is left to other programs.
pub fn any_address() -> Ipv4Addr {
    Ipv4Addr::new(127, rand::random_range(1..64), rand::random(), rand::random_range(1..255))
}

fn from_address(address: Ipv4Addr) -> Result<reqwest::Client, reqwest::Error> {
    crate::http().local_address(IpAddr::V4(address)).timeout(REQUEST_MAX).build()
}

/// A request that is not sent yet.
#[derive(Debug)]
pub struct Request {
    what: String,
    request: reqwest::RequestBuilder,
}

impl Request {
    /// Adds a header.
    #[must_use]
    pub fn header(self, name: &str, value: &str) -> Self {
        Self { request: self.request.header(name, value), ..self }
    }

    /// Adds `Prefer: wait=`.
    #[must_use]
    pub fn wait(self, seconds: u32) -> Self {
        self.header("prefer", &format!("wait={seconds}"))
    }

    /// Adds an `Idempotency-Key`.
    #[must_use]
    pub fn key(self, key: &str) -> Self {
        self.header("idempotency-key", key)
    }

    /// Sets a JSON body.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        Self { request: self.request.json(body), ..self }
    }

    /// Sets a body that is sent as JSON without being checked.
    #[must_use]
    pub fn raw(self, body: &str) -> Self {
        Self {
            request: self.request.header("content-type", "application/json").body(body.to_owned()),
            ..self
        }
    }

    /// Sends it and reads the whole response.
    pub async fn send(self) -> Result<Answer, reqwest::Error> {
        let begun = Instant::now();
        let answer = self.request.send().await?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let text = answer.text().await?;
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Ok(Answer { what: self.what, status, headers, body, took: begun.elapsed() })
    }

    /// Sends it and returns before the body is read, for a stream that may last ten minutes.
    pub async fn open(self) -> Result<Response, reqwest::Error> {
        self.request.timeout(Duration::from_secs(600)).send().await
    }
}

/// A response.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Method and path of the request, for messages.
    pub what: String,
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap<HeaderValue>,
    /// The body; a string if it is not JSON.
    pub body: Value,
    /// How long it took.
    pub took: Duration,
}

impl Answer {
    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        let name = HeaderName::try_from(name).ok()?;
        self.headers.get(name)?.to_str().ok()
    }

    /// A field of the body as text.
    pub fn text(&self, field: &str) -> Option<&str> {
        self.body[field].as_str()
    }

    /// The last segment of `Location`: the id of the command or of the new resource.
    pub fn location_id(&self) -> Option<&str> {
        self.header("location")?.rsplit('/').next()
    }
}
