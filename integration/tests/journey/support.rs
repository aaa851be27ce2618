//! Shared by the tests: the system under test, new users and products, and waiting for a condition.
//! It checks only what must hold for a test to begin.

use std::time::{Duration, Instant};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use ed25519_dalek::{Signer as _, SigningKey, pkcs8::DecodePrivateKey as _};
use integration::client::{Answer, Client};
use integration::stack::Control;
use serde_json::Value;
use uuid::Uuid;

/// How long a test waits for a read model: much longer than it should take, because the machine may
/// be busy.
pub(crate) const SEEN_MAX: Duration = Duration::from_secs(20);
/// How long the system may take to recover after a part was killed.
pub(crate) const RECOVERY_MAX: Duration = Duration::from_secs(60);
/// The password of every user, if it does not matter.
pub(crate) const PASSWORD: &str = "a long enough password";

/// The system under test.
pub(crate) struct System {
    /// URL of the balancer.
    pub(crate) url: String,
    /// URLs of both gateways, without the balancer.
    pub(crate) gateways: Vec<String>,
    /// Starts, stops and kills its parts.
    pub(crate) control: Control,
}

/// The system under which this test was started, with every part running.
pub(crate) async fn system() -> System {
    let control = Control::from_env().expect("a stack");
    let system = System {
        url: variable("MILLRACE_URL"),
        gateways: variable("MILLRACE_GATEWAYS").split(',').map(str::to_owned).collect(),
        control,
    };
    // A test that failed may have left a part dead.
    for part in system.control.status().await.expect("its status") {
        if part.name.ends_with("-1") && part.name != "gateway-1" {
            system.control.stop(&part.name).await.expect("stopped");
        } else if ["dead", "stopped"].contains(&part.state.as_str()) {
            system.restart(&part.name).await;
        }
    }
    system
}

/// A variable that the stack sets.
pub(crate) fn variable(name: &str) -> String {
    std::env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set: run this under `stack run --`"))
}

impl System {
    /// A client that is not logged in.
    pub(crate) fn visitor(&self) -> Client {
        Client::new(&self.url).expect("a client")
    }

    /// Logs in as the admin.
    pub(crate) async fn admin(&self) -> Client {
        let password =
            std::fs::read_to_string(variable("MILLRACE_ADMIN_PASSWORD_FILE")).expect("a password");
        let (email, password) = (variable("MILLRACE_ADMIN_EMAIL"), password.trim().to_owned());
        // The gateway registers the admin by a command at its start.
        eventually("the admin can log in", RECOVERY_MAX, async || {
            let visitor = self.visitor();
            let session = visitor
                .log_in(&email, &password)
                .send()
                .await
                .map_err(|error| integration::chain(&error))?;
            let token =
                session.expect_code(200)?.text("access_token").ok_or("no token")?.to_owned();
            Ok(visitor.with_token(token))
        })
        .await
    }

    /// Registers a new user and logs in.
    pub(crate) async fn user(&self, name: &str) -> User {
        let email = any_email(name);
        let registered = self.visitor().register(&email, PASSWORD, name).wait(10).answer().await;
        registered.expect(201);
        self.log_in(&email, PASSWORD).await
    }

    /// Logs in as a registered user.
    pub(crate) async fn log_in(&self, email: &str, password: &str) -> User {
        let visitor = self.visitor();
        let session = visitor.log_in(email, password).answer().await;
        session.expect(200);
        User {
            email: email.to_owned(),
            refresh_token: session.string("refresh_token"),
            client: visitor.with_token(session.string("access_token")),
        }
    }

    /// Adds a new product with this many pieces.
    pub(crate) async fn product(&self, admin: &Client, price_minor: i64, pieces: i64) -> String {
        let sku = format!("sku-{}", any());
        admin.add_product(&sku, "Something", price_minor).wait(10).answer().await.expect(201);
        if pieces > 0 {
            admin.receive_stock(&sku, pieces).wait(10).answer().await.expect_one_of(&[200, 201]);
        }
        sku
    }

    /// Starts a part if it does not run, and waits until it is ready.
    pub(crate) async fn restart(&self, name: &str) {
        self.control.start(name).await.expect("started");
        self.control.wait(name, RECOVERY_MAX).await.expect("ready");
    }
}

/// A user who is logged in.
pub(crate) struct User {
    pub(crate) email: String,
    pub(crate) refresh_token: String,
    pub(crate) client: Client,
}

impl User {
    /// Orders, waits for the confirmation, and returns the order's id.
    pub(crate) async fn order(&self, lines: &[(&str, i64)]) -> String {
        let placed = self.client.place_order(lines).wait(10).answer().await;
        placed.expect(201);
        placed.location_id().expect("the order's address").to_owned()
    }
}

/// A short text that is unique.
pub(crate) fn any() -> String {
    Uuid::new_v4().simple().to_string()[..12].to_owned()
}

/// An e-mail address that is unique.
pub(crate) fn any_email(name: &str) -> String {
    format!("{}.{}@millrace.example", name.to_lowercase(), any())
}

/// Repeats a check until it succeeds, or fails with the last reason.
pub(crate) async fn eventually<T>(
    what: &str,
    at_most: Duration,
    mut ask: impl AsyncFnMut() -> Result<T, String>,
) -> T {
    let begun = Instant::now();
    let mut pause = Duration::from_millis(20);
    loop {
        match ask().await {
            Ok(seen) => return seen,
            Err(why) if begun.elapsed() > at_most => {
                panic!("not within {at_most:?}: {what}; at last: {why}")
            }
            Err(_) => tokio::time::sleep(pause).await,
        }
        pause = (pause * 2).min(Duration::from_millis(500));
    }
}

/// `Ok` when it is so.
pub(crate) fn must(so: bool, why: impl std::fmt::Debug) -> Result<(), String> {
    if so { Ok(()) } else { Err(format!("{why:?}")) }
}

/// The same access token, but of a user who has given the password ten minutes earlier: signed with
/// the system's own key.
pub(crate) fn aged(token: &str) -> String {
    let json = |part: &str| -> Value {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(part).expect("base64");
        serde_json::from_slice(&bytes).expect("JSON")
    };
    let mut parts = token.split('.');
    let (header, claims) = (parts.next().expect("a header"), parts.next().expect("claims"));
    let mut claims = json(claims);
    let given_s = claims["auth_time"].as_u64().expect("when the password was given");
    claims["auth_time"] = (given_s - 600).into();
    let secrets = std::path::PathBuf::from(variable("MILLRACE_ADMIN_PASSWORD_FILE"));
    let key = format!("jwt/{}.pem", json(header)["kid"].as_str().expect("a key id"));
    let pem = std::fs::read_to_string(secrets.with_file_name(key)).expect("the key");
    let key = SigningKey::from_pkcs8_pem(&pem).expect("an Ed25519 key");
    let signed = format!("{header}.{}", BASE64_URL_SAFE_NO_PAD.encode(claims.to_string()));
    let signature = key.sign(signed.as_bytes()).to_bytes();
    format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}

/// Assertions about an answer.
pub(crate) trait Judge {
    /// It has this status.
    fn expect(&self, status: u16) -> &Self;
    /// It has one of these.
    fn expect_one_of(&self, statuses: &[u16]) -> &Self;
    /// Returns an error if it has another status.
    fn expect_code(&self, status: u16) -> Result<&Self, String>;
    /// It is a problem with this status and code.
    fn problem(&self, status: u16, code: &str) -> &Self;
    /// A field of the body.
    fn string(&self, field: &str) -> String;
    /// The items of a list.
    fn items(&self) -> &[Value];
}

impl Judge for Answer {
    #[track_caller]
    fn expect(&self, status: u16) -> &Self {
        self.expect_one_of(&[status])
    }

    #[track_caller]
    fn expect_one_of(&self, statuses: &[u16]) -> &Self {
        let message =
            || format!("{}: {} instead of {statuses:?}: {}", self.what, self.status, self.body);
        assert!(statuses.contains(&self.status), "{}", message());
        self
    }

    fn expect_code(&self, status: u16) -> Result<&Self, String> {
        must(self.status == status, (&self.what, self.status, &self.body)).map(|()| self)
    }

    #[track_caller]
    fn problem(&self, status: u16, code: &str) -> &Self {
        self.expect(status);
        assert_eq!(Some("application/problem+json"), self.header("content-type"), "{}", self.body);
        assert_eq!(Some(code), self.text("code"), "{}: {}", self.what, self.body);
        assert_eq!(Some(u64::from(status)), self.body["status"].as_u64(), "{}", self.body);
        self
    }

    #[track_caller]
    fn string(&self, field: &str) -> String {
        self.text(field)
            .unwrap_or_else(|| panic!("{}: no {field} in {}", self.what, self.body))
            .to_owned()
    }

    #[track_caller]
    fn items(&self) -> &[Value] {
        let items = self.body["items"].as_array();
        items.unwrap_or_else(|| panic!("{}: no list in {} {}", self.what, self.status, self.body))
    }
}

/// Sends a request and panics on an error of the transport.
pub(crate) trait Send {
    async fn answer(self) -> Answer;
}

impl Send for integration::client::Request {
    async fn answer(self) -> Answer {
        self.send().await.unwrap_or_else(|error| panic!("no answer: {error:?}"))
    }
}
