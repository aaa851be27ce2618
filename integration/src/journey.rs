//! One visible journey over HTTP, as the first user of a fresh system would go it: register, log
//! in, stock the shelves as admin, order, find the order and the notification. It prints each step
//! with its latency. It uses the public API alone, from a source address of its own, so that it
//! uses up nobody's request limit.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};

/// How long a read model may lag before the journey gives up on it.
const SEEN_MAX: Duration = Duration::from_secs(15);
/// How long the first admin, sent as a command at the gateway's start, may take to be able to log
/// in.
const ADMIN_MAX: Duration = Duration::from_secs(30);
/// Sold in every fresh system: SKU, name, price in cents, pieces.
const PRODUCTS: [(&str, &str, i64, i64); 3] = [
    ("rye-flour-1kg", "Rye flour, 1 kg", 349, 10_000),
    ("spelt-5kg", "Whole spelt, 5 kg", 1890, 2_000),
    ("millstone-pocket", "Pocket millstone", 12_900, 40),
];

/// The system to go through.
#[derive(Clone, Debug)]
pub struct Target {
    /// The balancer, without a slash at the end.
    pub url: String,
    /// The first admin.
    pub admin_email: String,
    /// The file with the first admin's password.
    pub admin_password_file: PathBuf,
}

/// A step that went wrong.
#[derive(Debug, thiserror::Error)]
pub enum JourneyError {
    /// The request itself failed.
    #[error("{step}: {source}")]
    Http {
        /// What was tried.
        step: String,
        /// Why it failed.
        source: reqwest::Error,
    },
    /// The answer was not what a user would expect.
    #[error("{step}: answered {status}: {body}")]
    Answer {
        /// What was tried.
        step: String,
        /// The answer's status.
        status: StatusCode,
        /// The answer's body.
        body: String,
    },
    /// Something did not show up.
    #[error("{step}: {what}")]
    Missing {
        /// What was tried.
        step: String,
        /// What is missing.
        what: String,
    },
    /// The admin's password can't be read.
    #[error("read {path}: {source}")]
    Password {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
}

/// A connection to the API that measures and prints its steps.
struct Traveller {
    http: Client,
    url: String,
}

impl Traveller {
    fn new(url: &str) -> Result<Self, JourneyError> {
        // Any address of the loopback range reaches the balancer, and each counts as a client of
        // its own.
        let from = Ipv4Addr::new(
            127,
            rand::random_range(64..250),
            rand::random(),
            rand::random_range(1..255),
        );
        let http = Client::builder()
            .local_address(IpAddr::V4(from))
            .timeout(Duration::from_secs(15))
            .build()
            .map_err(|source| JourneyError::Http { step: "make a client".into(), source })?;
        Ok(Self { http, url: url.to_owned() })
    }

    fn request(&self, method: Method, path: &str, token: Option<&str>) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.url));
        match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Sends a command and waits for its result.
    async fn command(
        &self,
        path: &str,
        token: Option<&str>,
        body: Value,
    ) -> Result<Answer, JourneyError> {
        let request =
            self.request(Method::POST, path, token).header("Prefer", "wait=5").json(&body);
        Answer::of(&format!("POST {path}"), request).await
    }

    async fn get(&self, path: &str, token: Option<&str>) -> Result<Answer, JourneyError> {
        Answer::of(&format!("GET {path}"), self.request(Method::GET, path, token)).await
    }

    async fn log_in(&self, email: &str, password: &str) -> Result<Answer, JourneyError> {
        self.command("/v1/sessions", None, json!({ "email": email, "password": password })).await
    }
}

/// An answer with the time it took.
struct Answer {
    step: String,
    took: Duration,
    status: StatusCode,
    location: Option<String>,
    body: Value,
}

impl Answer {
    async fn of(step: &str, request: RequestBuilder) -> Result<Self, JourneyError> {
        let failed = |source| JourneyError::Http { step: step.to_owned(), source };
        let begun = Instant::now();
        let answer: Response = request.send().await.map_err(failed)?;
        let status = answer.status();
        let location = answer
            .headers()
            .get("location")
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        let text = answer.text().await.map_err(failed)?;
        let took = begun.elapsed();
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Ok(Self { step: step.to_owned(), took, status, location, body })
    }

    /// The answer, if it has one of these codes.
    fn expect(self, codes: &[u16]) -> Result<Self, JourneyError> {
        if codes.contains(&self.status.as_u16()) {
            return Ok(self);
        }
        Err(JourneyError::Answer {
            step: self.step,
            status: self.status,
            body: self.body.to_string(),
        })
    }

    fn text(&self, field: &str) -> Result<String, JourneyError> {
        self.body[field].as_str().map(str::to_owned).ok_or_else(|| JourneyError::Missing {
            step: self.step.clone(),
            what: format!("no {field} in {}", self.body),
        })
    }
}

fn print(what: &str, took: Duration, result: &str) {
    say!("  {what:<44} {:>8.1} ms  {result}", took.as_secs_f64() * 1000.0);
}

/// Goes the whole way and prints it; an error names the first step that a user would have stumbled
/// over.
pub async fn show(target: &Target) -> Result<(), JourneyError> {
    say!("\na journey through {}", target.url);
    let traveller = Traveller::new(&target.url)?;

    let admin = log_in_admin(&traveller, target).await?;
    stock_shelves(&traveller, &admin).await?;

    let email = format!("ada.{:08x}@millrace.example", rand::random::<u32>());
    let password = format!("{:032x}", rand::random::<u128>());
    let registration = json!({ "email": email, "password": password, "name": "Ada" });
    let registered = traveller.command("/v1/users", None, registration).await?.expect(&[201])?;
    print("register", registered.took, &email);
    let session = traveller.log_in(&email, &password).await?.expect(&[200])?;
    print("log in", session.took, "a token for ten minutes");
    let token = session.text("access_token")?;

    let (sku, name, ..) = PRODUCTS[0];
    let order = json!({ "lines": [{ "sku": sku, "quantity": 2 }, { "sku": PRODUCTS[1].0, "quantity": 1 }] });
    let placed = traveller.command("/v1/orders", Some(&token), order).await?.expect(&[201])?;
    let missing = |what: &str| JourneyError::Missing { step: "order".into(), what: what.into() };
    let location = placed.location.clone().ok_or_else(|| missing("no Location in the answer"))?;
    let id = location.rsplit('/').next().unwrap_or_default().to_owned();
    print(
        "order, waiting for the result",
        placed.took,
        &format!("2 x {name} and more: {}", state(&placed.body)),
    );

    let listed = traveller.get("/v1/orders", Some(&token)).await?.expect(&[200])?;
    if !listed.body.to_string().contains(&id) {
        return Err(missing(&format!("{id} is not in the very next list: {}", listed.body)));
    }
    print("list orders", listed.took, &format!("{id} is there"));

    let seen = inbox(&traveller, &token, &id).await?;
    print("inbox (since the order was answered)", seen, "the order's notification is there");
    say!("done\n");
    Ok(())
}

fn state(order: &Value) -> &str {
    ["status", "state"].iter().find_map(|field| order[field].as_str()).unwrap_or("confirmed")
}

/// The admin is a command like any other: the gateway sends it at its first start, so log-in may
/// have to wait for it.
async fn log_in_admin(traveller: &Traveller, target: &Target) -> Result<String, JourneyError> {
    let path = &target.admin_password_file;
    let password = std::fs::read_to_string(path)
        .map_err(|source| JourneyError::Password { path: path.display().to_string(), source })?;
    let begun = Instant::now();
    loop {
        let session = traveller.log_in(&target.admin_email, password.trim()).await?;
        if session.status == StatusCode::OK {
            print("log in as admin", session.took, &target.admin_email);
            return session.text("access_token");
        }
        if begun.elapsed() > ADMIN_MAX {
            session.expect(&[200])?;
        }
        tokio::time::sleep(Duration::from_millis(1000)).await;
    }
}

/// A second start finds the products there; a shelf is filled up only when it is made.
async fn stock_shelves(traveller: &Traveller, admin: &str) -> Result<(), JourneyError> {
    for (sku, name, price_minor, pieces) in PRODUCTS {
        let there = traveller.get(&format!("/v1/products/{sku}"), None).await?;
        if there.status == StatusCode::OK {
            print("look at a product", there.took, &format!("{name} is there"));
            continue;
        }
        let product =
            json!({ "sku": sku, "name": name, "price_minor": price_minor, "currency": "EUR" });
        let added =
            traveller.command("/v1/products", Some(admin), product).await?.expect(&[200, 201])?;
        let stock = json!({ "quantity": pieces });
        let path = format!("/v1/products/{sku}/stock");
        let received = traveller.command(&path, Some(admin), stock).await?.expect(&[200, 201])?;
        print(
            "add a product, receive stock",
            added.took + received.took,
            &format!("{name}, {pieces} pieces"),
        );
    }
    Ok(())
}

/// How long it takes until a notification about the order is in the inbox.
async fn inbox(traveller: &Traveller, token: &str, order: &str) -> Result<Duration, JourneyError> {
    let begun = Instant::now();
    loop {
        let inbox = traveller.get("/v1/notifications", Some(token)).await?.expect(&[200])?;
        if inbox.body.to_string().contains(order) {
            return Ok(begun.elapsed());
        }
        if begun.elapsed() > SEEN_MAX {
            let what = format!("no notification names {order}: {}", inbox.body);
            return Err(JourneyError::Missing { step: inbox.step, what });
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
