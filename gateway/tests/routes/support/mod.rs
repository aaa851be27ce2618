//! A gateway without brokers and without stores, and helpers that send requests to it.

#![allow(clippy::unwrap_used, unreachable_pub, missing_docs)]

mod counters;
mod log;
mod reads;
mod world;

use std::{collections::BTreeMap, net::IpAddr, sync::Arc, time::Duration};

use ed25519_dalek::SigningKey;
use gateway::{
    auth::{Passwords, Role, SigningKeys, Tokens},
    cache::Cache,
    client::Peer,
    limit::Limit,
    load::Bounds,
    metrics::Metrics,
    pipeline::Pipeline,
    reads::User,
    routes,
    schema_versions::SchemaVersions,
    secret::Secret,
    state::{Parts, State},
    streams,
};
use serde_json::{Value, json};
use uuid::Uuid;
use warp::{filters::BoxedFilter, http::Response, hyper::body::Bytes, test::RequestBuilder};

pub use world::{Answer, Notices, World};

/// A gateway over a simulated log and simulated stores.
pub struct Gateway {
    pub world: World,
    pub state: Arc<State>,
    pub routes: BoxedFilter<(warp::reply::Response,)>,
}

/// The client's address, unless a test chooses another one.
pub const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

/// The bounds of requests in flight, unless a test chooses others.
const LOAD: Bounds = Bounds {
    commands_max: 64,
    reads_max: 64,
    log_ins_max: 64,
    waits_max: 64,
    latency_target: Duration::from_secs(60),
};

pub fn gateway() -> Gateway {
    limited(1_000)
}

pub fn limited(requests: u32) -> Gateway {
    bounded(requests, LOAD)
}

pub fn bounded(requests: u32, load: Bounds) -> Gateway {
    configured(requests, load, false, Pipeline::default(), SchemaVersions::default())
}

/// A gateway whose statistics everyone may read.
pub fn public() -> Gateway {
    configured(1_000, LOAD, true, Pipeline::default(), SchemaVersions::default())
}

/// A gateway that reads the pipeline's figures.
pub fn watched(pipeline: Pipeline) -> Gateway {
    configured(1_000, LOAD, false, pipeline, SchemaVersions::default())
}

/// A gateway that knows the versions of schemas.
pub fn registered(schema_versions: SchemaVersions) -> Gateway {
    configured(1_000, LOAD, false, Pipeline::default(), schema_versions)
}

fn configured(
    requests: u32,
    load: Bounds,
    public_dashboard: bool,
    pipeline: Pipeline,
    schema_versions: SchemaVersions,
) -> Gateway {
    let world = World::default();
    let keys = BTreeMap::from([("1".to_owned(), SigningKey::from_bytes(&[1; 32]))]);
    let shared = Arc::new(world.clone());
    let metrics = Metrics::new(&prometheus::Registry::new()).unwrap();
    let state = State::new(Parts {
        secret: Secret::parse(&"07".repeat(32)).unwrap(),
        tokens: Tokens::new(SigningKeys::of(keys).unwrap()),
        passwords: Passwords::cheap().unwrap(),
        commands: shared.clone(),
        reads: shared.clone(),
        cache: Arc::new(Cache::new(&metrics)),
        counters: shared,
        limit: Limit { requests, window_s: 900 },
        trusted_proxies: "10.0.0.1".parse().unwrap(),
        streams: streams::Bounds { all_max: 1, user_max: 1, address_max: 2 },
        public_dashboard,
        pipeline,
        schema_versions,
        load,
        health_max_age: Duration::ZERO,
        metrics,
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

    /// Registers a user and returns their access token.
    pub async fn user(&self, email: &str) -> String {
        let body = json!({ "email": email, "password": "correct horse", "name": "Ada" });
        let response = self.command("POST", "/v1/users", None, body).await;
        assert_eq!(response.status(), 201, "{:?}", response.body());
        let response = self
            .command(
                "POST",
                "/v1/sessions",
                None,
                json!({ "email": email, "password": "correct horse" }),
            )
            .await;
        assert_eq!(response.status(), 200, "{:?}", response.body());
        json(&response)["access_token"].as_str().unwrap().to_owned()
    }

    /// The access token of an admin who has just logged in.
    pub fn admin(&self) -> String {
        self.admin_of(Some(jsonwebtoken::get_current_timestamp()))
    }

    /// The access token of an admin who has given the password at this time, in seconds.
    pub fn admin_of(&self, authenticated_s: Option<u64>) -> String {
        let id = Uuid::from_u128(1);
        let (email, name) = ("admin@example.org".to_owned(), "Admin".to_owned());
        self.world
            .inner()
            .users
            .insert(id, User { id, email, name, role: Role::Admin, version: 1 });
        self.state.tokens.issue(id, Uuid::from_u128(2), Role::Admin, authenticated_s).unwrap()
    }

    /// The user of an access token.
    pub fn user_of(&self, token: &str) -> Uuid {
        self.state.tokens.verify(token).unwrap().user_id
    }

    /// Adds a product.
    pub async fn product(&self, sku: &str) {
        let body =
            json!({ "sku": sku, "name": "Rye flour", "price_minor": 349, "currency": "EUR" });
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
    serde_json::from_slice(response.body())
        .unwrap_or_else(|_| panic!("not JSON: {:?}", response.body()))
}

pub fn header<'a>(response: &'a Response<Bytes>, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

/// Asserts that a response is a problem with this status and code.
pub fn assert_problem(response: &Response<Bytes>, status: u16, code: &str) {
    assert_eq!(response.status(), status, "{:?}", response.body());
    assert_eq!(header(response, "content-type"), "application/problem+json");
    let body = json(response);
    assert_eq!(body["code"], code, "{body}");
    assert_eq!(body["status"], status);
    assert_eq!(body["type"], format!("urn:millrace:problem:{code}"));
    assert!(body["title"].is_string() && body["detail"].is_string());
}
