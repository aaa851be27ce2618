//! Runs a demo order over HTTP, as the first user of a fresh system: the admin adds products and
//! stock; a customer registers, logs in, orders, and finds the order and its notification. It
//! prints each step with its latency. It uses only the public API, from a source address of its
//! own, so that it uses up no other client's request limit.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};

/// How long the demo waits for a read model.
const SEEN_MAX: Duration = Duration::from_secs(15);
/// How long the first admin may take until log-in works: the gateway sends the registration as a
/// command when it starts.
const ADMIN_MAX: Duration = Duration::from_secs(30);
/// A product of a fresh system.
struct Product {
    sku: &'static str,
    name: &'static str,
    /// Its price in cents.
    price_minor: i64,
    pieces: i64,
}

/// The products of a fresh system.
const PRODUCTS: [Product; 3] = [
    Product { sku: "rye-flour-1kg", name: "Rye flour, 1 kg", price_minor: 349, pieces: 10_000 },
    Product { sku: "spelt-5kg", name: "Whole spelt, 5 kg", price_minor: 1890, pieces: 2_000 },
    Product { sku: "millstone-pocket", name: "Pocket millstone", price_minor: 12_900, pieces: 40 },
];

/// The system on which the demo runs.
#[derive(Clone, Debug)]
pub struct Target {
    /// URL of the balancer, without a slash at the end.
    pub url: String,
    /// E-mail address of the first admin.
    pub admin_email: String,
    /// The file with the first admin's password.
    pub admin_password_file: PathBuf,
}

/// A step of the demo that failed.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The request itself failed.
    #[error("{step}")]
    Http {
        /// The step.
        step: String,
        /// Why it failed.
        source: reqwest::Error,
    },
    /// The response has another status than a user would expect.
    #[error("{step}: answered {status}: {body}")]
    Answer {
        /// What was tried.
        step: String,
        /// The answer's status.
        status: StatusCode,
        /// The answer's body.
        body: String,
    },
    /// Something that must exist was not found.
    #[error("{step}: {what}")]
    Missing {
        /// What was tried.
        step: String,
        /// What is missing.
        what: String,
    },
    /// The admin's password can't be read.
    #[error("read {path}")]
    Password {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
}

/// A client of the API that measures its steps.
struct Shopper {
    http: Client,
    url: String,
}

impl Shopper {
    fn new(url: &str) -> Result<Self, DemoError> {
        // Any loopback address reaches the balancer, and each counts as a client of its own.
        let from = Ipv4Addr::new(
            127,
            rand::random_range(64..250),
            rand::random(),
            rand::random_range(1..255),
        );
        let http = crate::http()
            .local_address(IpAddr::V4(from))
            .timeout(Duration::from_secs(15))
            .build()
            .map_err(|source| DemoError::Http { step: "create a client".into(), source })?;
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
    ) -> Result<Answer, DemoError> {
        let request =
            self.request(Method::POST, path, token).header("Prefer", "wait=5").json(&body);
        Answer::of(&format!("POST {path}"), request).await
    }

    async fn get(&self, path: &str, token: Option<&str>) -> Result<Answer, DemoError> {
        Answer::of(&format!("GET {path}"), self.request(Method::GET, path, token)).await
    }

    async fn log_in(&self, email: &str, password: &str) -> Result<Answer, DemoError> {
        self.command("/v1/sessions", None, json!({ "email": email, "password": password })).await
    }
}

/// A response with the time it took.
struct Answer {
    step: String,
    took: Duration,
    status: StatusCode,
    location: Option<String>,
    body: Value,
}

impl Answer {
    async fn of(step: &str, request: RequestBuilder) -> Result<Self, DemoError> {
        let failed = |source| DemoError::Http { step: step.to_owned(), source };
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

    /// Returns the response if its status is one of `codes`, else an error.
    fn expect(self, codes: &[u16]) -> Result<Self, DemoError> {
        if codes.contains(&self.status.as_u16()) {
            return Ok(self);
        }
        Err(DemoError::Answer { step: self.step, status: self.status, body: self.body.to_string() })
    }

    fn text(&self, field: &str) -> Result<String, DemoError> {
        self.body[field].as_str().map(str::to_owned).ok_or_else(|| DemoError::Missing {
            step: self.step.clone(),
            what: format!("no {field} in {}", self.body),
        })
    }
}

fn print(what: &str, took: Duration, result: &str) {
    say!("  {what:<44} {:>8.1} ms  {result}", took.as_secs_f64() * 1000.0);
}

/// Runs the demo and prints its steps. An error names the first step that failed.
pub async fn run(target: &Target) -> Result<(), DemoError> {
    say!("\na demo order on {}", target.url);
    let shopper = Shopper::new(&target.url)?;

    let admin = log_in_admin(&shopper, target).await?;
    stock_shelves(&shopper, &admin).await?;

    let email = format!("ada.{:08x}@millrace.example", rand::random::<u32>());
    let password = format!("{:032x}", rand::random::<u128>());
    let registration = json!({ "email": email, "password": password, "name": "Ada" });
    let registered = shopper.command("/v1/users", None, registration).await?.expect(&[201])?;
    print("register", registered.took, &email);
    let session = shopper.log_in(&email, &password).await?.expect(&[200])?;
    print("log in", session.took, "a token for ten minutes");
    let token = session.text("access_token")?;

    let Product { sku, name, .. } = PRODUCTS[0];
    let order = json!({
        "lines": [{ "sku": sku, "quantity": 2 }, { "sku": PRODUCTS[1].sku, "quantity": 1 }],
    });
    let placed = shopper.command("/v1/orders", Some(&token), order).await?.expect(&[201])?;
    let missing = |what: &str| DemoError::Missing { step: "order".into(), what: what.into() };
    let location = placed.location.clone().ok_or_else(|| missing("no Location in the answer"))?;
    let id = location.rsplit('/').next().unwrap_or_default().to_owned();
    print(
        "order, waiting for the result",
        placed.took,
        &format!("2 x {name} and more: {}", state(&placed.body)),
    );

    let listed = shopper.get("/v1/orders", Some(&token)).await?.expect(&[200])?;
    if !listed.body.to_string().contains(&id) {
        return Err(missing(&format!("{id} is not in the very next list: {}", listed.body)));
    }
    print("list orders", listed.took, &format!("{id} is in the list"));

    let seen = inbox(&shopper, &token, &id).await?;
    print("inbox (since the order was answered)", seen, "has the order's notification");
    say!("done\n");
    Ok(())
}

fn state(order: &Value) -> &str {
    ["status", "state"].iter().find_map(|field| order[field].as_str()).unwrap_or("confirmed")
}

/// Logs in as the first admin. The gateway registers it by a command at its first start, so this
/// may have to wait.
async fn log_in_admin(shopper: &Shopper, target: &Target) -> Result<String, DemoError> {
    let path = &target.admin_password_file;
    let password = std::fs::read_to_string(path)
        .map_err(|source| DemoError::Password { path: path.display().to_string(), source })?;
    let begun = Instant::now();
    loop {
        let session = shopper.log_in(&target.admin_email, password.trim()).await?;
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

/// Adds the products and their stock. At a second start they exist and are left as they are.
async fn stock_shelves(shopper: &Shopper, admin: &str) -> Result<(), DemoError> {
    for Product { sku, name, price_minor, pieces } in PRODUCTS {
        let there = shopper.get(&format!("/v1/products/{sku}"), None).await?;
        if there.status == StatusCode::OK {
            print("read a product", there.took, &format!("{name} exists"));
            continue;
        }
        let product =
            json!({ "sku": sku, "name": name, "price_minor": price_minor, "currency": "EUR" });
        let added =
            shopper.command("/v1/products", Some(admin), product).await?.expect(&[200, 201])?;
        let stock = json!({ "quantity": pieces });
        let path = format!("/v1/products/{sku}/stock");
        let received = shopper.command(&path, Some(admin), stock).await?.expect(&[200, 201])?;
        print(
            "add a product, receive stock",
            added.took + received.took,
            &format!("{name}, {pieces} pieces"),
        );
    }
    Ok(())
}

/// Waits for the order's notification in the inbox; returns how long that took.
async fn inbox(shopper: &Shopper, token: &str, order: &str) -> Result<Duration, DemoError> {
    let begun = Instant::now();
    loop {
        let inbox = shopper.get("/v1/notifications", Some(token)).await?.expect(&[200])?;
        if inbox.body.to_string().contains(order) {
            return Ok(begun.elapsed());
        }
        if begun.elapsed() > SEEN_MAX {
            let what = format!("no notification names {order}: {}", inbox.body);
            return Err(DemoError::Missing { step: inbox.step, what });
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
