//! A world without a broker and without stores: it takes commands, decides on them in the simplest way or as a test
//! tells it to, and shows the result in its read models.

#![allow(clippy::unwrap_used, unreachable_pub, missing_docs)]

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use ed25519_dalek::SigningKey;
use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream, stream::BoxStream};
use gateway::{
    auth::{Passwords, Role, SigningKeys, Tokens},
    client::Peer,
    commands::{Command, Commands, Outgoing, Unwritten},
    counters::{Count, CounterError, Counters},
    limit::Limit,
    metrics::Metrics,
    reads::{
        Credential, Cursor, Happened, Health, Line, Notification, Order, Page, Product, Read, ReadError,
        Reads, Seen, User, Watch,
    },
    routes,
    secret::Secret,
    state::{Parts, State},
    streams::Bounds,
};
use schemas::{Outcome, Verdict, notification, order, stock, user};
use serde_json::{Value, json};
use uuid::Uuid;
use warp::{filters::BoxedFilter, http::Response, hyper::body::Bytes, test::RequestBuilder};

/// What the world does with a command.
#[derive(Clone, Debug, Default)]
pub enum Answer {
    /// Does what is asked for.
    #[default]
    Accept,
    /// Refuses with this code.
    Refuse(&'static str),
    /// Fails.
    Fail,
    /// Takes it and says nothing.
    Silence,
    /// Does not take it.
    Unwritten,
    /// Accepts, but its read models do not show it.
    Lag,
}

#[derive(Default)]
pub struct Inner {
    pub answer: Answer,
    pub written: Vec<Outgoing>,
    pub outcomes: HashMap<Uuid, Outcome>,
    pub versions: HashMap<(String, String), i64>,
    pub users: HashMap<Uuid, User>,
    pub credentials: HashMap<Uuid, (String, Credential)>,
    pub products: BTreeMap<String, Product>,
    pub orders: HashMap<Uuid, Order>,
    pub notifications: HashMap<Uuid, Notification>,
    pub counts: HashMap<String, (u64, Duration)>,
    pub claims: HashMap<String, String>,
    pub seen: Vec<Seen>,
    /// Streams go on after what has been seen.
    pub endless: bool,
    pub watched: Vec<(Watch, Option<String>)>,
    pub counters_down: bool,
    pub stores_down: bool,
}

#[derive(Clone, Default)]
pub struct World(pub Arc<Mutex<Inner>>);

impl World {
    pub fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    pub fn answers(&self, answer: Answer) {
        self.inner().answer = answer;
    }

    /// The last command that was written.
    pub fn last(&self) -> Outgoing {
        self.inner().written.last().expect("a command").clone()
    }

    pub fn written(&self) -> usize {
        self.inner().written.len()
    }
}

impl Inner {
    fn decide(&mut self, sent: &Outgoing) {
        let (verdict, code) = match self.answer {
            Answer::Accept | Answer::Lag => (Verdict::Accepted, None),
            Answer::Refuse(code) => (Verdict::Refused, Some(code.to_owned())),
            Answer::Fail => (Verdict::Failed, Some("failed".to_owned())),
            Answer::Silence | Answer::Unwritten => return,
        };
        if self.outcomes.contains_key(&sent.id) {
            return;
        }
        let context = sent.command.topic().split('.').next().unwrap().to_owned();
        let version = self.versions.get(&(context.clone(), sent.key.clone())).copied().unwrap_or(0) + 1;
        if verdict == Verdict::Accepted && !matches!(self.answer, Answer::Lag) {
            self.versions.insert((context.clone(), sent.key.clone()), version);
            self.apply(&sent.command, version);
        }
        let outcome = Outcome {
            command_id: sent.id,
            command_type: sent.command.name().to_owned(),
            verdict,
            detail: code.as_ref().map(|code| format!("because of {code}")),
            code,
            aggregate: context,
            aggregate_id: sent.key.clone(),
            version,
            principal: sent.principal.clone(),
            fingerprint: Some(sent.fingerprint.clone()),
            decided_at: 1_700_000_000_000,
        };
        self.outcomes.insert(sent.id, outcome);
    }

    fn apply(&mut self, command: &Command, version: i64) {
        match command.clone() {
            Command::User(user::Command::RegisterUser(it)) => {
                let role = if it.role == user::Role::Admin { Role::Admin } else { Role::User };
                let user = User { id: it.user_id, email: it.email, name: it.name, role, version };
                let credential = Credential {
                    user_id: it.user_id,
                    role,
                    password_hash: it.password_hash,
                    credential_version: 1,
                };
                self.users.insert(it.user_id, user);
                self.credentials.insert(it.user_id, (it.email_fingerprint, credential));
            }
            Command::User(user::Command::ChangeName(it)) => {
                let user = self.users.get_mut(&it.user_id).unwrap();
                (user.name, user.version) = (it.name, version);
            }
            Command::User(user::Command::ChangeEmail(it)) => {
                let user = self.users.get_mut(&it.user_id).unwrap();
                (user.email, user.version) = (it.email, version);
            }
            Command::User(user::Command::ChangePassword(it)) => {
                let (_, credential) = self.credentials.get_mut(&it.user_id).unwrap();
                credential.password_hash = it.password_hash;
                credential.credential_version += 1;
            }
            Command::User(user::Command::DeactivateUser(it)) => {
                self.users.remove(&it.user_id);
                self.credentials.remove(&it.user_id);
            }
            Command::Stock(stock::Command::AddProduct(it)) => {
                let product = Product {
                    sku: it.sku.clone(),
                    name: it.name,
                    price_minor: it.price.amount_minor,
                    currency: it.price.currency,
                    available: 0,
                    version,
                };
                self.products.insert(it.sku, product);
            }
            Command::Stock(stock::Command::ReceiveStock(it)) => {
                let product = self.products.get_mut(&it.sku).unwrap();
                product.available += i64::from(it.quantity);
                product.version = version;
            }
            Command::Order(order::Command::PlaceOrder(it)) => {
                let lines = it.lines.into_iter();
                let order = Order {
                    id: it.order_id,
                    user_id: it.user_id,
                    status: "confirmed".into(),
                    lines: lines
                        .map(|l| Line { sku: l.sku, quantity: l.quantity, unit_price_minor: Some(100) })
                        .collect(),
                    total_minor: Some(100),
                    currency: Some("EUR".into()),
                    reason: None,
                    placed_at: "2026-01-01T00:00:00.000Z".into(),
                    version,
                };
                self.orders.insert(it.order_id, order);
            }
            Command::Order(order::Command::CancelOrder(it)) => {
                let order = self.orders.get_mut(&it.order_id).unwrap();
                (order.status, order.version) = ("cancelled".into(), version);
            }
            Command::Notification(notification::Command::MarkRead(it)) => {
                let notification = self.notifications.get_mut(&it.notification_id).unwrap();
                (notification.read, notification.version) = (true, version);
            }
            _ => {}
        }
    }
}

impl Commands for World {
    fn write(&self, outgoing: Outgoing) -> BoxFuture<'_, Result<(), Unwritten>> {
        async move {
            let mut inner = self.inner();
            if matches!(inner.answer, Answer::Unwritten) {
                return Err(Unwritten { topic: outgoing.command.topic(), why: "nobody there".into() });
            }
            inner.decide(&outgoing);
            inner.written.push(outgoing);
            Ok(())
        }
        .boxed()
    }

    fn health(&self) -> BoxFuture<'_, Health> {
        async { Health::from([("broker", Ok(()))]) }.boxed()
    }
}

impl World {
    fn get<'a, T: Send + 'a>(&'a self, get: impl FnOnce(&Inner) -> T + Send + 'a) -> Read<'a, T> {
        async move {
            let inner = self.inner();
            if inner.stores_down {
                return Err(ReadError { what: "everything", why: "down".into() });
            }
            Ok(get(&inner))
        }
        .boxed()
    }
}

fn page<T>(items: impl Iterator<Item = T>, limit: usize) -> Page<T> {
    Page { items: items.take(limit).collect(), next: None }
}

impl Reads for World {
    fn user(&self, id: Uuid) -> Read<'_, Option<User>> {
        self.get(move |inner| inner.users.get(&id).cloned())
    }
    fn credential_by_email<'a>(&'a self, email_fingerprint: &'a str) -> Read<'a, Option<Credential>> {
        self.get(move |inner| {
            inner.credentials.values().find(|(f, _)| f == email_fingerprint).map(|(_, c)| c.clone())
        })
    }
    fn credential(&self, user_id: Uuid) -> Read<'_, Option<Credential>> {
        self.get(move |inner| inner.credentials.get(&user_id).map(|(_, c)| c.clone()))
    }
    fn outcome(&self, command: Uuid) -> Read<'_, Option<Outcome>> {
        self.get(move |inner| inner.outcomes.get(&command).cloned())
    }
    fn notice(&self, _command: Uuid) -> BoxFuture<'_, BoxFuture<'static, ()>> {
        std::future::ready(std::future::pending().boxed()).boxed()
    }
    fn version<'a>(&'a self, aggregate: &'a str, id: &'a str) -> Read<'a, Option<i64>> {
        self.get(move |inner| inner.versions.get(&(aggregate.to_owned(), id.to_owned())).copied())
    }
    fn products<'a>(&'a self, after: Option<&'a str>, limit: usize) -> Read<'a, Page<Product>> {
        self.get(move |inner| {
            page(
                inner.products.values().filter(|p| after.is_none_or(|after| p.sku.as_str() > after)).cloned(),
                limit,
            )
        })
    }
    fn product<'a>(&'a self, sku: &'a str) -> Read<'a, Option<Product>> {
        self.get(move |inner| inner.products.get(sku).cloned())
    }
    fn orders(&self, user_id: Uuid, _cursor: Option<Cursor>, limit: usize) -> Read<'_, Page<Order>> {
        self.get(move |inner| page(inner.orders.values().filter(|o| o.user_id == user_id).cloned(), limit))
    }
    fn order(&self, id: Uuid) -> Read<'_, Option<Order>> {
        self.get(move |inner| inner.orders.get(&id).cloned())
    }
    fn history(&self, order_id: Uuid) -> Read<'_, Vec<Happened>> {
        self.get(move |inner| {
            let happened = |o: &Order| Happened {
                version: o.version,
                kind: "OrderPlaced".into(),
                at: o.placed_at.clone(),
                data: json!({}),
            };
            inner.orders.get(&order_id).map(happened).into_iter().collect()
        })
    }
    fn notifications(
        &self,
        user_id: Uuid,
        _cursor: Option<Cursor>,
        limit: usize,
    ) -> Read<'_, Page<Notification>> {
        self.get(move |inner| {
            page(inner.notifications.values().filter(|n| n.user_id == user_id).cloned(), limit)
        })
    }
    fn unread(&self, user_id: Uuid) -> Read<'_, Option<i64>> {
        self.get(move |inner| {
            i64::try_from(inner.notifications.values().filter(|n| n.user_id == user_id && !n.read).count())
                .ok()
        })
    }
    fn notification(&self, id: Uuid) -> Read<'_, Option<Notification>> {
        self.get(move |inner| inner.notifications.get(&id).cloned())
    }
    fn watch(&self, watch: Watch, position: Option<String>) -> Read<'_, BoxStream<'static, Seen>> {
        async move {
            let mut inner = self.inner();
            inner.watched.push((watch, position));
            let seen = stream::iter(inner.seen.clone());
            Ok(if inner.endless { seen.chain(stream::pending()).boxed() } else { seen.boxed() })
        }
        .boxed()
    }
    fn health(&self) -> BoxFuture<'_, Health> {
        async {
            let down = self.inner().stores_down;
            Health::from([("postgres", if down { Err("down at 10.0.0.7".into()) } else { Ok(()) })])
        }
        .boxed()
    }
}

impl Counters for World {
    fn hit<'a>(&'a self, key: &'a str, window: Duration) -> BoxFuture<'a, Result<Count, CounterError>> {
        async move {
            let mut inner = self.inner();
            if inner.counters_down {
                return Err(CounterError("down".into()));
            }
            let (count, left) = inner.counts.entry(key.to_owned()).or_insert((0, window));
            *count += 1;
            Ok(Count { count: *count, left: *left })
        }
        .boxed()
    }
    fn left<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Duration>, CounterError>> {
        async move {
            let inner = self.inner();
            if inner.counters_down {
                return Err(CounterError("down".into()));
            }
            Ok(inner.counts.get(key).map(|(_, left)| *left))
        }
        .boxed()
    }
    fn forget<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), CounterError>> {
        async move {
            self.inner().counts.remove(key);
            Ok(())
        }
        .boxed()
    }
    fn claim<'a>(
        &'a self,
        key: &'a str,
        value: &'a str,
        _window: Duration,
    ) -> BoxFuture<'a, Result<String, CounterError>> {
        async move {
            let mut inner = self.inner();
            if inner.counters_down {
                return Err(CounterError("down".into()));
            }
            Ok(inner.claims.entry(key.to_owned()).or_insert_with(|| value.to_owned()).clone())
        }
        .boxed()
    }
}

/// A gateway in a world of its own.
pub struct Gateway {
    pub world: World,
    pub state: Arc<State>,
    pub routes: BoxedFilter<(warp::reply::Response,)>,
}

/// The client's address, unless a test says otherwise.
pub const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

pub fn gateway() -> Gateway {
    limited(1_000)
}

pub fn limited(requests: u32) -> Gateway {
    let world = World::default();
    let keys = BTreeMap::from([("1".to_owned(), SigningKey::from_bytes(&[1; 32]))]);
    let shared = Arc::new(world.clone());
    let state = State::new(Parts {
        secret: Secret::parse(&"07".repeat(32)).unwrap(),
        tokens: Tokens::new(SigningKeys::of(keys).unwrap()),
        passwords: Passwords::cheap().unwrap(),
        commands: shared.clone(),
        reads: shared.clone(),
        counters: shared,
        limit: Limit { requests, window_s: 900, trusted: "10.0.0.1".parse().unwrap() },
        streams: Bounds { all_max: 1, user_max: 1, address_max: 2 },
        health_every: Duration::ZERO,
        metrics: Metrics::new(&prometheus::Registry::new()).unwrap(),
    });
    Gateway { world, routes: routes::all(&state), state }
}

impl Gateway {
    /// Sends a request from [`CLIENT`].
    pub async fn send(&self, request: RequestBuilder) -> Response<Bytes> {
        self.send_from(CLIENT, request).await
    }

    pub async fn send_from(&self, client: IpAddr, request: RequestBuilder) -> Response<Bytes> {
        request.extension(Peer(client)).reply(&self.routes).await
    }

    /// Sends JSON and waits for the result.
    pub async fn command(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: Value,
    ) -> Response<Bytes> {
        self.send(with(token, request(method, path).header("prefer", "wait=5").json(&body))).await
    }

    pub async fn get(&self, path: &str, token: Option<&str>) -> Response<Bytes> {
        self.send(with(token, request("GET", path))).await
    }

    /// Registers someone and gives their access token.
    pub async fn someone(&self, email: &str) -> String {
        let body = json!({ "email": email, "password": "correct horse", "name": "Ada" });
        let response = self.command("POST", "/v1/users", None, body).await;
        assert_eq!(response.status(), 201, "{:?}", response.body());
        let response = self
            .command("POST", "/v1/sessions", None, json!({ "email": email, "password": "correct horse" }))
            .await;
        assert_eq!(response.status(), 200, "{:?}", response.body());
        json(&response)["access_token"].as_str().unwrap().to_owned()
    }

    /// An admin's access token.
    pub fn admin(&self) -> String {
        let id = Uuid::from_u128(1);
        let (email, name) = ("admin@example.org".to_owned(), "Admin".to_owned());
        self.world.inner().users.insert(id, User { id, email, name, role: Role::Admin, version: 1 });
        self.state.tokens.issue(id, Uuid::from_u128(2), Role::Admin).unwrap()
    }

    /// Who a token is for.
    pub fn user_of(&self, token: &str) -> Uuid {
        self.state.tokens.check(token).unwrap().user_id
    }

    /// Puts a product on the shelf.
    pub async fn product(&self, sku: &str) {
        let body = json!({ "sku": sku, "name": "Rye flour", "price_minor": 349, "currency": "EUR" });
        let response = self.command("POST", "/v1/products", Some(&self.admin()), body).await;
        assert_eq!(response.status(), 201, "{:?}", response.body());
    }
}

pub fn request(method: &str, path: &str) -> RequestBuilder {
    warp::test::request().method(method).path(path)
}

pub fn with(token: Option<&str>, request: RequestBuilder) -> RequestBuilder {
    match token {
        Some(token) => request.header("authorization", format!("Bearer {token}")),
        None => request,
    }
}

pub fn json(response: &Response<Bytes>) -> Value {
    serde_json::from_slice(response.body()).unwrap_or_else(|_| panic!("not JSON: {:?}", response.body()))
}

pub fn header<'a>(response: &'a Response<Bytes>, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

/// Asserts that it is a problem of this status and code.
pub fn assert_problem(response: &Response<Bytes>, status: u16, code: &str) {
    assert_eq!(response.status(), status, "{:?}", response.body());
    assert_eq!(header(response, "content-type"), "application/problem+json");
    let body = json(response);
    assert_eq!(body["code"], code, "{body}");
    assert_eq!(body["status"], status);
    assert_eq!(body["type"], format!("urn:millrace:problem:{code}"));
    assert!(body["title"].is_string() && body["detail"].is_string());
}
